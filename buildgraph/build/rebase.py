"""``rebase``: an image of the store or of a registry onto another base, by documents alone.

Its own layers and the new base's are named where they are; nothing is built, and a registry mounts what another of its
repositories has. The result takes the image's own name, or a new one, in the place where the image is.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from buildgraph.build.images import StoredImages
from buildgraph.build.observing import one_at_a_time
from buildgraph.build.transfer import Transfer, Transferred
from buildgraph.digest import Digest
from buildgraph.errors import UsageError
from buildgraph.events import Observer, Warned
from buildgraph.fs import tree
from buildgraph.fs.lay import Below, listing
from buildgraph.fs.tree import Tree
from buildgraph.image.content import Content
from buildgraph.image.rebase import misplaced, rebase
from buildgraph.image.source import ImageSource, OpenBlob
from buildgraph.names import Platform, Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.oci.manifest import BASE_DIGEST, BASE_NAME
from buildgraph.spec.linking import meaning
from buildgraph.store.base import Compressed
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class Rebasing:
    """``base`` is what the image stands on, empty where it says so itself; ``name`` empty keeps the image's name."""

    image: str
    onto: str
    base: str = ""
    name: str = ""
    platform: str = ""


def rebase_image(
    home: Path, environ: Mapping[str, str], observer: Observer, asked: Rebasing
) -> Transferred:
    """Raises UsageError: ``rebase-no-base`` and those of :func:`buildgraph.image.rebase.rebase`; RemoteError."""
    with ExitStack() as undo:
        observer = one_at_a_time(observer)
        store = undo.enter_context(LocalStore.open(home, observer))
        return _Rebase(store, Transfer(store, environ, observer, undo), asked).carry_out()


class _Rebase:
    def __init__(self, store: LocalStore, transfer: Transfer, asked: Rebasing) -> None:
        self._store = store
        self._transfer = transfer
        self._asked = asked

    def carry_out(self) -> Transferred:
        asked = self._asked
        local = self._is_local(asked.image)
        platform = Platform.parse(asked.platform) if asked.platform else None
        image = self._open(asked.image, platform)
        here = image.config.platform
        new, old = self._open(asked.onto, here), self._open(self._base_of(image), here)
        made = rebase(image, old, new, meaning(asked.onto))
        self._check(image, old, new)
        source = ImageSource.of(made, _blobs(image, new), asked.image)
        self._note(new)
        name = Reference.parse(asked.name or asked.image)
        content = Content.of(source)
        if local:
            return self._transfer.name(content, (name.familiar,))
        near = [Reference.parse(text) for text in (asked.onto, asked.image)]
        return self._transfer.send(content, name, near)

    def _base_of(self, image: ImageSource) -> str:
        if self._asked.base:
            return self._asked.base
        annotations = image.manifest.annotations
        name, digest = annotations.get(BASE_NAME, ""), annotations.get(BASE_DIGEST, "")
        if not name or not digest:
            raise UsageError(
                "rebase-no-base",
                f"{image.name} does not say what it stands on",
                hint="name its base with --from",
            )
        written = Reference.parse(name)
        return str(Reference(written.host, written.path, digest=digest))

    def _is_local(self, text: str) -> bool:
        written = Reference.parse(text)
        return not written.digest and self._store.images.resolve(written.familiar) is not None

    def _open(self, text: str, platform: Platform | None) -> ImageSource:
        """From the store if it has an image of that name, else from its registry."""
        if self._is_local(text):
            images = StoredImages(self._store, self._transfer.blobs.open)
            return images.of(images.find(text), text, platform)
        here = platform or Platform.of_machine(os.uname().machine)
        return self._transfer.remote.image(Reference.parse(text), here)

    def _note(self, new: ImageSource) -> None:
        """Where the new base's layers are, for images of the store that name them without having them."""
        if not self._is_local(self._asked.onto):
            blobs = [_blob(layer) for layer in new.manifest.layers]
            self._store.origins.add(blobs, Reference.parse(self._asked.onto).repository)

    def _check(self, image: ImageSource, old: ImageSource, new: ImageSource) -> None:
        """Whether the layers lie on the new base as a build would lay them; told where that is not known."""
        count = len(old.config.diff_ids)
        own, below, onto = (
            self._trees(ids)
            for ids in (image.config.diff_ids[count:], old.config.diff_ids, new.config.diff_ids)
        )
        if own is None or below is None or onto is None:
            message = (
                f"what is in the layers of {image.name} or in its bases is not known on this machine, so nobody "
                "checked whether directories that they share still have the same owner and mode"
            )
            self._transfer.observer(Warned("rebase-unchecked", message))
            return
        bases = [Below([listing(layer) for layer in layers]) for layers in (below, onto)]
        for layer in own:
            path = misplaced(layer, bases[0], bases[1])
            if path is not None:
                raise UsageError(
                    "rebase-misplaced",
                    f"{new.name} has another /{path.decode(errors='replace')} than {old.name}",
                    hint="build the image again, so that its copies are laid over the new base",
                )

    def _trees(self, diff_ids: Sequence[Digest]) -> list[Tree] | None:
        found = []
        for diff_id in diff_ids:
            facts = self._store.layers.facts(diff_id)
            content = self._store.blobs.read(facts.tree) if facts else None
            if content is None:
                return None
            found.append(tree.decode(content))
        return found


def _blob(layer: Descriptor) -> Compressed:
    return Compressed(layer.digest, layer.size, layer.media_type)


def _blobs(image: ImageSource, new: ImageSource) -> OpenBlob:
    theirs = {layer.digest for layer in new.manifest.layers}

    def open_blob(digest: Digest) -> BinaryIO:
        return (new if digest in theirs else image).open_blob(digest)

    return open_blob

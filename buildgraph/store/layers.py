"""What is known of layers without their bytes. A layer's name is its diff ID.

Keys in the record index, with their values::

    layer:DIFFID               {"size": bytes of the tar, "tree": digest of the tree object}
    recipe:TREE:RESOLUTION     the diff ID (text) that a recipe became on a stack that it resolved so
    compressed:DIFFID          {CODEC: {"digest", "media_type", "size"}}
    dirs:DIFFID                the dirs index (bytes) that somebody else made of it
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.store.base import Compressed, LayerFacts
from buildgraph.store.blobs import LocalBlobs
from buildgraph.store.origins import LocalOrigins

if TYPE_CHECKING:
    from buildgraph.store.disk import Value
    from buildgraph.store.index import Index


class LocalLayers:
    """Facts, recipes and compressed forms; a compressed form whose blob nobody is known to have is a miss."""

    def __init__(
        self, index: Callable[[], "Index"], blobs: LocalBlobs, origins: LocalOrigins
    ) -> None:
        self._index = index
        self._blobs = blobs
        self._origins = origins

    def facts(self, diff_id: Digest) -> LayerFacts | None:
        """None also when the layer's tree object is gone."""
        facts = decode_facts(self._index().get(f"layer:{diff_id}"))
        return facts if facts and self._blobs.has(facts.tree) else None

    def put_facts(self, diff_id: Digest, facts: LayerFacts) -> None:
        value: Value = {"size": facts.size, "tree": facts.tree}
        if self._index().get(f"layer:{diff_id}") != value:
            self._index().set(f"layer:{diff_id}", value)

    def of_recipe(self, tree: Digest, resolution: str) -> Digest | None:
        """The layer that the recipe ``tree`` became where the stack below resolved to ``resolution``."""
        return parsed(self._index().get(f"recipe:{tree}:{resolution}"))

    def put_recipe(self, tree: Digest, resolution: str, diff_id: Digest) -> None:
        self._index().set(f"recipe:{tree}:{resolution}", diff_id)

    def compressed(self, diff_id: Digest, codec: str) -> Compressed | None:
        """The form that is here, or that can be fetched (``origins``)."""
        return self.known(diff_id).get(codec)

    def forms(self, diff_id: Digest) -> Mapping[str, Compressed]:
        """Every compressed form that is here, by codec identity."""
        known = decode_forms(self._index().get(f"compressed:{diff_id}"))
        alive = self._blobs.whole({form.digest: form.size for form in known.values()})
        return {codec: form for codec, form in known.items() if form.digest in alive}

    def known(self, diff_id: Digest) -> Mapping[str, Compressed]:
        """Every form that is here or that can be fetched; those that are here come first."""
        known = decode_forms(self._index().get(f"compressed:{diff_id}"))
        alive = self._blobs.whole({form.digest: form.size for form in known.values()})
        here = {codec: form for codec, form in known.items() if form.digest in alive}
        away = {codec: form for codec, form in known.items() if form.digest not in alive}
        return here | {c: form for c, form in away.items() if self._origins.places(form.digest)}

    def put_compressed(self, diff_id: Digest, codec: str, form: Compressed) -> Compressed:
        """The form that counts from now on: another's, if it was recorded first and its blob is here."""
        with self._index().transaction():
            forms = self.forms(diff_id)
            if codec not in forms:
                forms = {**self.known(diff_id), codec: form}
                self._index().set(f"compressed:{diff_id}", encode_forms(forms))
        return forms[codec]

    def put_away(self, diff_id: Digest, codec: str, form: Compressed) -> None:
        """A form that need not be here: ``origins`` knows who has it. What is here counts more."""
        with self._index().transaction():
            known = self.known(diff_id)
            if codec not in known:
                self._index().set(f"compressed:{diff_id}", encode_forms({**known, codec: form}))

    def dirs(self, diff_id: Digest) -> bytes | None:
        """The dirs index of a layer whose tree is not known here, as a remote cache gave it."""
        content = self._index().get(f"dirs:{diff_id}")
        return content if isinstance(content, bytes) else None

    def put_dirs(self, diff_id: Digest, content: bytes) -> None:
        self._index().set(f"dirs:{diff_id}", content)

    def forget_lost(self) -> None:
        """Forms that are neither here nor with anybody else any more."""
        index = self._index()
        with index.transaction():
            keys = index.keys()
            for key in (key for key in keys if key.startswith("compressed:")):
                forms, left = decode_forms(index.get(key)), self.known(Digest(key[11:]))
                if not left:
                    index.delete(key)
                elif len(left) < len(forms):
                    index.set(key, encode_forms(left))


def decode_facts(value: "Value") -> LayerFacts | None:
    match value:
        case {"tree": tree, "size": int(size)} if digest := parsed(tree):
            return LayerFacts(digest, size)
        case _:
            return None


def encode_forms(forms: Mapping[str, Compressed]) -> "Value":
    return {
        codec: {"digest": form.digest, "media_type": form.media_type, "size": form.size}
        for codec, form in forms.items()
    }


def decode_forms(value: "Value") -> dict[str, Compressed]:
    forms = {}
    for codec, form in value.items() if isinstance(value, dict) else ():
        match form:
            case {"digest": text, "size": int(size), "media_type": str(kind)} if digest := parsed(
                text
            ):
                forms[codec] = Compressed(digest, size, kind)
            case _:
                pass
    return forms


def parsed(value: "Value") -> Digest | None:
    try:
        return Digest.parse(value)
    except ContentError:
        return None

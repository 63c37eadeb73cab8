"""What is named, written and pushed of a build: an image for one platform, or the index of those for several.

An index lists its images in the order in which the platforms were asked for. It is there only if all of them are.
"""

from collections.abc import Iterator, Mapping, Sequence

from buildgraph.build.request import Place
from buildgraph.build.session import Session
from buildgraph.digest import Digest, key_of
from buildgraph.execute.ops_image import BuiltImage
from buildgraph.graph.graph import ImageTarget
from buildgraph.image.assemble import index_of
from buildgraph.image.content import Content
from buildgraph.image.source import ImageSource, OpenBlob
from buildgraph.names import Platform, Reference, unlabelled
from buildgraph.oci.descriptor import INDEX, Descriptor
from buildgraph.values import dataclass, field, replace

KEY = "${key}"


@dataclass(frozen=True, slots=True)
class Product:
    """``index`` are the bytes of the index, empty for one image. ``tags`` are the references of the whole.

    ``own_tags`` are those that only one image of an index has, ``implied`` what it is called if it has no tags.
    """

    target: str
    parts: tuple[BuiltImage, ...]
    platforms: tuple[Platform, ...]
    root: Descriptor
    tags: tuple[str, ...]
    own_tags: tuple[tuple[str, Descriptor], ...] = ()
    index: bytes = b""
    listed: Mapping[str, str] = field(default_factory=dict)
    """What a layout is told of the whole, beside its names."""

    @property
    def image(self) -> BuiltImage:
        """The only one."""
        return self.parts[0]

    @property
    def iid(self) -> Digest:
        """What identifies it for docker: the digest of its config, or of the index."""
        return self.root.digest if self.index else self.image.assembled.manifest.config.digest

    @property
    def layers(self) -> tuple[Digest, ...]:
        found = (layer.digest for part in self.parts for layer in part.assembled.manifest.layers)
        return tuple(dict.fromkeys(found)) if self.index else tuple(found)

    @property
    def size(self) -> int:
        """Bytes of all that a registry would hold of it."""
        layers = {
            layer.digest: layer.size for p in self.parts for layer in p.assembled.manifest.layers
        }
        documents = (
            len(p.assembled.manifest_bytes) + p.assembled.manifest.config.size for p in self.parts
        )
        one = self.image.assembled.size
        return sum(layers.values()) + sum(documents) + len(self.index) if self.index else one

    def content(self, open_blob: OpenBlob) -> Content:
        sources = [ImageSource.of(p.assembled, open_blob, self.target) for p in self.parts]
        if not self.index:
            return replace(Content.of(sources[0]), annotations=self.listed)
        documents = {d.digest: (d, text) for one in sources for d, text in one.documents()}
        layers = {layer.digest: layer for one in sources for layer in one.manifest.layers}
        listed = (*documents.values(), (self.root, self.index))
        return Content(
            self.target, self.root, listed, tuple(layers.values()), open_blob, self.listed
        )

    def names(self) -> Iterator[tuple[str, Descriptor]]:
        """All that the store is to call it, and each image of it."""
        for name in names_of(self.target, self.tags):
            yield name, self.root
        for tag, descriptor in self.own_tags:
            yield from ((name, descriptor) for name in names_of(self.target, (tag,)))


def products(
    session: Session, targets: Sequence[str], made: Mapping[str, BuiltImage]
) -> list[Product]:
    """Those of the image ``targets`` of which every part was made. Indexes are in the store from now on."""
    graph = session.workspace.graph
    found = []
    for target in targets:
        images = graph.chosen_images((target,))
        if images and all(image.name in made for image in images):
            parts = tuple(made[image.name] for image in images)
            found.append(_product(session, target, images, parts))
    return found


def _product(
    session: Session, target: str, images: Sequence[ImageTarget], parts: tuple[BuiltImage, ...]
) -> Product:
    name, tags = target.partition(":")[2], tags_of(session, target)
    family = session.workspace.graph.families.get(target)
    if family is None:
        made = parts[0].assembled
        told = _placed(session, "manifest-descriptor", made.config.platform)
        return Product(name, parts, (made.config.platform,), made.descriptor, tags, listed=told)
    index = _index(session, [part.assembled.descriptor for part in parts])
    session.store.blobs.put(index)
    return Product(
        name,
        parts,
        tuple(platform for platform, _ in family.members),
        Descriptor(INDEX, Digest.sha256(index), len(index)),
        tags,
        tuple(
            (tag, part.assembled.descriptor)
            for image, part in zip(images, parts, strict=True)
            for tag in _filled(session, image.tags, (image,))
        ),
        index,
        _placed(session, "index-descriptor"),
    )


def _index(session: Session, images: Sequence[Descriptor]) -> bytes:
    """With what ``--annotation`` puts there."""
    told = [
        replace(one, annotations=_placed(session, "manifest-descriptor", one.platform))
        for one in images
    ]
    return index_of(told, _placed(session, "index"))


def _placed(session: Session, place: Place, platform: Platform | None = None) -> dict[str, str]:
    asked = session.request.docker
    return {} if asked is None else asked.placed_at(place, platform)


def tags_of(session: Session, target: str) -> tuple[str, ...]:
    """The references of an image target: its own, those of ``-t``, with ``${key}`` filled in."""
    graph = session.workspace.graph
    family, images = graph.families.get(target), graph.chosen_images((target,))
    tags = images[0].tags if family is None else family.tags
    return tuple(dict.fromkeys((*_filled(session, tags, images), *session.request.tags)))


def all_tags_of(session: Session, image: ImageTarget) -> tuple[str, ...]:
    """Its own references, and those of the index that it is part of."""
    node, families = f"image:{image.name}", session.workspace.graph.families
    whole = (target for target in families if node in session.workspace.graph.members(target))
    tags = (tag for target in (node, *whole) for tag in tags_of(session, target))
    return tuple(dict.fromkeys(tags))


def _filled(
    session: Session, tags: Sequence[str], images: Sequence[ImageTarget]
) -> tuple[str, ...]:
    """The key of an index is made of those of its images."""
    if not any(KEY in tag for tag in tags):
        return tuple(tags)
    keys = [session.lookups.image_key(image) for image in images]
    key = keys[0] if len(keys) == 1 else key_of({"kind": "index", "images": keys})[:32]
    return tuple(tag.replace(KEY, key) for tag in tags)


def names_of(image: str, tags: Sequence[str]) -> list[str]:
    """Full references; an image without tags is called as its table, in lower case as references are."""
    return [Reference.parse(tag).familiar for tag in tags or (_implied(image.lower()),)]


def _implied(image: str) -> str:
    name = unlabelled(image)
    platform = image.removeprefix(name).removeprefix("@")
    return f"{name}:{platform.replace('/', '-') or 'latest'}"

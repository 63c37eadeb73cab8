"""Which bases are images of the workspace itself?

A ``base.image`` that equals a tag of a workspace image is that image: whatever stands on the base stands on the image,
so it is built rather than pulled, and a cycle through it is a cycle. Tags that hold ``${key}`` are known too late to be
linked; a reference with a digest is what somebody pinned on purpose, and is pulled.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from buildgraph.errors import UsageError
from buildgraph.names import Platform, Reference, unlabelled
from buildgraph.spec.model import (
    Base,
    BindMount,
    CacheMount,
    Copy,
    CopyItem,
    DockerCopy,
    DockerSource,
    Image,
    Mount,
    Ref,
    Run,
    Selection,
    Step,
)
from buildgraph.values import replace

_KEY = "${key}"


class Linked(NamedTuple):
    """``bases`` are without those that are images: ``links`` says which these are."""

    bases: dict[str, Base]
    steps: dict[str, Step]
    images: dict[str, Image]
    links: dict[str, str]


def link(
    bases: Mapping[str, Base],
    steps: Mapping[str, Step],
    images: Mapping[str, Image],
    platform: Platform,
) -> Linked:
    """``platform`` is the one that the workspace's images are built for."""
    tags = {
        meaning(tag): name
        for name, image in images.items()
        for tag in image.tags
        if _KEY not in tag
    }
    links = {
        Ref("base", base.name): Ref("image", tags[meaning(base.reference)])
        for base in bases.values()
        if base.kind == "image"
        and base.platform in (None, platform)
        and meaning(base.reference) in tags
    }
    if not links:
        return Linked(dict(bases), dict(steps), dict(images), {})
    linker = Linker(links)
    return Linked(
        {name: base for name, base in bases.items() if Ref("base", name) not in links},
        {name: linker.step(step) for name, step in steps.items()},
        {name: replace(image, on=linker.refs(image.on)) for name, image in images.items()},
        {base.name: image.name for base, image in links.items()},
    )


def meaning(reference: str) -> str:
    """The same text for every way to write a tag: docker's defaults filled in. Of a digest, the digest."""
    found = Reference.parse(reference)
    if found.digest:
        return f"{found.repository}@{found.digest}"
    return f"{found.repository}:{found.tag or 'latest'}"


def same_tag(images: Mapping[str, Image]) -> Iterator[tuple[Image, UsageError]]:
    """One mistake for each tag that two images have, said of the later one."""
    owners: dict[str, str] = {}
    for image in images.values():
        name = unlabelled(image.name)
        for tag in image.tags:
            if _KEY in tag:
                continue
            other = owners.setdefault(tag, name)
            if other != name:
                error = UsageError(
                    "duplicate-tag",
                    f"the images {other!r} and {name!r} have the same tag {tag}",
                    hint="${target.name} in a repository or tag is each image's own",
                    where=image.fields.get("tags", image.where),
                )
                yield image, error


class Linker:
    """Tables with other references in them: what ``links`` has no answer for stays; likewise names of contexts."""

    def __init__(self, links: Mapping[Ref, Ref], contexts: Mapping[str, str] | None = None) -> None:
        self._links = links
        self._contexts = contexts or {}

    def ref(self, ref: Ref) -> Ref:
        return self._links.get(ref, ref)

    def refs(self, refs: tuple[Ref, ...]) -> tuple[Ref, ...]:
        return tuple(dict.fromkeys(map(self.ref, refs)))

    def step(self, step: Step) -> Step:
        kind = step.kind
        match kind:
            case Copy(items):
                kind = Copy(tuple(map(self._item, items)))
            case Run():
                mounts = tuple(map(self._mount, kind.mounts))
                kind = replace(kind, tools=self.refs(kind.tools), mounts=mounts)
            case DockerCopy(sources):
                words = (self._word(w) if isinstance(w, DockerSource) else w for w in sources)
                kind = replace(kind, sources=tuple(words))
            case _:
                pass
        return replace(step, kind=kind, on=self.refs(step.on))

    def image(self, image: Image) -> Image:
        docker = image.docker
        if docker is not None:
            lines = (replace(o, step=self.ref(o.step)) if o.step else o for o in docker.history)
            docker = replace(docker, history=tuple(lines))
        return replace(image, on=self.refs(image.on), checks=self.refs(image.checks), docker=docker)

    def _word(self, word: DockerSource) -> DockerSource:
        context = self._contexts.get(word.context, word.context)
        return replace(word, ref=self.ref(word.ref) if word.ref else None, context=context)

    def _item(self, item: CopyItem) -> CopyItem:
        return replace(item, source=self._selection(item.source))

    def _mount(self, mount: Mount) -> Mount:
        match mount:
            case BindMount():
                return replace(mount, source=self._selection(mount.source))
            case CacheMount(seed=Selection() as seed):
                return replace(mount, seed=self._selection(seed))
            case _:
                return mount

    def _selection(self, source: Selection) -> Selection:
        context = self._contexts.get(source.context, source.context)
        return replace(source, ref=self.ref(source.ref) if source.ref else None, context=context)

"""The build graph: steps, images and groups of one workspace, immutable and acyclic by construction.

Steps are kept in an order in which every step stands after its inputs, so a build walks them without sorting.
What a change affects is asked of :meth:`BuildGraph.dag`, a networkx graph that is made when the first such question
comes: importing networkx costs more than a small build.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from buildgraph.digest import Digest
from buildgraph.errors import Location
from buildgraph.graph.step import Stack, Step, StepId, inputs_of
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.spec.model import HistoryLine
from buildgraph.values import dataclass, field

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, slots=True)
class ImageTarget:
    """An image: its stack, its runtime config and how it is kept. ``config`` holds no layers and no history.

    ``steps`` are the steps whose layers it is made of; ``checks`` must succeed before it is published.
    """

    name: str
    stack: Stack
    config: Config
    tags: tuple[str, ...]
    annotations: Mapping[str, str]
    checks: Stack
    squash: bool
    compression: Literal["gzip", "zstd", "none"]
    level: int | None
    merge_strict: bool
    where: Location
    description: str = ""
    epoch: int | None = None
    history: tuple[HistoryLine, ...] | None = None
    """Of an image from a Dockerfile, after that of its base; then layers that hold nothing are kept, too."""


@dataclass(frozen=True, slots=True)
class Family:
    """What a name stands for that several platforms have, each its own: targets by platform, in the order asked for.

    Of an image, ``tags`` are those that they have in common: they name the index of all.
    """

    members: tuple[tuple[Platform, str], ...]
    tags: tuple[str, ...] = ()


class Skipped(NamedTuple):
    """``where`` it is written for which platforms a step is."""

    kind: str
    platforms: tuple[Platform, ...]
    where: Location


@dataclass(frozen=True)
class BuildGraph:
    """``groups`` name images, steps and groups as ``image:x``, ``step:x``, ``group:x``; ``default`` likewise."""

    steps: Mapping[StepId, Step]
    images: Mapping[str, ImageTarget]
    groups: Mapping[str, tuple[str, ...]]
    default: tuple[str, ...]
    descriptions: Mapping[str, str] = field(default_factory=dict)
    families: Mapping[str, Family] = field(default_factory=dict)
    """By target."""
    bases: frozenset[str] = frozenset()
    off: Mapping[str, Location] = field(default_factory=dict)
    """Names that a condition switched off: no part of the graph."""
    skipped: Mapping[str, Skipped] = field(default_factory=dict)
    """Steps that are for other platforms alone, by target: no part of the graph."""

    def members(self, target: str) -> tuple[str, ...]:
        """The target itself, or what it stands for on several platforms."""
        family = self.families.get(target)
        return (target,) if family is None else tuple(member for _, member in family.members)

    def chosen_images(self, targets: Iterable[str]) -> list[ImageTarget]:
        """The images among ``targets``, for every platform."""
        nodes = (node for target in targets for node in self.members(target))
        return [self.images[name] for node in nodes if (name := _image_name(node))]

    def order(self, wanted: Iterable[StepId] | None = None) -> tuple[StepId, ...]:
        """All steps, or those ``wanted``, inputs first; the same order in every run."""
        if wanted is None:
            return tuple(self.steps)
        chosen = frozenset(wanted)
        return tuple(step for step in self.steps if step in chosen)

    def needed(self, targets: Iterable[str], *, checks: bool = True) -> tuple[StepId, ...]:
        """The steps that ``targets`` (``image:x`` or ``step:x``) need, themselves included, inputs first."""
        todo: list[StepId] = []
        for target in targets:
            for member in self.members(target):
                todo += self._roots(member, checks=checks)
        found: set[StepId] = set()
        while todo:
            step = todo.pop()
            if step not in found:
                found.add(step)
                todo += inputs_of(self.steps[step])
        return self.order(found)

    def _roots(self, target: str, *, checks: bool) -> Iterator[StepId]:
        kind, _, name = target.partition(":")
        if kind != "image":
            yield StepId(target)
            return
        image = self.images[name]
        yield from image.stack
        if checks:
            yield from image.checks

    def flatten(self, targets: Iterable[str]) -> tuple[str, ...]:
        """Groups replaced by what they name, each target once, in order."""
        found: dict[str, None] = {}
        for target in targets:
            kind, _, name = target.partition(":")
            found.update(
                dict.fromkeys(self.flatten(self.groups[name]) if kind == "group" else (target,))
            )
        return tuple(found)

    @cached_property
    def dag(self) -> "nx.DiGraph[str]":
        """An edge from every input to what needs it; nodes are step ids, ``image:x`` and ``group:x``."""
        import networkx as nx

        dag: nx.DiGraph[str] = nx.DiGraph()
        for step in self.steps.values():
            dag.add_node(step.id)
            dag.add_edges_from((source, step.id) for source in inputs_of(step))
        for image in self.images.values():
            dag.add_node(f"image:{image.name}")
            dag.add_edges_from((step, f"image:{image.name}") for step in image.stack + image.checks)
        for target, family in self.families.items():
            dag.add_node(target)
            dag.add_edges_from((member, target) for _, member in family.members)
        for name, members in self.groups.items():
            dag.add_node(f"group:{name}")
            dag.add_edges_from((member, f"group:{name}") for member in members)
        return dag

    def affected(self, changed: Iterable[str]) -> frozenset[str]:
        """All that depends on one of ``changed``, themselves included."""
        import networkx as nx

        found = set(changed)
        for node in tuple(found):
            found |= nx.descendants(self.dag, node)
        return frozenset(found)


def _image_name(node: str) -> str:
    kind, _, name = node.partition(":")
    return name if kind == "image" else ""


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What is known of a base before any of its bytes are read."""

    layers: tuple[Digest, ...]
    config: Config
    name: str = ""
    manifest: str = ""
    """What a registry calls the base, and the digest of its manifest; empty for a local one."""

"""One workspace for several platforms: the model of each, joined to one.

A table is read once for every platform. Where all readings are the same it stays one table, and what it makes is made
once: files of the context, and all that rests on ``platform = "build"`` or ``FROM --platform=$BUILDPLATFORM`` alone.
Where they differ, because they name other tables, other values or the platform itself, each is a table of its own,
called ``NAME@PLATFORM``; :attr:`Model.variants` says what a name that was written stands for then.

A step with ``platform = "build"`` is, with all below it, as the model of the machine's own platform has it.
"""

from collections.abc import Iterable, Mapping, Sequence

from buildgraph.names import Platform, labelled
from buildgraph.spec.cycles import walk
from buildgraph.spec.linking import Linker
from buildgraph.spec.model import (
    Base,
    FileContext,
    Group,
    Image,
    Model,
    Packages,
    Ref,
    Run,
    Step,
    Variants,
)
from buildgraph.spec.part import below
from buildgraph.spec.stacks import needs
from buildgraph.values import replace

Table = Base | Step | Image


def joined(models: Mapping[Platform, Model], asked: Sequence[Platform], machine: Platform) -> Model:
    """``models`` has one for each platform that is ``asked`` for, and that of the machine if a step needs it."""
    joining = _Joining(models, asked, machine)
    for platform in sorted(
        models, key=lambda one: one != machine
    ):  # others take from the machine's
        joining.take(platform)
    return joining.model()


class _Joining:
    """``called``: until all is known, a table of one platform's model is called by the first platform that has it."""

    def __init__(
        self, models: Mapping[Platform, Model], asked: Sequence[Platform], machine: Platform
    ) -> None:
        self.models = models
        self.asked = asked
        self.machine = machine
        self.tables: dict[Ref, dict[Ref, Table]] = {}
        self.called: dict[Platform, dict[Ref, Ref]] = {platform: {} for platform in models}
        self.contexts: dict[str, FileContext] = {}

    def take(self, platform: Platform) -> None:
        model, called = self.models[platform], self.called[platform]
        linker = Linker(called, self._contexts(platform, model))
        tables = dict(_tables(model))
        wanted = tables if platform in self.asked else _below_build_steps(model)
        for ref, table in tables.items():
            if ref not in wanted:
                continue
            if isinstance(table, Step) and table.platform_build and platform != self.machine:
                called[ref] = self.called[self.machine][ref]
                continue
            made = _linked(_placed(table, platform), linker)
            known = self.tables.setdefault(ref, {})
            same = next((name for name, one in known.items() if _is_equal(one, made)), None)
            if same is None:
                same = Ref(ref.kind, labelled(ref.name, platform))
                known[same] = made
            called[ref] = same

    def _contexts(self, platform: Platform, model: Model) -> dict[str, str]:
        """The names of contexts that are other folders than for an earlier platform."""
        moved = {}
        for name, context in model.contexts.items():
            if self.contexts.setdefault(name, context) != context:
                moved[name] = labelled(name, platform)
                self.contexts[moved[name]] = context
        return moved

    def model(self) -> Model:
        first = self.models[self.asked[0]]
        names = self._names()
        linker = Linker(names)
        bases: dict[str, Base] = {}
        steps: dict[str, Step] = {}
        images: dict[str, Image] = {}
        for known in self.tables.values():
            for called, table in known.items():
                match _named(table, names[called].name, called):
                    case Base() as base:
                        bases[base.name] = base
                    case Step() as step:
                        steps[step.name] = linker.step(step)
                    case Image() as image:
                        images[image.name] = linker.image(self._checked(image))
        platforms = tuple(self.asked)
        return replace(
            first,
            workspace=replace(first.workspace, default=self._default(), platforms=platforms),
            bases=bases,
            steps=steps,
            images=images,
            groups=self._groups(),
            contexts=self.contexts,
            variants=self._variants(names),
        )

    def _checked(self, image: Image) -> Image:
        """Its checks, which may stand on the image itself, are those of its platform."""
        if image.platform is None:
            return image
        called = self.called[image.platform]
        return replace(image, checks=tuple(called[check] for check in image.checks))

    def _names(self) -> dict[Ref, Ref]:
        """A table that every platform shares that was asked for, and has it, is called as it was written."""
        names = {}
        for ref, known in self.tables.items():
            asked = {self.called[p][ref] for p in self.asked if ref in self.called[p]}
            for called in known:
                names[called] = ref if {called} == asked or len(known) == 1 else called
        return names

    def _variants(self, names: Mapping[Ref, Ref]) -> dict[Ref, Variants]:
        found = {}
        for ref in self.tables:
            members = tuple(
                (platform, names[self.called[platform][ref]])
                for platform in self.asked
                if ref in self.called[platform]
            )
            if len({member for _, member in members}) > 1:
                found[ref] = members
        return found

    def _default(self) -> tuple[Ref, ...]:
        return _union(self.models[platform].workspace.default for platform in self.asked)

    def _groups(self) -> dict[str, Group]:
        found: dict[str, Group] = {}
        for platform in self.asked:
            for name, group in self.models[platform].groups.items():
                targets = _union((found.get(name, group).targets, group.targets))
                found[name] = replace(group, targets=targets)
        return found


def _tables(model: Model) -> Iterable[tuple[Ref, Table]]:
    """Each after those that it names."""
    for name, base in model.bases.items():
        yield Ref("base", name), base
    tables: dict[str, Step | Image] = {**model.steps, **model.images}
    for name in walk({name: _needed(table) for name, table in tables.items()}).order:
        if name in model.steps:
            yield Ref("step", name), model.steps[name]
        if name in model.images:
            yield Ref("image", name), model.images[name]


def _needed(table: Step | Image) -> list[str]:
    """A check may stand on the image that it checks, and is then no part of it."""
    return [ref.name for ref, _ in needs(table)]


def _below_build_steps(model: Model) -> frozenset[Ref]:
    return below(model, (Ref("step", s.name) for s in model.steps.values() if s.platform_build))


def _placed(table: Table, platform: Platform) -> Table:
    """With the platform in it, if what it makes depends on that."""
    match table:
        case Base():
            return replace(table, platform=table.platform or platform)
        case Step(kind=Run() | Packages(), platform=None):
            return replace(table, platform=platform)
        case Step(platforms=platforms) if platforms:
            return replace(table, platform=platform)
        case Image(docker=None):
            return replace(table, platform=platform)
        case _:
            return table


def _is_equal(one: Table, two: Table) -> bool:
    """A base of a Dockerfile stands where it was first met, which is no difference."""
    return replace(one, where=two.where) == two


def _linked(table: Table, linker: Linker) -> Table:
    match table:
        case Base():
            return table
        case Step():
            return linker.step(table)
        case Image():
            return replace(linker.image(table), checks=table.checks)


def _named(table: Table, name: str, called: Ref) -> Table:
    made = replace(table, name=name)
    if isinstance(made, Step) and name == called.name and made.title.startswith("["):
        return replace(made, title=f"[{name.rpartition('@')[2]} {made.title[1:]}")
    return made


def _union(several: Iterable[tuple[Ref, ...]]) -> tuple[Ref, ...]:
    return tuple(dict.fromkeys(ref for refs in several for ref in refs))

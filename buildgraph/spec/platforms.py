"""One workspace for several platforms: the model of each, joined to one.

A table is read once for every platform. Where all readings are the same it stays one table, and what it makes is made
once: files of the context, and all that rests on ``platform = "build"`` or ``FROM --platform=$BUILDPLATFORM`` alone.
Where they differ, because they name other tables, other values or the platform itself, each is a table of its own,
called ``NAME@PLATFORM``; :attr:`Model.variants` says what a name that was written stands for then.

A step with ``platform = "build"`` is, with all below it, as the model of the machine's own platform has it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from buildgraph.errors import Location
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


Parts = Mapping[str, tuple[Platform, ...]]
"""Images that are for other platforms than the rest, and for which; none if it is left out."""


def parts_of(model: Model, given: Sequence[Platform]) -> Parts:
    """What ``platforms`` of images says, where the command line ``given`` leaves it that."""
    asked = tuple(given) or model.workspace.platforms or (model.workspace.platform,)
    found = {}
    for name, image in model.images.items():
        own = image.platforms or asked
        part = tuple(platform for platform in own if platform in given) if given else own
        if part != asked:
            found[name] = part
    return found


def joined(
    models: Mapping[Platform, Model],
    asked: Sequence[Platform],
    machine: Platform,
    parts: Parts | None = None,
) -> Model:
    """``models`` has one for each platform that is ``asked`` for, or that an image has a part on, and that of the
    machine if a step needs it."""
    joining = _Joining(models, asked, machine, parts or {})
    for platform in sorted(
        models, key=lambda one: one != machine
    ):  # others take from the machine's
        joining.take(platform)
    return joining.model()


class _Joining:
    """``called``: until all is known, a table of one platform's model is called by the first platform that has it."""

    def __init__(
        self,
        models: Mapping[Platform, Model],
        asked: Sequence[Platform],
        machine: Platform,
        parts: Parts,
    ) -> None:
        self.models = models
        self.asked = asked
        self.parts = parts
        self.machine = machine
        self.tables: dict[Ref, dict[Ref, Table]] = {}
        self.called: dict[Platform, dict[Ref, Ref]] = {platform: {} for platform in models}
        self.contexts: dict[str, FileContext] = {}

    def take(self, platform: Platform) -> None:
        model, called = self.models[platform], self.called[platform]
        linker = Linker(called, self._contexts(platform, model))
        tables = dict(_tables(model))
        wanted = self._wanted(platform, model, tables)
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

    def _wanted(
        self, platform: Platform, model: Model, tables: Mapping[Ref, Table]
    ) -> Collection[Ref]:
        """All of it for a platform that was asked for, but for images without a part on it; else what others need."""
        images = [Ref("image", name) for name in model.images]
        images = [ref for ref in images if platform in self._platforms(ref)]
        steps = [Ref("step", s.name) for s in model.steps.values() if s.platform_build]
        needed = below(model, (*images, *(steps if platform == self.machine else ())))
        if platform not in self.asked:
            return needed
        return [ref for ref in tables if ref.kind != "image" or ref in needed or not self.parts]

    def _platforms(self, ref: Ref) -> Sequence[Platform]:
        """Those on which a table was asked for, and takes part."""
        if ref.kind == "image":
            return self.parts.get(ref.name, self.asked)
        own = {
            platform
            for table in self.tables.get(ref, {}).values()
            if isinstance(table, Step)
            for platform in table.platforms
        }
        return [platform for platform in self.asked if not own or platform in own]

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
            off=self._off(),
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
            asked = {self.called[p][ref] for p in self._platforms(ref) if ref in self.called[p]}
            for called in known:
                names[called] = ref if {called} == asked or len(known) == 1 else called
        return names

    def _variants(self, names: Mapping[Ref, Ref]) -> dict[Ref, Variants]:
        found = {}
        for ref in self.tables:
            members = tuple(
                (platform, names[self.called[platform][ref]])
                for platform in self._platforms(ref)
                if ref in self.called[platform]
            )
            if len({member for _, member in members}) > 1:
                found[ref] = members
        return found

    def _default(self) -> tuple[Ref, ...]:
        return self._left(_union(m.workspace.default for m in self.models.values()))

    def _groups(self) -> dict[str, Group]:
        found: dict[str, Group] = {}
        for model in self.models.values():
            for name, group in model.groups.items():
                targets = _union((found.get(name, group).targets, group.targets))
                found[name] = replace(group, targets=self._left(targets))
        return found

    def _left(self, refs: tuple[Ref, ...]) -> tuple[Ref, ...]:
        """Without what is on none of the platforms that it was asked for on."""
        return tuple(
            ref
            for ref in refs
            if ref.kind == "group" or any(ref in self.called[p] for p in self._platforms(ref))
        )

    def _off(self) -> dict[str, Location]:
        """The names that are switched off on all platforms."""
        here = {ref.name for ref in self.tables}
        off = {name: where for model in self.models.values() for name, where in model.off.items()}
        return {name: where for name, where in off.items() if name not in here}


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

"""One reading of one document: the tables in their order, from what was written to the model."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from buildgraph.errors import Location  # noqa: TC001 - read by people, and by get_type_hints
from buildgraph.spec import cacheurl, stacks
from buildgraph.spec.again import read_again
from buildgraph.spec.decode import TOP, Decoder
from buildgraph.spec.defaults import KINDS, inherit
from buildgraph.spec.fill import Conditions, Filling
from buildgraph.spec.images import Holds, lower_image
from buildgraph.spec.late import holes
from buildgraph.spec.linking import link, same_tag
from buildgraph.spec.load import Given
from buildgraph.spec.mistakes import MistakesError
from buildgraph.spec.model import Image, Late, Model, Ref, RefKind, Secret, Workspace
from buildgraph.spec.omit import without
from buildgraph.spec.parse import Written, nul_character
from buildgraph.spec.position import Path
from buildgraph.spec.problems import Problems
from buildgraph.spec.resolve import Names
from buildgraph.spec.source import Source, Surroundings
from buildgraph.spec.steps import lower_step
from buildgraph.spec.tables import (
    expand_targets,
    lower_base,
    lower_group,
    lower_secret,
    workspace_epoch,
    workspace_name,
    workspace_platforms,
)
from buildgraph.spec.variables import NAME, RESERVED, Target, Variables, declare

T = TypeVar("T")
VERSION = 1


class Reading:
    """``variables`` and ``around`` remember what was consulted; ``remarks`` are (code, message, place)."""

    def __init__(self, written: Written, given: Given) -> None:
        self._document = without(written.document, written.nul)
        self._given = given
        self.problems = Problems(written.positions)
        self._left_out = frozenset(written.nul)
        for path in written.nul:
            self.problems.adopt(nul_character(), path)
        self._waiting: set[Path] = set()
        """What only the second reading of a table can understand."""
        self._lost: set[str] = set()
        """Names of tables below a word that means nothing, and such words themselves."""
        self.remarks: list[tuple[str, str, Location]] = []
        self._decoder = Decoder(self.problems)
        self._head()
        self.variables = self._variables()
        self._conditions = Conditions(self.variables)
        self._workspace = self._table("workspace", (), Target())
        self._target = self._common()
        self._defaults = self._inherited()
        names = Names(self.problems, lost={*self._lost}, open_ended=self._is_open(*NAMED, "secret"))
        self.around = Surroundings(
            self.problems,
            names,
            given.machine,
            self._target.platform or given.machine,
            given.exists,
            frozenset(self._tables("secret")) | given.secrets,
            glob=given.glob,
        )
        self._workspace.around = self.around

    def model(self) -> Model:
        """Raises :class:`MistakesError`."""
        self._declare()
        secrets = self._lowered("secret", lower_secret)
        bases = self._lowered("base", lower_base)
        steps = self._lowered("step", lower_step)
        images = self._lowered("image", self._image)
        groups = self._lowered("group", lower_group)
        self._uninherited()
        names = self.around.names.refs
        workspace = self._finish(names)
        linked = link(bases, steps, images, workspace.platform)
        bases, steps, images = linked.bases, linked.steps, linked.images
        stacks.check(steps, images, groups, names, self.around.unsure, self.problems)
        for image, error in same_tag(images):
            self.problems.adopt(error, ("image", image.name, "tags"))
        model = Model(
            workspace=workspace,
            bases=bases,
            steps=steps,
            images=images,
            groups=groups,
            secrets=secrets | self._outside(secrets),
            variables=dict(self.variables.values),
            off={n: self.problems.location(at) for n, at in self.around.names.off.items()},
            linked=linked.links,
        )
        if self.problems:
            raise MistakesError(self.problems.errors(), model, self._faulty(model))
        return model

    def _faulty(self, model: Model) -> frozenset[Ref]:
        """The tables that are not what somebody meant, or that there is nothing of."""
        made = {**model.bases, **model.steps, **model.images, **model.groups, **model.linked}
        return frozenset(
            ref
            for name, ref in self.around.names.refs.items()
            if name not in made
            or name in self.around.unsure
            or (ref.kind, name) in self.problems.tables
        )

    def _head(self) -> None:
        document, problems = self._document, self.problems
        version = document.get("buildfile")
        if "buildfile" not in document:
            problems.add(
                "no-version", "the file does not say its version", hint="begin with: buildfile = 1"
            )
        elif type(version) is not int or version != VERSION:
            problems.add(
                "bad-version",
                f"buildfile = {version!r} is not known",
                ("buildfile",),
                hint="write buildfile = 1",
            )
        for key in document:
            if key == "fragment":
                self._decoder.unsupported((key,), "[fragment.NAME]", "extends")
            elif key not in TOP:
                self._decoder.unknown((key,), TOP)
                inside = document[key]
                self._lost |= {key, *inside} if isinstance(inside, dict) else {key}

    def _is_open(self, *kinds: str) -> bool:
        """Are there tables of these kinds whose names nobody can tell?"""
        return any(not isinstance(self._document.get(kind, {}), dict) for kind in kinds)

    def _variables(self) -> Variables:
        decoded = self._decoder.decode(
            "vars", self._document.get("vars", {}), ("vars",), failed=self._within(("vars",))
        )
        lost = {str(path[1]) for path in decoded.broken if path[2:] in ((), ("default",))}
        open_choices = {str(path[1]) for path in decoded.broken if path[2:3] == ("choices",)}
        good = {}
        for name, value in decoded.table.items():
            if name in RESERVED or not NAME.fullmatch(name):
                why = "is built in" if name in RESERVED else "cannot be the name of a variable"
                hint = "choose another; names are made of letters, digits, '_' and '-', and begin with no digit"
                self.problems.add("bad-name", f"{name!r} {why}", ("vars", name), hint=hint)
            else:
                good[name] = without(value, {("choices",)}) if name in open_choices else value
        given = self._given
        variables = Variables(
            declare(good.items()),
            given.sets,
            given.environ,
            given.git,
            given.machine,
            given.folder,
            self.problems,
            self._lost | lost,
            self._is_open("vars"),
        )
        variables.check()
        return variables

    def _common(self) -> Target:
        """What holds for every table: the platform and the epoch."""
        workspace, given = self._workspace, self._given
        self._platforms = workspace_platforms(workspace)
        platform = given.platform or (*self._platforms, given.machine)[0]
        path = ("workspace", "epoch")
        epoch = workspace_epoch(workspace, lambda: self.variables.git_fact("time", path))
        self.variables.workspace = workspace_name(workspace, given.folder)
        self._epoch = epoch
        return Target(platform=platform, epoch=FIXED_TIME if epoch is None else epoch)

    def _inherited(self) -> dict[str, dict[str, Any]]:
        written = self._document.get("workspace")
        written = written.get("defaults") if isinstance(written, dict) else None
        found: dict[str, dict[str, Any]] = {}
        for kind, table in (written if isinstance(written, dict) else {}).items():
            path: Path = ("workspace", "defaults", kind)
            if kind not in ("step", "image"):
                self._decoder.unknown(path, ("step", "image"))
                continue
            self._decoder.decode(kind, table, path, raw=True, failed=self._within(path))
            if isinstance(table, dict):
                found[kind] = table
                for key in set(KINDS).intersection(table) if kind == "step" else ():
                    cure = "what a step does stands in its own table; leave it out"
                    self._decoder.unknown((*path, key), (), cure=cure)
        return found

    def _declare(self) -> None:
        names = self.around.names
        for kind in NAMED:
            for name, table in self._tables(kind).items():
                if isinstance(table, dict):
                    names.open_ended |= "name" in table and (
                        "matrix" in table or "extends" in table
                    )
                    condition = table.get("when") if kind != "base" else None
                    target = self._target._replace(name=name)
                    if self._conditions.hold(condition, target, (kind, name, "when")) is False:
                        names.off[name] = (kind, name, "when")
                        continue
                names.declare(kind, name)

    def _tables(self, kind: str) -> dict[str, Any]:
        tables = self._document.get(kind, {})
        if isinstance(tables, dict):
            return tables
        hint = f"write [{kind}.NAME]"
        self.problems.add("wrong-type", f"{kind} must be a table of tables", (kind,), hint=hint)
        return {}

    def _lowered(self, kind: str, lower: Callable[[Source], T | None]) -> dict[str, T]:
        found = {}
        for name in self._tables(kind):
            names = self.around.names
            if kind != "base" and names.off.get(name) == (kind, name, "when"):
                continue
            source = self._table(kind, (name,), self._target._replace(name=name))
            if self._unfinished(source):
                continue
            value = lower(source)
            if source.broken - self._waiting:  # told here, or where what is used here stands
                self.problems.tables.add((kind, name))
            if value is not None and (kind == "secret" or names.places.get(name) == (kind, name)):
                found[name] = value
        return found

    def _table(self, kind: str, place: Path, target: Target) -> Source:
        written: Any = self._document.get(kind, {})
        for part in place:
            written = written[part]
        path: Path = (kind, *place)
        if isinstance(written, dict) and kind in ("step", "image"):
            origin: Path = ("workspace", "defaults", kind)
            inherited = self._defaults.get(kind, {})
            written = inherit(written, path, inherited, origin, self.problems.moved)
        return self._understood(kind, written, path, target)

    def _understood(self, kind: str, written: Any, path: Path, target: Target) -> Source:
        raw = False
        failed = self._within(path)
        late: Late | None = None
        if isinstance(written, dict):
            raw = self._decoder.refused(kind, written)
            if not raw:
                if written.get("platform") == "build":
                    target = target._replace(platform=self._given.machine)
                plain = {key: value for key, value in written.items() if key != "defaults"}
                on = bool(written.get("on")) or _lacks_stack(kind, written)
                filling = Filling(self.variables, target, on=on, failed=failed)
                written = filling.all(plain, path)
                if filling.waits:
                    late = self._late(written, path, failed)
        decoded = self._decoder.decode(kind, written, path, raw=raw, failed=failed)
        around = self.around if len(path) > 1 else None
        return Source(decoded.table, path, around or self._early(), decoded.broken, late)

    def _uninherited(self) -> None:
        """What no table inherits is looked at as if one did that says nothing else."""
        moved = self.problems.moved
        used = {at[2:4] for at in moved.values() if at[:2] == ("workspace", "defaults")}
        lower: dict[str, Callable[[Source], object]] = {"step": lower_step, "image": self._image}
        for kind, table in self._defaults.items():
            left = {k: table[k] for k in table if (kind, k) not in used and k not in KINDS}
            nameless: Path = (kind, "")
            moved[nameless] = ("workspace", "defaults", kind)
            own = {"run": "true"} if kind == "step" else {}
            source = self._understood(kind, left | own, nameless, self._target._replace(name=kind))
            source.broken.add((*nameless, "on"))
            lower[kind](source)

    def _late(self, written: dict[str, Any], path: Path, failed: set[Path]) -> Late | None:
        """What the first reading cannot understand counts as ``failed``, but for keys that nobody understands."""
        found = [*holes(written, path)]
        waiting = {h.path for h in found if not h.stays and self._decoder.knows(h.path)}
        self._waiting |= waiting
        failed |= waiting
        if all(hole.free for hole in found):
            return None
        read = partial(read_again, self.around, path, self._holds(path))
        return Late(written, tuple(hole.text for hole in found), read)

    def _within(self, path: Path) -> set[Path]:
        """What was left out of the table before it was looked at."""
        return {place for place in self._left_out if place[: len(path)] == path}

    def _early(self) -> Surroundings:
        given = self._given
        return Surroundings(
            self.problems, Names(self.problems), given.machine, given.machine, given.exists
        )

    def _unfinished(self, source: Source) -> bool:
        """Is something in the table, as a whole, not supported yet? Then nothing more can be said about it."""
        kind = str(source.path[0])
        written = self._document[kind][source.path[1]]
        return not isinstance(written, dict) or self._decoder.refused(kind, written)

    def _image(self, source: Source) -> Image | None:
        return lower_image(source, self._holds(source.path))

    def _holds(self, table: Path) -> Holds:
        target = self._target._replace(name=str(table[1]))
        return lambda text, path: self._conditions.hold(text, target, path)

    def _finish(self, names: dict[str, Ref]) -> Workspace:
        source = self._workspace
        default = expand_targets(source, "default")
        if "default" not in source:
            images = tuple(ref for ref in names.values() if ref.kind == "image")
            default = images or tuple(ref for ref in names.values() if ref.kind == "step")
        return Workspace(
            name=self.variables.workspace,
            default=default,
            platform=self._target.platform or self._given.machine,
            platforms=self._platforms,
            ignore=source.globs("ignore"),
            epoch=self._epoch,
            ca=source.table.get("ca", ""),
            ca_where=source.at("ca") if "ca" in source.table else None,
            caches=source.each("cache", cacheurl.parse),
        )

    def _outside(self, defined: dict[str, Secret]) -> dict[str, Secret]:
        return {name: Secret(name) for name in sorted(self._given.secrets - set(defined))}


def _lacks_stack(kind: str, table: dict[str, Any]) -> bool:
    """Does it need one and has none? That is told, and not that its variables come from nowhere."""
    return not table.get("on") and (
        "run" in table or (kind == "image" and "dockerfile" not in table)
    )


NAMED: tuple[RefKind, ...] = ("base", "step", "image", "group")
FIXED_TIME = 315532800
"""1980-01-01T00:00:00Z: the time of everything that has no time of its own."""

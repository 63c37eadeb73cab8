"""COPY, ADD and WORKDIR → copy and write steps of a Buildfile."""

from posixpath import join, normpath

from buildgraph.dockerfile.rewrite.ignore import (
    ANY,
    Chosen,
    Rule,
    below,
    glob_part,
    parts_of,
    selections,
)
from buildgraph.dockerfile.rewrite.place import Around, Context, mode_text, owner_text
from buildgraph.dockerfile.rewrite.toml import Value
from buildgraph.errors import Location, UsageError
from buildgraph.fs.gomatch import is_wild, literal
from buildgraph.spec import model as m
from buildgraph.values import dataclass, field

_ARCHIVES: tuple[str, ...] = (
    *(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst"),
    *(".tzst", ".gz", ".bz2", ".xz", ".zst"),
)

Item = dict[str, Value]


@dataclass(slots=True)
class Body:
    """The keys of one step, and what is to be said above it."""

    values: dict[str, Value]
    comments: list[str] = field(default_factory=list)


def bodies(step: m.Step, copy: m.DockerCopy, around: Around) -> list[Body]:
    """One step, or two where a COPY has paths and documents."""
    writing = _Copying(step, copy, around)
    made = [body for body in (writing.copied(), writing.written()) if body is not None]
    if len(made) > 1:
        made[1].comments.append("a layer of its own; docker has it in the one above")
    if made and copy.owner is not None and _has_names(copy.owner):
        for body in made:
            body.values = {"on": list(around.refs(step.on)), **body.values}
    return made


def is_archive(name: str) -> bool:
    return name.lower().endswith(_ARCHIVES)


class _Copying:
    def __init__(self, step: m.Step, copy: m.DockerCopy, around: Around) -> None:
        self._step = step
        self._copy = copy
        self._around = around
        self._comments: list[str] = []

    def _wrong(self, message: str) -> None:
        self._around.problems.add(self._step.where, message)

    def copied(self) -> Body | None:
        items: list[Item] = []
        for source in self._copy.sources:
            match source:
                case m.DockerSource():
                    items += self._items(source)
                case m.RemoteFile(url=url) | m.GitTree(url=url):
                    self._wrong(f"ADD of {_public(url)}: no step of a Buildfile fetches yet")
                case m.InlineFile():
                    pass
        if not items:
            return None
        values: list[Value] = [{**item, **self._attributes()} for item in items]
        return Body({"copy": values}, [*self._comments, *self._differences()])

    def _attributes(self) -> Item:
        copy, found = self._copy, Item()
        if copy.owner is not None:
            found["owner"] = owner_text(copy.owner)
        if copy.mode is not None:
            found["mode"] = mode_text(copy.mode)
        return found

    def _differences(self) -> list[str]:
        mode = self._copy.mode
        if (
            mode is None
            or mode.octal is None
            or mode.octal | (mode.octal & 0o444) >> 2 == mode.octal
        ):
            return []
        return [f"docker would give folders the mode {mode.octal:04o}, too"]

    # -- sources

    def _items(self, source: m.DockerSource) -> list[Item]:
        try:
            folder, include = self._place(source)
        except UsageError as error:
            self._around.problems.add(self._step.where, error.message, error.hint)
            return []
        if self._unpacks(source):
            name = source.pattern.strip("/")
            self._wrong(f"ADD unpacks {name}, and a copy step of a Buildfile copies archives")
            return []
        to = self._copy.to
        if include and not to.endswith("/"):
            to += "/"
        exclude = tuple("/".join(parts_of(each.strip("/"))) for each in self._copy.exclude)
        if source.ref is not None:
            item: Item = {"from": self._around.source(source.ref)}
            if folder:
                item["path"] = f"/{folder}"
            return [_chosen(item, Chosen(include, exclude)) | {"to": to}]
        context = self._around.context(source.context, self._step.where)
        if context is None:
            return []
        item = {"from": context.at(folder or ".")}
        found = self._narrowed(context, folder, include, self._step.where)
        return [
            _chosen(item, Chosen(each.include, (*each.exclude, *exclude))) | {"to": to}
            for each in found
        ]

    def _place(self, source: m.DockerSource) -> tuple[str, tuple[str, ...]]:
        """The folder or file, and what of it. Raises UsageError."""
        pattern = source.pattern.lstrip("/")
        if self._copy.parents:
            above, pivot, rest = pattern.partition("./") if pattern[:2] == "./" else _pivot(pattern)
            if is_wild(above):
                raise _unsayable(pattern)
            return literal(above).strip("/"), parts_glob(rest) if rest or pivot else ()
        parts = [part for part in pattern.split("/") if part]
        wild = [at for at, part in enumerate(parts) if is_wild(part)]
        if not wild:
            return literal("/".join(parts)), ()
        if wild[0] != len(parts) - 1 or parts[-1] == ANY:
            raise _unsayable(pattern)
        if "." not in parts[-1]:
            self._comments.append("docker would copy what is in folders that match, not the folder")
        return literal("/".join(parts[:-1])), (glob_part(parts[-1]),)

    def _unpacks(self, source: m.DockerSource) -> bool:
        copy = self._copy
        if source.ref is not None or not copy.add or copy.unpack is False:
            return False
        return is_archive(source.pattern) or copy.unpack is True

    def _narrowed(
        self, context: Context, folder: str, include: tuple[str, ...], where: Location
    ) -> list[Chosen]:
        """What the ignore file leaves of it; without ``!`` the workspace's own ``ignore`` says so."""
        if not context.takes_back:
            if not folder and not include and context.whole:
                return [Chosen(("*", *context.whole))]
            return [Chosen(include)]
        rules = below(context.rules, folder)
        if not include:
            return selections(rules) or [Chosen()]
        return [_within(include, rules, where, self._around)]

    # -- documents

    def written(self) -> Body | None:
        copy = self._copy
        found: dict[str, Value] = {}
        for source in copy.sources:
            if isinstance(source, m.InlineFile):
                path = join(copy.to, source.name) if copy.to.endswith("/") else copy.to
                attributes = self._attributes()
                found[path] = (
                    {"text": source.content, **attributes} if attributes else source.content
                )
        return Body({"write": found}) if found else None


def _within(
    include: tuple[str, ...], rules: tuple[Rule, ...], where: Location, around: Around
) -> Chosen:
    """A wildcard where the ignore file takes things back: only where one of its lines is that wildcard."""
    for chosen in selections(rules):
        if not chosen.include or set(include) <= set(chosen.include):
            return Chosen(include, chosen.exclude)
    around.problems.add(
        where,
        f"the wildcard {include[0]!r} meets an ignore file with '!' in a way that no globs say",
        "name the files, or write the ignore file without '!'",
    )
    return Chosen(include)


def parts_glob(pattern: str) -> tuple[str, ...]:
    path = normpath(pattern) if pattern else "."
    return ("/".join(parts_of(path)),) if path != "." else ()


def _pivot(pattern: str) -> tuple[str, str, str]:
    above, pivot, rest = pattern.partition("/./")
    return (above, pivot, rest) if pivot else ("", "", pattern)


def _chosen(item: Item, chosen: Chosen) -> Item:
    made = dict(item)
    if chosen.include:
        made["include"] = list(chosen.include)
    if chosen.exclude:
        made["exclude"] = list(chosen.exclude)
    return made


def _unsayable(pattern: str) -> UsageError:
    return UsageError(
        "cannot-convert",
        f"{pattern} has wildcards in its folders, and docker copies what matches without them",
        hint="name the folders, one COPY each",
    )


def _has_names(owner: m.Owner) -> bool:
    return any(
        isinstance(part, str) and part not in ("", "root") for part in (owner.user, owner.group)
    )


def _public(url: str) -> str:
    return url.partition("?")[0].rpartition("@")[2]

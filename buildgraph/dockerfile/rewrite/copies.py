"""COPY, ADD and WORKDIR → copy and write steps of a Buildfile."""

from posixpath import basename, join

from buildgraph.dockerfile.rewrite.chosen import (
    Item,
    at_pivot,
    narrow,
    narrowed,
    one_of,
    parts_glob,
    symbolic,
    unsayable,
    within,
)
from buildgraph.dockerfile.rewrite.folders import Folders, above
from buildgraph.dockerfile.rewrite.ignore import (
    ANY,
    Chosen,
    below,
    glob_part,
    parts_of,
)
from buildgraph.dockerfile.rewrite.place import (
    GIT_MODES,
    Around,
    Context,
    Named,
    mode_text,
    owner_text,
)
from buildgraph.dockerfile.rewrite.toml import Table, Value
from buildgraph.errors import UsageError
from buildgraph.fs.gomatch import is_wild, literal
from buildgraph.fs.moby import Patterns
from buildgraph.spec import model as m
from buildgraph.values import dataclass, field

_ARCHIVES: tuple[str, ...] = (
    *(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst"),
    *(".tzst", ".gz", ".bz2", ".xz", ".zst"),
)


@dataclass(slots=True)
class Body:
    """The keys of one step, and what is to be said above it; ``tables`` stand before it. ``name`` is for a step that is
    not the instruction's main one."""

    values: dict[str, Value]
    comments: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    name: str = ""
    folder: str = ""
    """The destination, if it is known to be one."""

    @property
    def main(self) -> bool:
        return not self.name


def bodies(step: m.Step, copy: m.DockerCopy, around: Around, folders: Folders) -> list[Body]:
    """One step, or more where a COPY has paths and documents, or makes folders that are somebody's; none for a copy
    of nothing. ``folders`` are those of the stack."""
    writing = _Copying(step, copy, around, folders)
    made = [body for body in (writing.copied(), writing.written()) if body is not None]
    if len(made) > 1:
        made[1].name = f"write {basename(copy.to.rstrip('/'))}"
        made[1].comments.append("a layer of its own; docker has it in the one above")
    parents = writing.parents() if made else None
    made = [parents, *made] if parents else made
    if made and copy.owner is not None and _has_names(copy.owner):
        for body in made:
            body.values = {"on": list(around.refs(step.on)), **body.values}
    return made


def is_archive(name: str) -> bool:
    return name.lower().endswith(_ARCHIVES)


class _Copying:
    def __init__(self, step: m.Step, copy: m.DockerCopy, around: Around, folders: Folders) -> None:
        self._step = step
        self._copy = copy
        self._around = around
        self._folders = folders
        self._comments: list[str] = []
        self._tables: list[Table] = []
        self._merges = False
        """Whether the destination is a folder for certain: one is copied to it."""
        inside = copy.to in folders.sure or sum(map(self._files, copy.sources)) > 1
        self._to = copy.to + "/" if inside and not copy.to.endswith("/") else copy.to
        """A file goes into a folder that is there, and several do."""

    def _files(self, source: m.DockerSource | m.InlineFile | m.RemoteFile | m.GitTree) -> int:
        """How many it is for certain."""
        if not isinstance(source, m.DockerSource):
            return not isinstance(source, m.GitTree)
        if source.ref is not None or self._copy.parents:
            return 0
        context = self._around.context(source.context, self._step.where)
        seen = context.look(source.pattern) if context else None
        return sum(named.kind != "folder" for named in seen or ())

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
        values: list[Value] = [*items]
        folder = self._to.rstrip("/") if self._merges else ""
        return Body({"copy": values}, self._comments, self._tables, folder=folder)

    def _attributes(self, *, file: bool = False) -> Item:
        """``file``: no folder gets the mode, of which docker's holds for folders as it is written."""
        copy, found = self._copy, Item()
        if copy.owner is not None:
            found["owner"] = owner_text(copy.owner)
        if copy.mode is not None:
            octal = copy.mode.octal
            plain = file or octal is None or octal | (octal & 0o444) >> 2 == octal
            found["mode"] = mode_text(copy.mode) if plain else symbolic(octal or 0)
        return found

    def parents(self) -> Body | None:
        """Folders that docker makes with the owner and the mode of what it copies."""
        copy = self._copy
        mode = copy.mode.octal if copy.mode is not None else None
        plain = copy.owner is None or (copy.owner.user, copy.owner.group) in ((0, 0), ("root", ""))
        if copy.link or (plain and mode in (None, 0o755)):
            return None
        path = copy.to.rstrip("/")
        wanted = [path] if path and (self._merges or self._to.endswith("/")) else []
        missing = [p for p in (*wanted, *above(path)) if p not in self._folders.perhaps]
        if not missing:
            return None
        made: Item = {} if copy.owner is None else {"owner": owner_text(copy.owner)}
        if mode is not None:
            made["mode"] = f"{mode:04o}"
        dirs: dict[str, Value] = {each: {**made} for each in reversed(missing)}
        return Body(
            {"dirs": dirs},
            ["docker makes these folders for what is copied next"],
            name=f"folders {basename(path)}",
        )

    # -- sources

    def _items(self, source: m.DockerSource) -> list[Item]:
        if source.ref is not None:
            return self._patterns(source, None)
        context = self._around.context(source.context, self._step.where)
        if context is None:
            return []
        seen = None if self._copy.parents else context.look(source.pattern)
        if seen is None or self._stays_pattern(source.pattern, seen, context):
            return self._patterns(source, context, files=seen is not None)
        if any(map(is_wild, source.pattern.split("/"))):
            pattern = source.pattern.lstrip("/")
            self._comments.append(
                f"what {pattern} matches now; docker looks again each time"
                if seen
                else f"nothing matches {pattern} now"
            )
        return [item for named in seen for item in self._named(context, named)]

    def _stays_pattern(self, pattern: str, seen: tuple[Named, ...], context: Context) -> bool:
        """Whether a glob says the same, for files that are there now and those to come."""
        *folders, last = pattern.split("/")
        if any(map(is_wild, folders)) or not is_wild(last) or not seen:
            return False
        if context.takes_back:
            rules = below(context.rules, literal("/".join(folders)))
            if one_of((glob_part(last),), rules) is None:
                return False
        inside = self._to.endswith("/")
        plain = (n.kind == ("file" if self._unpacks else n.kind) != "folder" for n in seen)
        usual = (n.name == n.path and n.mode in GIT_MODES for n in seen)
        return inside and all(plain) and all(usual)

    def _named(self, context: Context, named: Named) -> list[Item]:
        name, exclude = basename(named.name), self._copy.exclude
        if named.kind == "folder":
            self._merges = True
            found = narrowed(context, named.path)
            items = self._chosen({"from": context.at(named.path or ".")}, found)
            return items + self._odd(context, named)
        if exclude and Patterns(exclude).matches(name):
            return []
        if named.kind == "archive" and self._unpacks:
            return [self._archive(context.at(named.path))]
        to = self._to + "/" * (self._merges and not self._to.endswith("/"))
        to += name if to.endswith("/") and basename(named.path) != name else ""
        item = {"from": context.at(named.path), "to": to, **self._attributes(file=True)}
        if self._copy.mode is None and named.mode not in GIT_MODES:
            item["mode"] = f"{named.mode:04o}"
        return [item]

    def _odd(self, context: Context, named: Named) -> list[Item]:
        """Files once more, with modes that no checkout gives them."""
        if self._copy.mode is not None:
            return []
        excluded = Patterns(self._copy.exclude)
        return [
            {
                "from": context.at(join(named.path, path)),
                "to": join(self._to, path),
                **self._attributes(),
                "mode": f"{mode:04o}",
            }
            for path, mode in named.odd
            if not excluded.matches(path)
        ]

    def _archive(self, path: str) -> Item:
        """Its files are those of a base that nothing stands on."""
        self._merges = True
        name = self._around.archives.get(path)
        if name is None:
            stem = basename(path)
            end = next((each for each in _ARCHIVES if stem.lower().endswith(each)), "")
            name = self._around.take(stem.removesuffix(stem[len(stem) - len(end) :]) or "archive")
            self._around.archives[path] = name
            self._tables.append(Table(("base", name), {"rootfs": path}))
        to = self._to if self._to.endswith("/") else self._to + "/"
        item: Item = {"from": f"base:{name}", "to": to}
        if self._copy.owner is not None:
            item["owner"] = owner_text(self._copy.owner)
        return item

    def _patterns(
        self, source: m.DockerSource, context: Context | None, *, files: bool = False
    ) -> list[Item]:
        try:
            folder, include = self._place(source)
        except UsageError as error:
            self._around.problems.add(self._step.where, error.message, error.hint)
            return []
        if context is not None and self._unpacks and is_archive(source.pattern):
            if not include:
                return [self._archive(context.at(folder))]
            self._wrong(f"ADD unpacks what {source.pattern.strip('/')} matches")
            return []
        if context is not None:
            item: Item = {"from": context.at(folder or ".")}
            found = self._narrowed(context, folder, include)
            return self._chosen(item, found, inside=bool(include), files=files)
        assert source.ref is not None
        item = {"from": self._around.source(source.ref)}
        if folder:
            item["path"] = f"/{folder}"
        return self._chosen(item, [Chosen(include)], inside=bool(include))

    def _chosen(
        self, item: Item, found: list[Chosen], *, inside: bool = False, files: bool = False
    ) -> list[Item]:
        """``inside``: what is chosen goes into the destination; ``files``: no folders are among it."""
        to = self._to if self._to.endswith("/") or not inside else self._to + "/"
        exclude = tuple("/".join(parts_of(each.strip("/"))) for each in self._copy.exclude)
        return [
            narrow(item, Chosen(each.include, (*each.exclude, *exclude)))
            | {"to": to, **self._attributes(file=files)}
            for each in found
        ]

    def _place(self, source: m.DockerSource) -> tuple[str, tuple[str, ...]]:
        """The folder or file, and what of it. Raises UsageError."""
        pattern = source.pattern.lstrip("/")
        if self._copy.parents:
            above, pivot, rest = (
                pattern.partition("./") if pattern[:2] == "./" else at_pivot(pattern)
            )
            if is_wild(above):
                raise unsayable(pattern)
            return literal(above).strip("/"), parts_glob(rest) if rest or pivot else ()
        parts = [part for part in pattern.split("/") if part]
        wild = [at for at, part in enumerate(parts) if is_wild(part)]
        if not wild:
            return literal("/".join(parts)), ()
        if wild[0] != len(parts) - 1 or parts[-1] == ANY:
            raise unsayable(pattern)
        if "." not in parts[-1]:
            self._comments.append(
                "docker would copy what is in folders and behind links that match, not these"
            )
        return literal("/".join(parts[:-1])), (glob_part(parts[-1]),)

    @property
    def _unpacks(self) -> bool:
        return self._copy.add and self._copy.unpack is not False

    def _narrowed(self, context: Context, folder: str, include: tuple[str, ...]) -> list[Chosen]:
        if not include or not context.takes_back:
            return narrowed(context, folder, include)
        rules = below(context.rules, folder)
        return [within(include, rules, self._step.where, self._around)]

    # -- documents

    def written(self) -> Body | None:
        copy = self._copy
        found: dict[str, Value] = {}
        for source in copy.sources:
            if isinstance(source, m.InlineFile):
                path = join(self._to, source.name) if self._to.endswith("/") else self._to
                attributes = self._attributes(file=True)
                found[path] = (
                    {"text": source.content, **attributes} if attributes else source.content
                )
        return Body({"write": found}) if found else None


def _has_names(owner: m.Owner) -> bool:
    return any(
        isinstance(part, str) and part not in ("", "root") for part in (owner.user, owner.group)
    )


def _public(url: str) -> str:
    return url.partition("?")[0].rpartition("@")[2]

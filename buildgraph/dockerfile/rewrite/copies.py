"""COPY, ADD and WORKDIR → copy and write steps of a Buildfile."""

from posixpath import basename, join

from buildgraph.dockerfile.rewrite.chosen import attributes
from buildgraph.dockerfile.rewrite.folders import Folders, Known, above
from buildgraph.dockerfile.rewrite.place import Around, owner_text
from buildgraph.dockerfile.rewrite.sources import Sources
from buildgraph.dockerfile.rewrite.toml import Table, Value
from buildgraph.spec import model as m
from buildgraph.values import dataclass, field


@dataclass(slots=True)
class Body:
    """The keys of one step, and what is to be said above it; ``tables`` stand before it. ``name`` is for a step that is
    not the instruction's main one."""

    values: dict[str, Value]
    comments: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    name: str = ""
    folders: list[str] = field(default_factory=list)
    """Those that it surely makes."""
    owned: bool = False
    """Whether some of them may have other owners and modes than root's."""

    @property
    def main(self) -> bool:
        return not self.name


def bodies(
    step: m.Step, copy: m.DockerCopy, around: Around, known: Known, under: Folders
) -> list[Body]:
    """One step, or more where a COPY has paths and documents, or makes folders that are somebody's; none for a copy
    of nothing. ``under`` is what the stack has."""
    writing = _Copying(step, copy, around, known, under)
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


def workdir(made: m.Workdir, under: Folders) -> Body | None:
    """None where only a command can tell whose the folder will be."""
    user, _, group = made.user.partition(":")
    path = made.path.rstrip("/")
    missing = [each for each in (path, *above(path)) if each and each not in under.sure]
    if not missing or user in ("", "root", "0"):
        return Body({"dirs": {made.path: {}}})
    numbers = user.isdecimal() and (group or user).isdecimal()
    if not numbers or any(map(under.may_be, missing)):
        return None
    owner = f"{user}:{group or user}"
    return Body({"dirs": {each: {"owner": owner} for each in reversed(missing)}})


class _Copying:
    def __init__(
        self, step: m.Step, copy: m.DockerCopy, around: Around, known: Known, under: Folders
    ) -> None:
        self._step = step
        self._copy = copy
        self._around = around
        self._known = known
        self._folders = under
        there = copy.to in under.sure and not copy.link
        inside = there or sum(map(self._files, copy.sources)) > 1
        self._to = copy.to + "/" if inside and not copy.to.endswith("/") else copy.to
        """A file goes into a folder that is there, unless the copy is a link, and several do."""
        self._sources = Sources(step, copy, around, under, self._to)

    def _files(self, source: m.DockerSource | m.InlineFile | m.RemoteFile | m.GitTree) -> int:
        """How many it is for certain."""
        if not isinstance(source, m.DockerSource):
            return not isinstance(source, m.GitTree)
        if source.ref is not None or self._copy.parents:
            return 0
        seen = self._around.contexts[source.context].look(source.pattern)
        return sum(named.kind != "folder" for named in seen or ())

    def copied(self) -> Body | None:
        copy, sources = self._copy, self._sources
        items: list[Value] = []
        for source in copy.sources:
            match source:
                case m.DockerSource(ref=ref) if ref is not None:
                    items += sources.of_stage(source, ref, self._known.of(ref))
                case m.DockerSource():
                    context = self._around.context(source.context, self._step.where)
                    items += sources.of_context(source, context) if context else []
                case m.RemoteFile(url=url) | m.GitTree(url=url):
                    shown = _public(url)
                    self._wrong(f"ADD of {shown}: no step of a Buildfile fetches yet")
                case m.InlineFile():
                    pass
        if copy.link and self._folders.crosses(copy.to.rstrip("/")):
            self._wrong(f"--link to {copy.to}: docker replaces the link that is there or above")
        elif copy.link and copy.to in self._folders.sure and not sources.merges and copy.to != "/":
            self._wrong(f"--link of a file to {copy.to}: docker replaces the folder that is there")
        folder = (self._to.rstrip("/") or "/") if sources.merges else ""
        made = [folder, *sources.folders] if folder else []
        if items:
            if not made and self._to.endswith("/"):
                made = [self._to.rstrip("/")]
            return Body({"copy": items}, sources.comments, sources.tables, "", made, sources.owned)
        if folder in ("", "/"):
            return None
        alone: dict[str, Value] = {"dirs": {folder: {}}}
        return Body(alone, [*sources.comments, "nothing is left to copy"], [], "", made)

    def _wrong(self, message: str) -> None:
        self._around.problems.add(self._step.where, message)

    def parents(self) -> Body | None:
        """Folders that docker makes with the owner and the mode of what it copies."""
        copy = self._copy
        mode = copy.mode.octal if copy.mode is not None else None
        plain = copy.owner is None or (copy.owner.user, copy.owner.group) in ((0, 0), ("root", ""))
        if copy.link or (plain and mode in (None, 0o755)):
            return None
        path = copy.to.rstrip("/")
        wanted = [path] if path and (self._sources.merges or self._to.endswith("/")) else []
        missing = [p for p in (*wanted, *above(path)) if p not in self._folders.sure]
        for each in (each for each in missing if self._folders.may_be(each)):
            self._around.problems.add(
                self._step.where,
                f"docker makes {each} with that owner or mode, unless it is there, and nobody can tell",
                f"if it is there, say so in a line above: WORKDIR {each}",
            )
        if not missing:
            return None
        made: dict[str, Value] = {} if copy.owner is None else {"owner": owner_text(copy.owner)}
        if mode is not None:
            made["mode"] = f"{mode:04o}"
        dirs: dict[str, Value] = {each: {**made} for each in reversed(missing)}
        return Body(
            {"dirs": dirs},
            ["docker makes these folders for what is copied next"],
            name=f"folders {basename(path)}",
        )

    # -- documents

    def written(self) -> Body | None:
        copy = self._copy
        found: dict[str, Value] = {}
        for source in copy.sources:
            if isinstance(source, m.InlineFile):
                path = join(self._to, source.name) if self._to.endswith("/") else self._to
                given = attributes(self._copy, file=True)
                found[path] = {"text": source.content, **given} if given else source.content
        return Body({"write": found}) if found else None


def _has_names(owner: m.Owner) -> bool:
    return any(
        isinstance(part, str) and part not in ("", "root") for part in (owner.user, owner.group)
    )


def _public(url: str) -> str:
    return url.partition("?")[0].rpartition("@")[2]

"""The source words of COPY and ADD → items of a copy step.

What the context holds is looked at; what a stage holds is known as far as its instructions tell. Folders that are
copied keep their modes and owners in docker, also where the stack has such folders, and the destination has its own.
"""

from posixpath import basename, join, normpath

from buildgraph.dockerfile.rewrite.chosen import (
    Item,
    at_pivot,
    attributes,
    both,
    narrow,
    narrowed,
    one_of,
    parts_glob,
    unsayable,
    within,
)
from buildgraph.dockerfile.rewrite.folders import Folders
from buildgraph.dockerfile.rewrite.ignore import ANY, Chosen, below, glob_part, parts_of
from buildgraph.dockerfile.rewrite.modes import MOST_ODD, Modes, items, many, told
from buildgraph.dockerfile.rewrite.place import Around, Context, Inside, Named, owner_text
from buildgraph.dockerfile.rewrite.toml import Table
from buildgraph.errors import UsageError
from buildgraph.fs.gomatch import escaped, is_wild, literal
from buildgraph.fs.ignore import Globs
from buildgraph.fs.moby import Patterns
from buildgraph.spec import model as m

_ARCHIVES: tuple[str, ...] = (
    *(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst"),
    *(".tzst", ".gz", ".bz2", ".xz", ".zst"),
)


class Sources:
    """``under`` is what the step is laid over, ``to`` where it copies to."""

    def __init__(
        self, step: m.Step, copy: m.DockerCopy, around: Around, under: Folders, to: str
    ) -> None:
        self._step = step
        self._copy = copy
        self._around = around
        self._under = under
        self._to = to
        self._excluded = Patterns(copy.exclude)
        self.comments: list[str] = []
        self.tables: list[Table] = []
        self.merges = False
        """Whether the destination is a folder for certain: one is copied to it."""
        self.folders: list[str] = []
        """Folders that it surely makes."""
        self.owned = False
        """Whether some of them have modes of their own."""

    def of_context(self, source: m.DockerSource, context: Context) -> list[Item]:
        seen = None if self._copy.parents else context.look(source.pattern)
        if seen is None or self._stays_pattern(source.pattern, seen, context):
            return self._patterns(source, context, files=seen is not None)
        if any(map(is_wild, source.pattern.split("/"))):
            pattern = source.pattern.lstrip("/")
            self.comments.append(
                f"what {pattern} matches now; docker looks again each time"
                if seen
                else f"nothing matches {pattern} now"
            )
        whole = ("folder", "archive") if self._unpacks else ("folder",)
        self.merges = self.merges or any(named.kind in whole for named in seen)
        return [item for named in seen for item in self._named(context, named)]

    def of_stage(self, source: m.DockerSource, ref: m.Ref, files: Folders) -> list[Item]:
        """``files`` are those of the stage or image."""
        try:
            folder, include = self._place(source.pattern)
        except UsageError as error:
            self._around.problems.add(self._step.where, error.message, error.hint)
            return []
        item: Item = {"from": self._around.source(ref)}
        if folder:
            item["path"] = f"/{folder}"
        attributes = self._attributes(special=True)
        if include and folder and files.kind(folder) == "file":
            self.comments.append(f"nothing matches {source.pattern}")
            return []
        if include:
            self._wild(source.pattern, include)
        elif folder:
            kind = "folder" if source.pattern.rstrip(".").endswith("/") else files.kind(folder)
            if kind == "folder":
                self.merges = True
                include = (ANY,)
            elif kind == "" and files.owned and not self._is_there:
                self.comments.append(
                    f"if /{folder} is a folder, it brings its own owner and mode; docker makes {self._to} root's, 0755"
                )
        else:
            self.merges = True
            if files.empty:
                return []
        if self._under.may_hold(self._to) and files.kind(folder) != "file":
            self._meets(attributes, folder, files)
        if include and is_wild(source.pattern) and not self._copy.parents:
            attributes["follow"] = True
        return self._chosen(item, [Chosen(include)], attributes, inside=self._copy.parents)

    def _meets(self, attributes: Item, folder: str, files: Folders) -> None:
        """Folders of a stage where the stack may have such: docker gives these the owners and modes of its own."""
        if "owner" in attributes or not files.owned_in(folder):
            both(attributes)
            self.comments.append("folders that are there get these owners and modes, as in docker")
        elif self.merges:
            self._wrong(
                f"folders of {self._to} may be there, and docker gives them the owners that those of /{folder} have",
                "copy to a folder of its own, or give COPY a --chown",
            )
        else:
            self.comments.append(
                f"if /{folder} is a folder, it brings its own owner where none is, and keeps those that are there"
            )

    @property
    def _is_there(self) -> bool:
        return (self._to.rstrip("/") or "/") in self._under.sure

    def _wild(self, pattern: str, include: tuple[str, ...]) -> None:
        """What a wildcard means in a stage is known once that is built: files, as far as anybody can tell."""
        if self._copy.parents:
            if self._under.may_hold(self._to):
                self._wrong(
                    "--parents over folders that may be there: docker keeps some and changes others"
                )
            return
        if not self._to.endswith("/"):
            self._wrong(
                f"{pattern} to {self._to}: what matches becomes that file, or goes into that folder",
                "end the destination with /, or name the file",
            )
        elif not include[0].strip("*?"):
            self._wrong(
                f"{pattern} of a stage: docker copies what is in each folder there, not the folders",
                "copy the folder itself, or name the files",
            )
        else:
            self.comments.append("docker would copy what is in folders that match, not these")

    def _wrong(self, message: str, hint: str = "") -> None:
        problems = self._around.problems
        if hint:
            problems.add(self._step.where, message, hint)
        else:
            problems.add(self._step.where, message)

    def _attributes(self, *, file: bool = False, special: bool = False) -> Item:
        return attributes(self._copy, file=file, special=special)

    # -- names of the context

    def _stays_pattern(self, pattern: str, seen: tuple[Named, ...], context: Context) -> bool:
        """Whether a glob says the same, for files that are there now and those to come."""
        *folders, last = pattern.split("/")
        if any(map(is_wild, folders)) or not is_wild(last) or not seen:
            return False
        if context.takes_back:
            rules = below(context.rules, literal("/".join(folders)))
            if one_of((glob_part(last),), rules) is None:
                return False
        plain = (n.kind == ("file" if self._unpacks else n.kind) != "folder" for n in seen)
        usual = all(n.name == n.path for n in seen)
        found = self._modes(tuple(Inside(n.name, "file", n.mode) for n in seen))
        return (
            self._to.endswith("/") and all(plain) and usual and not found.clause and not found.odd
        )

    def _named(self, context: Context, named: Named) -> list[Item]:
        name = basename(named.name)
        if named.kind == "folder":
            return self._folder(context, named)
        if self._copy.exclude and self._excluded.matches(name):
            return []
        if named.kind == "archive" and self._unpacks:
            return [self._archive(context.at(named.path), named.inside)]
        to = self._to + "/" * (self.merges and not self._to.endswith("/"))
        to += name if to.endswith("/") and basename(named.path) != name else ""
        item = {"from": context.at(named.path), "to": to, **self._attributes(file=True)}
        found = self._modes((Inside(name, "file", named.mode),), file=True)
        if found.odd:
            item["mode"] = f"{found.odd[0].mode:04o}"
        elif found.clause and self._copy.mode is None:
            item["mode"] = f"{named.mode:04o}"
        return [item]

    def _modes(self, inside: tuple[Inside, ...], *, file: bool = False) -> Modes:
        written = self._attributes(file=file).get("mode", "")
        found = told(inside, self._copy.mode, str(written))
        return found._replace(clause="") if self._copy.mode is not None else found

    def _folder(self, context: Context, named: Named) -> list[Item]:
        self.merges = True
        inside = tuple(each for each in named.inside if not self._excluded.matches(each.path))
        if not inside:
            return []
        modes = self._modes(inside)
        attributes = self._folder_attributes(inside, modes)
        chosen = narrowed(context, named.path)
        found = self._chosen({"from": context.at(named.path or ".")}, chosen, attributes)
        return found + self._odd(modes, context.at(named.path or "."), attributes)

    def _folder_attributes(self, inside: tuple[Inside, ...], modes: Modes) -> Item:
        folders = [each.path for each in inside if each.kind == "folder"]
        self.folders += [join(self._to, path) for path in folders]
        found = self._attributes()
        if modes.clause:
            found["mode"] = modes.clause
        given = {*found} - {"to"}
        self.owned = self.owned or bool(given or modes.odd)
        if folders and self._under.may_hold(self._to):
            both(found)
        return found

    def _odd(self, modes: Modes, folder: str, attributes: Item) -> list[Item]:
        """Files once more, with modes that no checkout gives them."""
        if len(modes.odd) > MOST_ODD:
            self._wrong(*many(modes.odd, folder))
            return []
        owner: Item = {"owner": attributes["owner"]} if "owner" in attributes else {}
        return items(modes.odd, folder, self._to, owner)

    def _archive(self, path: str, members: tuple[Inside, ...]) -> Item:
        """Its files are those of a base that nothing stands on."""
        self.merges = True
        folders = [normpath(join(self._to, each.path)) for each in members if each.kind == "folder"]
        folders = [each for each in folders if each != (self._to.rstrip("/") or "/")]
        self.folders += folders
        if self._copy.owner is not None and folders and self._under.may_hold(self._to):
            self._wrong("ADD --chown of an archive with folders over folders that may be there")
        if any(each in self._under.links for each in folders):
            self._wrong(
                "ADD of an archive with folders where the base has links, which docker replaces"
            )
        name = self._around.archives.get(path)
        if name is None:
            stem = basename(path)
            end = next((each for each in _ARCHIVES if stem.lower().endswith(each)), "")
            name = self._around.take(stem.removesuffix(stem[len(stem) - len(end) :]) or "archive")
            self._around.archives[path] = name
            self.tables.append(Table(("base", name), {"rootfs": path}))
        to = self._to if self._to.endswith("/") else self._to + "/"
        item: Item = {"from": f"base:{name}", "to": to}
        if self._copy.owner is not None:
            item["owner"] = owner_text(self._copy.owner)
        self.owned = True
        return item

    # -- patterns of the context

    def _patterns(self, source: m.DockerSource, context: Context, *, files: bool) -> list[Item]:
        try:
            folder, include = self._place(source.pattern)
        except UsageError as error:
            self._around.problems.add(self._step.where, error.message, error.hint)
            return []
        if self._unpacks and source.pattern.lower().endswith(_ARCHIVES):
            if not include:
                return [self._archive(context.at(folder), ())]
            self._wrong(f"ADD unpacks what {source.pattern.strip('/')} matches")
            return []
        item: Item = {"from": context.at(folder or ".")}
        found = self._narrowed(context, folder, include)
        if not self._copy.parents:
            attributes = self._attributes(file=files)
            return self._chosen(item, found, attributes, inside=bool(include))
        inside = self._with_parents(folder, include, context)
        if not inside:
            self.merges = True
            return []
        modes = self._modes(inside)
        attributes = self._folder_attributes(inside, modes)
        if self._under.may_hold(self._to) and any(each.kind == "folder" for each in inside):
            self._wrong(
                "--parents over folders that may be there: docker keeps some and changes others"
            )
        made = self._chosen(item, found, attributes, inside=bool(include))
        return made + self._odd(modes, context.at(folder or "."), attributes)

    def _with_parents(
        self, folder: str, include: tuple[str, ...], context: Context
    ) -> tuple[Inside, ...]:
        """What is chosen, and the folders on the way to it."""
        looked = context.look(escaped(folder or "/")) or ()
        globs = Globs.compile(include, ())
        inside = [
            each
            for named in looked
            for each in named.inside
            if not self._excluded.matches(each.path)
        ]
        taken = {
            each.path
            for each in inside
            if globs.matches(each.path.encode("utf-8", "surrogateescape"), each.kind == "folder")
        }
        way = {path[:at] for path in taken for at, char in enumerate(path) if char == "/"}
        return tuple(each for each in inside if each.path in taken | way)

    def _chosen(
        self, item: Item, found: list[Chosen], attributes: Item, *, inside: bool = False
    ) -> list[Item]:
        """``inside``: what is chosen goes into the destination."""
        to = self._to if self._to.endswith("/") or not inside else self._to + "/"
        exclude = tuple("/".join(parts_of(each.strip("/"))) for each in self._copy.exclude)
        return [
            narrow(item, Chosen(each.include, (*each.exclude, *exclude))) | {"to": to} | attributes
            for each in found
        ]

    def _place(self, pattern: str) -> tuple[str, tuple[str, ...]]:
        """The folder or file, and what of it. Raises UsageError."""
        pattern = pattern.lstrip("/")
        if self._copy.parents:
            above, pivot, rest = (
                pattern.partition("./") if pattern[:2] == "./" else at_pivot(pattern)
            )
            if is_wild(above):
                raise unsayable(pattern)
            return literal(above).strip("/"), parts_glob(rest) if rest or pivot else ()
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        wild = [at for at, part in enumerate(parts) if is_wild(part)]
        if not wild:
            return literal("/".join(parts)), ()
        if wild[0] != len(parts) - 1 or parts[-1] == ANY:
            raise unsayable(pattern)
        return literal("/".join(parts[:-1])), (glob_part(parts[-1]),)

    @property
    def _unpacks(self) -> bool:
        return self._copy.add and self._copy.unpack is not False

    def _narrowed(self, context: Context, folder: str, include: tuple[str, ...]) -> list[Chosen]:
        if not include or not context.takes_back:
            return narrowed(context, folder, include)
        rules = below(context.rules, folder)
        return [within(include, rules, self._step.where, self._around)]

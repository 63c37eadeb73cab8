"""Which files does a step read? Selections of the context and of stacks, as listings with a digest.

The digest of a selection is that of its listing: paths relative to the selection's root, kinds, modes, contents and
link targets, and for files of a stack their owners. It is what keys hold, so a step is keyed by exactly the files that
it can see; the listing's object is kept as a blob so that ``why`` can name the file that differs.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING

from buildgraph.digest import Digest
from buildgraph.errors import Location, UsageError
from buildgraph.execute.stacks import Stacks
from buildgraph.fs import tree
from buildgraph.fs.context import Context, Selected
from buildgraph.fs.ignore import Globs
from buildgraph.fs.lay import DIRECTORIES
from buildgraph.fs.scan import Selection, globs_of_a_file
from buildgraph.fs.tree import Entry
from buildgraph.graph.recipe import Found, Listed, Origin, Recipe, of_copy, of_write
from buildgraph.graph.step import (
    ContextFiles,
    CopyStep,
    DockerCopyStep,
    DockerFiles,
    Files,
    RecipeStep,
    Stack,
    StackFiles,
    WorkdirStep,
    WriteStep,
)
from buildgraph.spec.model import Owner

if TYPE_CHECKING:
    from buildgraph.execute.archives import Archives
    from buildgraph.fs.dockercontext import DockerContext
    from buildgraph.graph.dockerrecipe import Match


class Selections:
    """Each selection is found once per build; safe to ask from several threads."""

    def __init__(
        self,
        context: Context,
        stacks: Stacks,
        others: "Callable[[str], DockerContext]",
        archives: "Callable[[], Archives]",
    ) -> None:
        """``others`` opens the context of a Dockerfile by name.

        What only Dockerfiles need is imported when they do.
        """
        self._context = context
        self._stacks = stacks
        self._others = others
        self._archives = archives
        self._found: dict[Files, tuple[Found, ...]] = {}
        self._matches: dict[DockerFiles, tuple[Match, ...]] = {}
        self._digests: dict[Files | DockerFiles, Digest] = {}

    def prefetch(self, files: Iterable[ContextFiles]) -> None:
        """Scan and hash all of them at once, in parallel where that pays."""
        self._context.prefetch(_asked(f) for f in files if not f.context)

    def found(self, files: Files) -> tuple[Found, ...]:
        """Sorted by path. Raises UsageError (``source-missing``) where there is nothing to select from."""
        if files not in self._found:
            match files:
                case ContextFiles(context=name) if name:
                    self._found[files] = self._of_docker(files)
                case ContextFiles():
                    selected = self._context.select(
                        files.path, files.include, files.exclude, follow=files.follow
                    )
                    self._found[files] = _of_context(selected)
                case StackFiles():
                    self._found[files] = _of_stack(files, self._stacks)
        return self._found[files]

    def _of_docker(self, files: ContextFiles) -> tuple[Found, ...]:
        """A plain path of a Dockerfile's context, for a bind."""
        from buildgraph.execute.sources import ContextView, matches
        from buildgraph.fs.gomatch import escaped

        found = matches(DockerFiles(escaped(files.path)), ContextView(self._others(files.context)))
        return found[0].found

    def matches(self, files: DockerFiles) -> "tuple[Match, ...]":
        """In the order in which they are copied. Raises UsageError (``source-missing``)."""
        if files not in self._matches:
            from buildgraph.execute.sources import ContextView, StackView, matches

            if files.stack is None:
                view: ContextView | StackView = ContextView(self._others(files.context))
            else:
                view = StackView(self._stacks.placed.merged(files.stack), files.stack)
            self._matches[files] = matches(files, view)
        return self._matches[files]

    def unpacked(self, files: DockerFiles) -> "tuple[Match, ...]":
        """The same, with what archives hold in their place where that is asked for."""
        found = self.matches(files)
        return self._archives().opened(found) if files.unpack else found

    def words_digest(self, files: DockerFiles, *, times: bool = False) -> Digest:
        """Of the names and all that they stand for; ``times``: with those that files have now."""
        if times:
            return _named_digest(map(_timed_match, self.matches(files)))
        if files not in self._digests:
            self._digests[files] = _named_digest(self.matches(files))
        return self._digests[files]

    def survey(self, files: ContextFiles) -> Listed | None:
        """What :meth:`found` will give but for what the files themselves tell; None as ``Context.survey``."""
        survey = self._context.survey(_asked(files))
        if survey is None:
            return None
        return Listed(_of_context(survey.bare), survey.files, survey.above)

    def learn(
        self, asked: Iterable[ContextFiles], sources: list[bytes], rows: bytes, contents: bytes
    ) -> None:
        """What their files were when somebody else had read them, as ``Context.learn``."""
        self._context.learn(list(map(_asked, asked)), sources, rows, contents)

    def cost(self, files: ContextFiles, most: int) -> int:
        """Of reading what was surveyed, as ``Context.cost``."""
        return self._context.cost(_asked(files), most)

    def listing(self, files: Files, *, times: bool = False) -> tree.Tree:
        """``times``: with those that files of the context have now."""
        found = _timed(self)(files) if times else self.found(files)
        return tuple(one.entry for one in found)

    def digest(self, files: Files) -> Digest:
        if files not in self._digests:
            self._digests[files] = tree.digest(self.listing(files))
        return self._digests[files]


def _asked(files: ContextFiles) -> Selection:
    return Selection(files.path, files.include, files.exclude, files.follow)


def _of_context(selected: Sequence[Selected]) -> tuple[Found, ...]:
    """Git's modes: what a checkout can know (BUILDFILE "normalize"). By columns, since there are as many as files."""
    if not selected:
        return ()
    paths, kinds, executable, sizes, contents, links, sources = zip(*selected, strict=True)
    modes = [
        0o777 if kind == tree.SYMLINK else 0o755 if runs or kind == tree.DIRECTORY else 0o644
        for kind, runs in zip(kinds, executable, strict=True)
    ]
    root, no_device = repeat(0), repeat((0, 0))
    entries = zip(
        *(paths, kinds, modes, root, root, sizes, contents, links, repeat(()), no_device),
        repeat(None),
        strict=False,
    )
    origins = zip(sources, repeat(None), repeat(()), repeat(0), repeat(b""), strict=False)
    return tuple(
        map(_found, zip(map(_entry, entries), map(_origin, origins), strict=True)),
    )


_entry = partial(tuple.__new__, Entry)
_origin = partial(tuple.__new__, Origin)
_found = partial(tuple.__new__, Found)


def _of_stack(files: StackFiles, stacks: Stacks) -> tuple[Found, ...]:
    merged = stacks.placed.merged(files.stack)
    root, _ = merged.resolve(files.path.encode("utf-8", "surrogateescape"))
    keep: Callable[[bytes, bool], bool] | None = None
    if files.include or files.exclude:
        keep = Globs.compile(files.include, files.exclude).matches
    if files.follow:
        from buildgraph.execute.following import followed

        placed = followed(merged, root, keep)
    else:
        placed = [(entry.path, entry, layer) for entry, layer in merged.subtree(root, keep)]
    if not placed and root:
        near = stacks.placed.near(files.stack, root)
        raise UsageError(
            "source-missing",
            f"{files.name} has nothing at {files.path}",
            hint=f"there is {near}" if near else "",
        )
    if keep and root and placed[0][1].kind not in DIRECTORIES:
        raise globs_of_a_file(files.path)
    out = []
    for shown, entry, layer in placed:
        if shown == root and entry.kind == tree.DIRECTORY and not root:
            continue
        path = shown[len(root) :].lstrip(b"/") if root else shown
        link = entry.link
        if entry.kind == tree.HARDLINK:
            link = link[len(root) :].lstrip(b"/") if root else link
        origin = Origin(stack=files.stack, layer=layer, path=entry.path)
        out.append(Found(entry._replace(path=path, link=link), origin))
    return tuple(out)


def recipe_of(
    step: RecipeStep,
    selections: Selections,
    owners: Callable[[Stack, Owner, Location], tuple[int, int]],
) -> Recipe:
    """The recipe of a step whose inputs, if any, are settled."""
    match step:
        case WriteStep():
            return of_write(step)
        case CopyStep():
            found = _timed(selections) if step.keep_time else selections.found
            return of_copy(
                step,
                lambda files: Listed(found(files)),
                lambda owner: owners(step.names, owner, step.where),
            )
        case DockerCopyStep():
            from buildgraph.graph.dockerrecipe import of_docker_copy

            def matches(files: DockerFiles) -> "Iterable[Match]":
                opened = selections.unpacked(files)
                return map(_timed_match, opened) if step.keep_time else opened

            return of_docker_copy(
                step, matches, lambda owner: owners(step.names, owner, step.where)
            )
        case WorkdirStep():
            from buildgraph.graph.dockerrecipe import of_workdir

            user, _, group = step.user.partition(":")
            named = owners(step.names, Owner(_number(user or "0"), _number(group)), step.where)
            return of_workdir(step, named)


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text


def _timed(selections: Selections) -> Callable[[Files], tuple[Found, ...]]:
    """Files of the context with the times that they have now; those of a stack bring theirs along."""

    def found(files: Files) -> tuple[Found, ...]:
        return _with_times(selections.found(files))

    return found


def _with_times(found: Iterable[Found]) -> tuple[Found, ...]:
    return tuple(
        one._replace(entry=one.entry._replace(mtime=os.lstat(one.origin.host).st_mtime_ns))
        if one.origin.host
        else one
        for one in found
    )


def _timed_match(match: "Match") -> "Match":
    return match._replace(found=_with_times(match.found))


def _named_digest(matches: "Iterable[Match]") -> Digest:
    return tree.digest(
        one.entry._replace(path=b"%d/%b/%b" % (at, match.name, one.entry.path))
        for at, match in enumerate(matches)
        for one in match.found
    )

"""A Dockerfile of this machine rewritten as a Buildfile: its bases asked for their configs, its contexts found.

Paths of a Buildfile are from its own folder, so what is copied must lie below that.
"""

import os
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

from buildgraph.build.dockerbases import DockerBases
from buildgraph.build.dockerinput import DockerInput, open_input
from buildgraph.build.dockeroptions import default_network, lines_for
from buildgraph.build.dockerworkspace import (
    bases_for,
    context_key,
    dockerfile_text,
    image_name,
    options_of,
)
from buildgraph.build.registries import Access
from buildgraph.build.request import DockerRequest, Request
from buildgraph.dockerfile.convert import Converted, Known, convert
from buildgraph.dockerfile.options import Options
from buildgraph.dockerfile.rewrite.buildfile import Place, buildfile
from buildgraph.dockerfile.rewrite.folders import Listed
from buildgraph.dockerfile.rewrite.ignore import read
from buildgraph.dockerfile.rewrite.place import Context, Inside, Named
from buildgraph.errors import ContentError, UsageError
from buildgraph.events import Event
from buildgraph.execute.archives import is_archive
from buildgraph.execute.sources import ContextView, named
from buildgraph.fs import tree
from buildgraph.fs.compress import open_decompressor
from buildgraph.fs.dockercontext import DockerContext
from buildgraph.fs.facts import Facts
from buildgraph.fs.fingerprint import StatCache
from buildgraph.fs.moby import Patterns
from buildgraph.oci.config import Config
from buildgraph.sandbox.namespace import enter_private_mounts
from buildgraph.spec import model as m
from buildgraph.store.local import LocalStore
from buildgraph.store.reading import reading
from buildgraph.values import dataclass, replace

_FOLDERS = (tree.DIRECTORY, tree.FIXED_DIRECTORY, tree.OPAQUE)
_KINDS: Final[dict[str, Literal["folder", "link"]]] = {
    tree.DIRECTORY: "folder",
    tree.SYMLINK: "link",
}


@dataclass(frozen=True, slots=True)
class Rewritten:
    """``file`` is where the text belongs."""

    text: str
    file: Path


def rewrite(request: Request, asked: DockerRequest, file: Path | None) -> Rewritten:
    """``file`` None is ``Buildfile.toml`` in the context. Raises UsageError or ErrorGroup ``cannot-convert``."""
    with ExitStack() as undo:
        privilege = enter_private_mounts()
        store = undo.enter_context(reading(request.home, _quiet))
        store.bind_ids(privilege.mapping)
        given = open_input(request, asked, _quiet, undo)
        here = given.file is not None and not given.address and asked.context != "-"
        file = file or (given.root if here else request.directory) / "Buildfile.toml"
        facts = Facts(os.fsencode(given.root))
        cache = StatCache.load(store.stat / context_key(given)[:32], given.root)
        access = Access(store, request.environ, _quiet, undo)
        bases = bases_for(request, asked, given, facts, cache, store, access, undo, keep=False)
        name = image_name(given)
        options = replace(
            options_of(request, asked, facts, _quiet, undo),
            prefix=f"{name}/",
            context_time=given.time,
        )
        text = dockerfile_text(given, facts)
        found, configs = _converted(text, options, bases, given.shown)
        place = Place(
            name,
            given.shown,
            os.fspath(file.parent),
            {key: _context(c, given, facts, file, cache) for key, c in found.contexts.items()},
            options.prefix,
            file.name,
            asked.target,
            options.args,
            default_network(),
            options.platform,
            {r: has for r, k in configs.items() if (has := _listed(k.config, store))},
        )
        return Rewritten(buildfile(text, found, configs, place), file)


def _quiet(_event: Event) -> None:
    """Nothing is built, and what is fetched is little."""


def _converted(
    text: bytes, options: Options, bases: DockerBases, shown: str
) -> tuple[Converted, dict[m.Ref, Known]]:
    empty = m.Workspace("", platform=options.platform)
    configs: dict[m.Ref, Known] = {}
    known: dict[str, m.Base] = {}
    while True:
        found = convert(text, options, configs, file=shown)
        if isinstance(found, Converted):
            return found, configs
        known |= {base.name: base for base in found.bases.values()}
        opened = bases.open(m.Model(empty, known, {}, {}, {}, {}))
        configs |= {ref: Known(opened[ref.name].config) for ref in found.bases}


def _listed(config: Config, store: LocalStore) -> Listed | None:
    """What a base has; None where a layer of it was never looked at."""
    folders: set[str] = set()
    links: set[str] = set()
    owned: set[str] = set()
    for diff_id in config.diff_ids:
        known = store.layers.facts(diff_id)
        listed = store.blobs.read(known.tree) if known is not None else None
        if listed is None:
            return None
        for entry in tree.decode(listed):
            if entry.kind in _FOLDERS:
                folders.add(f"/{os.fsdecode(entry.path)}")
            if (entry.uid, entry.gid) != (0, 0):
                owned.add(f"/{os.fsdecode(entry.path)}")
            if entry.kind == tree.SYMLINK:
                links.add(f"/{os.fsdecode(entry.path)}")
    return Listed(frozenset(folders), frozenset(links), frozenset(owned))


def _context(
    context: m.FileContext, given: DockerInput, facts: Facts, file: Path, cache: StatCache
) -> Context:
    root = Path(os.path.normpath(given.root / context.root))
    lines = lines_for(context, given, facts)
    path = os.path.relpath(root, file.parent) if root.is_relative_to(file.parent) else None
    whole = (root / ".git").exists() and not Patterns.of_lines(lines).matches(".git")
    looked = DockerContext(os.fsencode(root), cache, facts, Patterns.of_lines(lines))
    return Context(path, read(lines), (".git",) if whole else (), _Looking(root, looked))


class _Looking:
    def __init__(self, root: Path, context: DockerContext) -> None:
        self._root = os.path.realpath(root)
        self._context = context
        self._seen: dict[str, tuple[Named, ...] | None] = {}

    def __call__(self, pattern: str) -> tuple[Named, ...] | None:
        """What is missing may be there one day."""
        if pattern not in self._seen:
            self._seen[pattern] = self._look(pattern)
        return self._seen[pattern]

    def _look(self, pattern: str) -> tuple[Named, ...] | None:
        try:
            found = named(pattern, ContextView(self._context))
        except UsageError:
            return None
        return tuple(self._named(os.fsdecode(name), os.fsdecode(real)) for name, real in found)

    def _named(self, name: str, real: str) -> Named:
        full = os.path.join(self._root, real)
        status = os.lstat(full)
        if stat.S_ISDIR(status.st_mode):
            return Named(name, real, "folder", inside=self._inside(os.fsencode(real)))
        mode = status.st_mode & 0o7777
        if stat.S_ISREG(status.st_mode):
            with open(full, "rb") as stream:
                archive = is_archive(stream)
            if archive:
                return Named(name, real, "archive", mode, _held(full))
        return Named(name, real, "file", mode)

    def _inside(self, folder: bytes) -> tuple[Inside, ...]:
        return tuple(
            Inside(os.fsdecode(one.path), _KINDS.get(one.kind, "file"), one.mode)
            for one, _ in self._context.below(folder)
            if one.path
        )


def _held(archive: str) -> tuple[Inside, ...]:
    """What an archive lists; none where it is damaged, which its build will tell."""
    import tarfile

    found = []
    try:
        with (
            open(archive, "rb") as file,
            tarfile.open(mode="r|", fileobj=open_decompressor(file)) as tar,
        ):
            for member in tar:
                kind: Literal["folder", "file"] = "folder" if member.isdir() else "file"
                found.append(Inside(os.path.normpath(member.name), kind, member.mode))
    except (ContentError, tarfile.TarError):
        return ()
    return tuple(found)

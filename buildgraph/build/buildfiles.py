"""A Buildfile as models: read once for every platform that it is built for, its images from Dockerfiles converted."""

import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from buildgraph.build.authorities import with_authority
from buildgraph.build.bases import BaseOpener
from buildgraph.build.choosing import chosen
from buildgraph.build.mistakes import Mistakes
from buildgraph.build.observing import told_once
from buildgraph.build.request import Request, Want
from buildgraph.errors import BuildgraphError, UsageError
from buildgraph.events import Observer, Warned
from buildgraph.fs.facts import Facts
from buildgraph.fs.pattern import check_glob
from buildgraph.fs.rows import prove, row_of
from buildgraph.names import Platform, unlabelled
from buildgraph.spec import gitfacts
from buildgraph.spec.load import Loaded, load
from buildgraph.spec.lock import Lock
from buildgraph.spec.mistakes import MistakesError
from buildgraph.spec.model import Model, Ref
from buildgraph.spec.part import images_of, without_tables
from buildgraph.values import replace

if TYPE_CHECKING:
    from buildgraph.build.sourcetimes import SourceTimes


class Buildfile:
    """That of one workspace. ``facts`` grow with what it is read with.

    ``repeatable``: whether an answer may be remembered, because nothing was asked that no stat can prove.
    ``mistakes``: what is wrong in it; once there are any, models have only the tables that are sound.
    """

    def __init__(
        self, request: Request, file: Path, facts: Facts, observer: Observer, undo: ExitStack
    ) -> None:
        self._request = request
        self._file = file
        self._root = file.parent
        self._text = facts.read(os.fsencode(file.name))
        self._facts = facts
        self._observe = told_once(observer)
        self._undo = undo
        self._times: SourceTimes | None = None
        self._provable = True
        self.mistakes = Mistakes()

    @property
    def repeatable(self) -> bool:
        return self._provable and not (self._times and self._times.asked)

    def read(self, platform: Platform | None) -> Model:
        """For its own platform where ``platform`` says no other. Raises ErrorGroup for what is no TOML."""
        try:
            loaded = self._load(platform)
        except MistakesError as found:
            return self.mistakes.sound(found)
        for warning in loaded.warnings:
            self._observe(Warned(warning.code, f"{warning.where}: {warning.message}"))
        self._remember(loaded)
        model = loaded.model
        workspace = with_authority(model.workspace, self._request.environ)
        return replace(model, workspace=workspace)

    def _load(self, platform: Platform | None) -> Loaded:
        request, root = self._request, self._root
        return load(
            self._file,
            self._text,
            sets=request.sets,
            environ=request.environ,
            git=lambda: gitfacts.read(root),
            machine=Platform.of_machine(os.uname().machine),
            platform=platform,
            secrets=tuple(secret.id for secret in request.secrets),
            exists=lambda path: (root / path).exists(),
            glob=check_glob,
            shown=os.path.relpath(self._file, request.directory),
        )

    def _remember(self, loaded: Loaded) -> None:
        """Add what the model rests on to the facts."""
        facts, environ = self._facts, self._request.environ
        for name in loaded.consulted_env:
            value = environ.get(name)
            facts.variables[os.fsencode(name)] = None if value is None else os.fsencode(value)
        for path, there in (loaded.asked or {}).items():
            if there:
                continue  # what is there is looked at by whoever selects it
            facts.missing(os.fsencode(path))
        for watched in gitfacts.watched(self._root, loaded.used_git):
            real = os.fsencode(watched)
            if watched.is_dir():
                row = row_of(os.lstat(real))
                facts.add(real, row, prove(real, row[3]))
            else:
                with suppress(FileNotFoundError):
                    facts.read(real)
        self._provable = self._provable and "dirty" not in loaded.used_git

    def converted(
        self, model: Model, opener: BaseOpener, lock: Lock, want: Want, *, several: bool
    ) -> Model:
        """The model with its images from Dockerfiles converted, as far as their bases are known or wanted.

        Without all of them if there is a mistake in one.
        """
        docker = {Ref("image", i.name) for i in model.images.values() if i.source is not None}
        if not docker:
            return model
        try:
            return self._converted(model, opener, lock, want, several=several)
        except BuildgraphError as error:
            self.mistakes.add(error)
            return without_tables(model, docker)

    def _converted(
        self, model: Model, opener: BaseOpener, lock: Lock, want: Want, *, several: bool
    ) -> Model:
        from buildgraph.build.dockerbases import DockerBases
        from buildgraph.build.dockertables import convert_tables
        from buildgraph.build.sourcetimes import SourceTimes, unknown
        from buildgraph.execute.archive import Surroundings

        request = self._request
        around = Surroundings(self._root, request.environ, model.workspace.ca)
        self._times = self._times or SourceTimes(around, self._observe, self._undo)
        wanted: Iterable[str] = model.images if want == "all" else ()
        if want == "targets":
            wanted = self._wanted(model, several=several)
        shown = Path(os.path.relpath(self._root, request.directory))
        bases = DockerBases(opener, lock, frozen=request.frozen)
        return convert_tables(
            model,
            self._root,
            shown,
            self._facts,
            bases,
            self._observe,
            frozenset(wanted),
            unknown if want == "known" else self._times,
            several=several,
        )

    def _wanted(self, model: Model, *, several: bool) -> Iterable[str]:
        """The images that the targets rest on. One of several models may lack what another has."""
        try:
            targets = chosen(model, map(unlabelled, self._request.targets))
        except UsageError:
            if not several:
                raise
            return model.images
        return images_of(model, targets)

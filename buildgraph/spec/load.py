"""What does a Buildfile say? Bytes → the checked model, or every mistake at once.

The order: TOML (``parse``) → conditions → inherited defaults → variables (``fill``) → shapes (``decode``) → values
and names (``lower_…``) → stacks. Nothing is read here but what is passed in: git and the existence of paths are asked
for through functions, and what was asked is part of the result, because the model holds only while the answers do.
"""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path as HostPath

from buildgraph.errors import ErrorGroup, Location, UsageError
from buildgraph.names import Platform
from buildgraph.spec.gitfacts import GitFacts, read
from buildgraph.spec.model import Model
from buildgraph.spec.parse import parse_all
from buildgraph.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Remark:
    """Something odd that is no mistake."""

    code: str
    message: str
    where: Location


@dataclass(frozen=True, slots=True)
class Loaded:
    """``consulted_env``: variables looked up, absent ones too. ``used_git``: names of :class:`GitFacts` fields.

    ``asked``: paths of the context whose existence decided what a name means, and the answers.
    """

    model: Model
    warnings: tuple[Remark, ...] = ()
    consulted_env: tuple[str, ...] = ()
    used_git: frozenset[str] = frozenset()
    asked: Mapping[str, bool] = field(default_factory=dict)
    files_read: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """What the Buildfile is read with: the command line's word, and questions to the world."""

    folder: str
    sets: Mapping[str, str]
    environ: Mapping[str, str]
    git: Callable[[], GitFacts]
    machine: Platform
    platform: Platform | None
    secrets: frozenset[str]
    exists: Callable[[str], bool]
    glob: Callable[[str], object]


def load(
    file: HostPath,
    text: bytes | None = None,
    *,
    sets: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    git: Callable[[], GitFacts] | GitFacts | None = None,
    machine: Platform | None = None,
    platform: Platform | None = None,
    secrets: Collection[str] = (),
    exists: Callable[[str], bool] | None = None,
    glob: Callable[[str], object] = str,
    shown: str = "",
) -> Loaded:
    """Raises :class:`MistakesError`, or ErrorGroup for what is no TOML.

    What is left out is taken from this machine, this process and ``file``'s folder.

    ``platform`` (of the command line) wins over the workspace's; ``secrets`` are defined outside of the file;
    ``shown`` is what messages call the file; ``glob`` raises UsageError for what is no pattern.
    """
    folder = file.parent.absolute()
    given = Given(
        folder=folder.name,
        sets=sets or {},
        environ=os.environ if environ is None else environ,
        git=_git(git, folder),
        machine=machine or Platform.of_machine(os.uname().machine),
        platform=platform,
        secrets=frozenset(secrets),
        exists=exists or (lambda path: os.path.lexists(folder / path)),
        glob=glob,
    )
    name = shown or file.name
    try:
        content = file.read_bytes() if text is None else text
        written = parse_all(name, content)
    except UsageError as error:
        raise ErrorGroup([error]) from error
    except OSError as error:
        message = f"{name} cannot be read: {error.strerror}"
        raise ErrorGroup([UsageError("no-buildfile", message)]) from error
    from buildgraph.spec.reading import Reading

    reading = Reading(written, given)
    model = reading.model()
    return Loaded(
        model=model,
        warnings=tuple(Remark(*remark) for remark in reading.remarks),
        consulted_env=tuple(reading.variables.consulted),
        used_git=frozenset(reading.variables.used_git),
        asked=dict(reading.around.asked),
        files_read=(str(file),),
    )


def _git(git: Callable[[], GitFacts] | GitFacts | None, folder: HostPath) -> Callable[[], GitFacts]:
    if git is None:
        return lambda: read(folder)
    if isinstance(git, GitFacts):
        return lambda: git
    return git

"""Where do a Dockerfile and its context come from? A folder, a file in or outside of it, standard input, an address.

What does not lie in a folder of this machine becomes one for as long as the build lasts.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from buildgraph.build.request import DockerRequest, Request
from buildgraph.errors import Location, UsageError, blaming
from buildgraph.events import Observer
from buildgraph.fs.facts import Facts
from buildgraph.fs.moby import check_line
from buildgraph.values import dataclass, replace

if TYPE_CHECKING:
    from buildgraph.build.dockerfetch import Context

NAMES = ("Dockerfile", "dockerfile")
IGNORE = ".dockerignore"
KEEP_GIT_ARG = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
REMOTE = ("http://", "https://", "git://", "git@", "ssh://", "github.com/")


@dataclass(frozen=True, slots=True)
class DockerInput:
    """``file`` is None for a Dockerfile that was read from standard input; ``text`` is then what it said.

    ``shown`` is what the user calls it. ``address`` is where a context came from that did not lie in a folder, ``time``
    what it says of its age, in seconds since 1970.
    """

    root: Path
    file: Path | None
    shown: str = NAMES[0]
    text: bytes | None = None
    repeatable: bool = True
    address: str = ""
    time: int | None = None


def open_input(
    request: Request, asked: DockerRequest, observer: Observer, undo: ExitStack
) -> DockerInput:
    """Raises UsageError ``no-context``, ``no-dockerfile``. ``undo`` removes what was unpacked."""
    directory = request.directory
    local = (directory / asked.context).is_dir()
    if asked.context == "-" or (asked.context.startswith(REMOTE) and not local):
        return _of_elsewhere(asked, _arrived(request, asked, observer, undo), directory)
    root = Path(os.path.normpath(directory / asked.context))
    if not root.is_dir():
        raise UsageError(
            "no-context",
            f"the context {asked.context!r} is no folder",
            hint="name a folder, or - for an archive on standard input",
        )
    if asked.file == "-":
        assert asked.stdin is not None
        return DockerInput(root, None, text=asked.stdin.read(), repeatable=False)
    file = _file(asked.file, root, directory)
    shown = asked.file or os.path.normpath(os.path.join(asked.context, file.name))
    return DockerInput(root, file, shown)


def ignore_lines(given: DockerInput, facts: Facts) -> tuple[str, ...]:
    """The lines of the ignore file: that of the Dockerfile (``NAME.dockerignore``) wins over the context's."""
    if given.file is not None:
        lines = read_lines(given.file.with_name(f"{given.file.name}{IGNORE}"), facts)
        if lines is not None:
            return lines
    return read_lines(given.root / IGNORE, facts) or ()


def read_lines(file: Path, facts: Facts) -> tuple[str, ...] | None:
    """None where there is no such file. Raises UsageError ``bad-pattern`` with the line."""
    name = known(file, facts)
    try:
        content = facts.read(name)
    except (FileNotFoundError, IsADirectoryError):
        return None
    lines = content.decode("utf-8", "replace").removeprefix("\ufeff").split("\n")
    for number, line in enumerate(lines, 1):
        with blaming(Location(os.fsdecode(name), number, line)):
            check_line(line)
    return tuple(lines)


def known(path: Path, facts: Facts) -> bytes:
    """As facts name it: below their root, or absolute."""
    root = os.fsdecode(facts.root)
    return os.fsencode(os.path.relpath(path, root) if path.is_relative_to(root) else path)


def _file(name: str, root: Path, directory: Path) -> Path:
    if name:
        file = Path(os.path.normpath(directory / name))
        if file.is_file():
            return file
        raise _missing(name)
    for candidate in NAMES:
        if (root / candidate).is_file():
            return root / candidate
    raise _missing(f"{root}/{NAMES[0]}")


def _missing(name: str) -> UsageError:
    return UsageError(
        "no-dockerfile", f"there is no Dockerfile {name!r}", hint="name it with -f FILE"
    )


def _arrived(
    request: Request, asked: DockerRequest, observer: Observer, undo: ExitStack
) -> "Context":
    from buildgraph.build.dockerfetch import fetch_context, read_context
    from buildgraph.execute.archive import Surroundings

    if asked.context == "-":
        assert asked.stdin is not None
        return read_context(asked.stdin.read(), undo)
    around = Surroundings(request.directory, request.environ)
    keep = asked.args.get(KEEP_GIT_ARG, "").lower() in ("1", "true")
    return fetch_context(asked.context, around, observer, undo, keep_git=keep)


def _of_elsewhere(asked: DockerRequest, arrived: "Context", directory: Path) -> DockerInput:
    """The Dockerfile in what arrived, or else one of this machine."""
    given = DockerInput(
        arrived.root,
        None,
        NAMES[0],
        arrived.text,
        repeatable=False,
        address=asked.context,
        time=arrived.time,
    )
    if asked.file == "-":
        assert asked.stdin is not None
        return replace(given, text=asked.stdin.read())
    if arrived.text is not None:
        if asked.file:
            raise UsageError(
                "no-context",
                f"the context {asked.context} is no archive, and -f names a file in it",
                hint="a Dockerfile alone needs no -f",
            )
        return given
    inside = arrived.root / asked.file
    file = inside if asked.file and inside.is_file() else None
    file = file or _file(asked.file, arrived.root, directory)
    return replace(given, file=file, shown=asked.file or file.name)

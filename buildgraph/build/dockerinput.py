"""Where do a Dockerfile and its context come from? A folder, a file beside or outside of it, standard input.

A context on standard input is an archive (compressed or not), unpacked into a folder for as long as the build lasts, or
a Dockerfile alone, whose context is empty. Nothing of the network is fetched here.
"""

import os
import tempfile
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from buildgraph.build.request import DockerRequest
from buildgraph.errors import ContentError, UsageError
from buildgraph.fs.compress import open_decompressor
from buildgraph.fs.facts import Facts
from buildgraph.fs.unpack import unpack
from buildgraph.values import dataclass

NAMES = ("Dockerfile", "dockerfile")
IGNORE = ".dockerignore"
_REMOTE = ("http://", "https://", "git://", "git@", "ssh://", "github.com/")
_MAGICS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class DockerInput:
    """``file`` is None for a Dockerfile that was read from standard input; ``text`` is then what it said.

    ``shown`` is what the user calls it.
    """

    root: Path
    file: Path | None
    shown: str = NAMES[0]
    text: bytes | None = None
    repeatable: bool = True


def open_input(asked: DockerRequest, directory: Path, undo: ExitStack) -> DockerInput:
    """Raises UsageError ``no-context``, ``no-dockerfile``. ``undo`` removes what was unpacked."""
    if asked.context == "-":
        return _of_stream(asked, directory, undo)
    if asked.context.startswith(_REMOTE):
        raise UsageError(
            "unsupported",
            f"the context {asked.context} is not local, which is not supported yet",
            hint="download it, and name the folder",
        )
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
    """None where there is no such file."""
    try:
        content = facts.read(known(file, facts))
    except (FileNotFoundError, IsADirectoryError):
        return None
    return tuple(content.decode("utf-8", "replace").removeprefix("\ufeff").splitlines())


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


def _of_stream(asked: DockerRequest, directory: Path, undo: ExitStack) -> DockerInput:
    assert asked.stdin is not None
    content = asked.stdin.read()
    root = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="buildgraph-context-")))
    if not _is_archive(content):
        if asked.file:
            raise UsageError(
                "no-context",
                "standard input is no archive, and -f names a file in it",
                hint="a Dockerfile alone on standard input needs no -f",
            )
        return DockerInput(root, None, text=content, repeatable=False)
    _unpack(BytesIO(content), root)
    inside = root / asked.file
    file = inside if asked.file and inside.is_file() else None
    file = file or _file(asked.file, root, directory)
    return DockerInput(root, file, asked.file or file.name, repeatable=False)


def _is_archive(content: bytes) -> bool:
    return content.startswith(_MAGICS) or content[257:262] == b"ustar"


def _unpack(stream: BinaryIO, root: Path) -> None:
    try:
        with open_decompressor(stream) as plain:
            unpack(plain, root, whiteouts=False)
    except ContentError as error:
        raise ContentError(
            "bad-context",
            f"the context on standard input cannot be unpacked: {error.message}",
            hint=error.hint,
        ) from error

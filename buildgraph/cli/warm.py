"""The warm path: was this very command answered before, and does everything that the answer rests on still hold?

A build that left nothing to do is remembered in ``plans/<name>`` of the store: the facts that it rests on
(:mod:`buildgraph.fs.facts` checks them) and an answer to repeat. ``name`` is BLAKE2b over the version, the working
folder, the machine and the arguments, so a compiled plan can only meet the command that wrote it; options need no
parsing here, except ``--home``, which says where to look.

An answer is a row of named sections, each ``name NUL length NUL content``:

    progress, color      what ``--progress`` and ``--color`` said
    plain, styled, json  what to print in that mode; ``@TOOK@``, ``@SECONDS@`` and ``@TIME@`` are filled in
    file:PATH            the new content of a file (``--metadata-file``, ``--iidfile``)
    tags                 lines ``REFERENCE DIGEST``: what registries must still say for ``--push``
    ca                   the workspace's bundle of authorities, trusted while they are asked
    generation           the store's, of that moment
    kept                 lines ``DIGEST SIZE``: blobs that the store must still have, of that size

Loaded by every command before anything else: only modules that the interpreter has at its start, or light ones.
"""

import os
import sys
import time

from buildgraph import __version__

TYPE_CHECKING = False  # typing is too dear here; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Mapping

Sections = dict[str, bytes]

TOOK = b"@TOOK@"
SECONDS = b"@SECONDS@"
TIME = b"@TIME@"


def home_of(arguments: list[str], environ: "Mapping[str, str]") -> str:
    """``--home``, ``BUILDGRAPH_HOME`` or the user's data folder."""
    found = ""
    for at, argument in enumerate(arguments):
        if argument == "--home" and at + 1 < len(arguments):
            found = arguments[at + 1]
        elif argument.startswith("--home="):
            found = argument[7:]
    return found or default_home(environ)


def default_home(environ: "Mapping[str, str]") -> str:
    given = environ.get("BUILDGRAPH_HOME")
    if given:
        return given
    shared = environ.get("XDG_DATA_HOME", "")
    if not shared.startswith("/"):  # the XDG specification: relative paths are to be ignored
        shared = os.path.join(os.path.expanduser("~"), ".local/share")
    return os.path.join(shared, "buildgraph")


def plan_file(arguments: list[str], home: str) -> str:
    """Where the compiled plan of this command is kept; raises ``OSError`` when the working folder is gone."""
    from _blake2 import blake2b  # hashlib would load OpenSSL

    told = [__version__, os.getcwd(), os.uname().machine, *arguments]
    text = "\0".join(told).encode("utf-8", "surrogateescape")
    return os.path.join(home, "plans", blake2b(text, digest_size=16).hexdigest())


def answer(arguments: list[str], began: float) -> bool:
    """Repeat the remembered answer, if there is one and it holds. ``began`` is a ``time.monotonic()``."""
    try:
        home = home_of(arguments, os.environ)
        file = plan_file(arguments, home)
        if not os.path.exists(file):
            return False
        from buildgraph.fs import facts

        payload = facts.check(file)
        sections = decode(payload) if payload is not None else None
        if sections is None or lost(sections, home) or not _pushed(sections):
            return False
        _repeat(sections, began)
    except OSError:
        return False  # whatever is wrong, the long way finds it and says so
    return True


def lost(sections: Sections, home: str) -> list[str]:
    """The digests of blobs that are gone or of another size, although nothing was to be taken out; and ``index.json``.

    Bytes that rot in their place show when somebody reads them.
    """
    lines = sections.get("kept", b"").decode().splitlines()
    found = [] if not lines or os.path.exists(os.path.join(home, "index.json")) else ["index.json"]
    blobs = os.path.join(home, "blobs", "")
    for line in lines:
        digest, _, size = line.partition(" ")
        try:
            there = os.stat(blobs + digest.replace(":", "/", 1)).st_size
        except FileNotFoundError:
            there = -1
        if there != int(size):
            found.append(digest)
    return found


def _pushed(sections: Sections) -> bool:
    """Was nothing pushed, or does all of it stand?"""
    lines = sections.get("tags", b"").decode().splitlines()
    if not lines:
        return True
    from buildgraph.build.standing import stands

    named = [(name, digest) for name, _, digest in (line.partition(" ") for line in lines)]
    return stands(named, os.environ, os.fsdecode(sections.get("ca", b"")))


def _repeat(sections: Sections, began: float) -> None:
    passed = time.monotonic() - began
    seconds = b"%.3f" % passed
    took = b"%.0f ms" % (passed * 1000) if passed < 0.0995 else b"%.1f s" % passed
    for name, content in sections.items():
        if name.startswith("file:"):
            write_output(name[5:], content.replace(SECONDS, seconds))
    text = sections.get(_mode(sections), b"")
    if text:
        stamp = b"%.3f" % time.time()
        filled = text.replace(TOOK, took).replace(SECONDS, seconds).replace(TIME, stamp)
        sys.stderr.buffer.write(filled)
        sys.stderr.flush()


def _mode(sections: Sections) -> str:
    """The section to print; empty for quiet."""
    progress = sections.get("progress", b"auto").decode()
    if progress == "quiet":
        return ""
    if progress == "json":
        return "json"
    return "styled" if colored(sections.get("color", b"auto").decode()) else "plain"


def colored(choice: str) -> bool:
    """Whether standard error is to be coloured; ``choice`` is ``auto``, ``always`` or ``never``."""
    if choice != "auto":
        return choice == "always"
    unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stderr.isatty() and not unwanted


def write_output(path: str, content: bytes) -> None:
    """Replace a file that the user named, in one step; a pipe or a device is written to as it is."""
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as stream:
            stream.write(content)
        return
    path = os.path.realpath(path)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def encode(sections: Sections) -> bytes:
    return b"".join(
        b"%s\0%d\0%s" % (name.encode("utf-8", "surrogateescape"), len(content), content)
        for name, content in sections.items()
    )


def decode(payload: bytes) -> Sections | None:
    """None when ``payload`` is not what :func:`encode` writes."""
    sections: Sections = {}
    rest = payload
    while rest:
        name, _, rest = rest.partition(b"\0")
        digits, _, rest = rest.partition(b"\0")
        if not digits.isdigit() or len(rest) < int(digits):
            return None
        length = int(digits)
        sections[name.decode("utf-8", "surrogateescape")] = rest[:length]
        rest = rest[length:]
    return sections

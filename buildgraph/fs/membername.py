"""Which path below the root does a member's name mean, and may a layer hold it?

A name counts from the root, with or without leading slashes; ``.`` and doubled slashes mean nothing; a ``..`` takes
back the name before it and never climbs above the root. Paths and names are bounded as in the kernel.
"""

from typing import Final

from buildgraph.errors import ContentError
from buildgraph.fs.rooted import shown
from buildgraph.fs.tarball import OPAQUE_MARKER, WHITEOUT_PREFIX

MOST_PATH: Final = 4095
MOST_NAME: Final = 255
_AUFS: Final = WHITEOUT_PREFIX * 2


def parts_of(name: bytes) -> list[bytes]:
    """The names in a member's name, from the root; [] for the root itself. Raises ContentError (``archive-name``)."""
    parts = [part for part in name.split(b"/") if part and part != b"."]
    if b".." in parts:
        parts = _without_dotdot(parts, name)
    if len(name) > MOST_NAME and (
        len(name) > MOST_PATH or any(len(part) > MOST_NAME for part in parts)
    ):
        raise bad_name(name, "is too long")
    return parts


def _without_dotdot(parts: list[bytes], name: bytes) -> list[bytes]:
    out: list[bytes] = []
    for part in parts:
        if part != b"..":
            out.append(part)
        elif out:
            out.pop()
        else:
            raise bad_name(name, "leads out of the archive")
    return out


def bad_name(name: bytes, why: str) -> ContentError:
    text = name.decode("utf-8", "backslashreplace")
    shortened = text if len(text) <= 120 else f"{text[:80]}…{text[-30:]}"
    return ContentError("archive-name", f"the entry {shortened!r} {why}")


def bad_link(name: bytes, link: bytes, what: str, kind: str = "hard") -> ContentError:
    return ContentError(
        "archive-link", f"{shown(name)} is a {kind} link to {shown(link)}, which is {what}"
    )


def is_bookkeeping(parts: list[bytes], name: bytes, *, whiteouts: bool) -> bool:
    """Whether this is one of AUFS' own files; raises for names that mean nothing."""
    reserved = [part for part in parts if part.startswith(WHITEOUT_PREFIX)]
    if reserved and not whiteouts:
        raise ContentError(
            "archive-whiteout",
            f"{shown(name)} would delete a file of a layer: names cannot begin with .wh.",
        )
    for part in reserved:
        if part.startswith(_AUFS) and part != OPAQUE_MARKER:
            return True
    if reserved and (len(reserved) > 1 or parts[-1] != reserved[0]):
        raise bad_name(name, "lies below a whiteout")
    return False

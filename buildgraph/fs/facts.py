"""Does everything still look as it did? The facts that a compiled plan depends on, and the fast check of them.

A build that has nothing to do is decided here, so this module imports next to nothing (no ``dataclasses``, no
``typing``) and compares 50,000 files in the time that their ``lstat`` takes. A path is as it
was if its row (:mod:`buildgraph.fs.rows`) is the same and not racy, or else if its proof is: the content of a file,
the names in a folder. What had to be proven is written back, so that the next check is fast again.

File, ``\\0`` between the items of a list::

    buildgraph-facts 1\\n · crc32 of all that follows (8 hex digits) · lengths of the nine parts (int64)
    root · paths (below the root, or absolute) · rows (6 int64 a path) · indices of racy rows (int64)
    proofs (32 bytes a path) · absent paths · variables (name=value, or name if unset)
    strings (each as <length>:<bytes>) · payload

A damaged file is no file. Nothing is fsynced: what a crash leaves fails the checksum and costs one scan.
"""

import os
import time
from errno import ELOOP
from itertools import chain, compress
from stat import S_ISLNK
from struct import pack, unpack, unpack_from
from zlib import crc32

from buildgraph.fs.recheck import Change, Check
from buildgraph.fs.rows import (
    SIZE,
    Row,
    is_racy,
    moment,
    pack_rows,
    prove_bytes,
    racy_ones,
    racy_packed,
    row_of,
)

TYPE_CHECKING = False  # typing is too dear here; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Iterable

_MAGIC = b"buildgraph-facts 1\n"
_PARTS = 9
_MOST_STEPS = 4096
_PROOF = 32
_NEVER = "00" * _PROOF
"""No content has this hash."""


class Facts:
    """What one build looked at below ``root``, collected while it looks; ``since`` is the moment it began.

    A path is added with the row that was taken *before* its content was read, and the proof of that content.
    """

    __slots__ = ("absent", "doubtful", "many", "root", "seen", "since", "strings", "variables")

    def __init__(self, root: bytes, since: dict[int, int] | None = None) -> None:
        self.root = root
        self.since = moment(root) if since is None else since
        self.seen: dict[bytes, tuple[Row, str]] = {}
        """Row and proof (hex) by path."""
        self.many: list[tuple[list[bytes], bytes, bytes]] = []
        """The same of many paths at once, in columns as the file has them."""
        self.doubtful: set[bytes] = set()
        """The paths whose row is racy."""
        self.absent: set[bytes] = set()
        self.strings: list[bytes] = []
        self.variables: dict[bytes, bytes | None] = {}

    def add(self, path: bytes, row: Row, proof: str) -> None:
        """The first row of a path counts; ``b""`` is the root."""
        self.seen.setdefault(path or b".", (row, proof))
        if is_racy(row, self.since):
            self.doubtful.add(path or b".")

    def add_many(self, paths: list[bytes], rows: list[Row], proofs: list[str]) -> None:
        """A path that is added by other ways too must be as all of them say."""
        self.many.append((paths, pack_rows(rows), _pack_proofs(proofs)))
        self.doubtful.update(compress(paths, racy_ones(rows, self.since)))

    def add_packed(self, paths: list[bytes], rows: bytes, proofs: bytes) -> None:
        """The same of columns that are bytes already: six int64 and 32 bytes a path."""
        self.many.append((paths, rows, proofs))
        self.doubtful.update(compress(paths, racy_packed(rows, self.since)))

    def forget(self, path: bytes) -> None:
        """For a file that the build itself has written; add it again afterwards."""
        self.seen.pop(path, None)
        self.absent.discard(path)

    def read(self, path: bytes) -> bytes:
        """A file's bytes, remembered; a missing file is remembered as absent and raises ``FileNotFoundError``."""
        try:
            real = self.follow(path)
            full = os.path.join(self.root, real)
            row = row_of(os.lstat(full))
            with open(full, "rb") as file:
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            self.absent.add(path)
            raise
        self.add(real, row, prove_bytes(content))
        return content

    def follow(self, path: bytes) -> bytes:
        """Where ``path`` leads, every link on the way remembered; raises ``OSError`` if it leads nowhere."""
        at = b""
        todo = path.split(b"/")[::-1]
        for _ in range(_MOST_STEPS):
            if not todo:
                return at
            name = todo.pop()
            if not name and at:
                continue
            here = os.path.join(at, name or b"/")
            full = os.path.join(self.root, here)
            row = row_of(os.lstat(full))
            if not S_ISLNK(row[3]):
                at = here
                continue
            target = os.readlink(full)
            self.add(here, row, prove_bytes(target))
            todo += target.split(b"/")[::-1]
            at = b"/" if target.startswith(b"/") else at
        raise OSError(ELOOP, os.strerror(ELOOP), path)

    def missing(self, path: bytes) -> None:
        self.absent.add(path)

    def variable(self, name: str) -> str | None:
        """The value of an environment variable, remembered."""
        key = os.fsencode(name)
        value = self.variables[key] = os.environb.get(key)
        return None if value is None else os.fsdecode(value)

    def include(self, other: "Facts") -> None:
        """Adds what ``other``, with the same root, has seen."""
        self.seen = {**other.seen, **self.seen}
        self.many += other.many
        self.doubtful |= other.doubtful
        self.absent |= other.absent
        self.strings += other.strings
        self.variables.update(other.variables)

    def parts(self) -> list[bytes]:
        """The parts of the file, without the payload."""
        seen = sorted(self.seen.items())
        one_by_one = (
            [path for path, _ in seen],
            pack_rows([row for _, (row, _) in seen]),
            _pack_proofs([proof for _, (_, proof) in seen]),
        )
        names, all_rows, all_proofs = zip(*[*self.many, one_by_one], strict=True)
        paths = self._below_root(chain.from_iterable(names))
        rows, proofs = b"".join(all_rows), b"".join(all_proofs)
        if len(set(paths)) < len(paths):
            known = dict.fromkeys(zip(paths, _cut(rows, SIZE), _cut(proofs, _PROOF), strict=True))
            paths, all_rows, all_proofs = zip(*known, strict=True)
            rows, proofs = b"".join(all_rows), b"".join(all_proofs)
        doubtful = set(self._below_root(self.doubtful))
        racy = [i for i, path in enumerate(paths) if path in doubtful] if doubtful else []
        variables = (
            name if value is None else name + b"=" + value
            for name, value in sorted(self.variables.items())
        )
        return [
            self.root,
            b"\0".join(paths),
            rows,
            _numbers(racy),
            proofs,
            b"\0".join(sorted(self.absent)),
            b"\0".join(variables),
            _lengths(self.strings),
        ]

    def _below_root(self, paths: "Iterable[bytes]") -> list[bytes]:
        """Relative where that is possible: short paths are looked up in half the time of long ones."""
        above = self.root.rstrip(b"/") + b"/"
        start = len(above)
        return [path[start:] or b"." if path.startswith(above) else path for path in paths]


def _pack_proofs(proofs: list[str]) -> bytes:
    return bytes.fromhex("".join([proof or _NEVER for proof in proofs]))


def _cut(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


def _numbers(numbers: list[int]) -> bytes:
    return pack(f"{len(numbers)}q", *numbers)


def _lengths(strings: list[bytes]) -> bytes:
    return b"".join(b"%d:%s" % (len(text), text) for text in strings)


def save(file: str | os.PathLike[str], facts: Facts, payload: bytes) -> None:
    """Writes the facts and what holds while they do."""
    _write(os.fsencode(file), [*facts.parts(), payload])


def _write(file: bytes, parts: list[bytes]) -> None:
    body = b"".join([_numbers([len(part) for part in parts]), *parts])
    temp = file + b".%d-%d" % (os.getpid(), time.monotonic_ns())
    try:
        with open(temp, "wb", buffering=0) as out:
            out.write(b"%s%08x" % (_MAGIC, crc32(body)))
            left = memoryview(body)
            while left:
                left = left[out.write(left) :]
        os.rename(temp, file)
    except BaseException:
        if os.path.lexists(temp):
            os.unlink(temp)
        raise


def payload(file: str | os.PathLike[str]) -> bytes | None:
    """The payload whether or not the facts hold; its bytes are not checked."""
    start = len(_MAGIC) + 8
    try:
        with open(file, "rb", buffering=0) as source:
            head = source.read(start + 8 * _PARTS)
            lengths = (
                unpack_from(f"{_PARTS}q", head, start) if len(head) == start + 8 * _PARTS else ()
            )
            if not lengths or len(head) + sum(lengths) != os.fstat(source.fileno()).st_size:
                return None
            source.seek(-lengths[-1], os.SEEK_END)
            return source.read()
    except OSError:
        return None


def check(file: str | os.PathLike[str], strings: tuple[bytes, ...] = ()) -> bytes | None:
    """The payload, if every fact of ``file`` still holds and its strings are ``strings``; else None.

    Changes the working directory while it runs; call it before any thread starts.
    """
    name = os.path.abspath(os.fsencode(file))
    parts = _read(name)
    if parts is None or parts[7] != _lengths(list(strings)):
        return None
    for variable in parts[6].split(b"\0") if parts[6] else ():
        key, given, value = variable.partition(b"=")
        if os.environb.get(key) != (value if given else None):
            return None
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(parts[0])
        return parts[8] if _holds(name, parts) else None
    except OSError:
        return None
    finally:
        os.fchdir(here)
        os.close(here)


def _read(file: bytes) -> list[bytes] | None:
    """The parts of the file; None if there is none, or a damaged one."""
    try:
        with open(file, "rb", buffering=0) as source:
            content = source.readall()
    except OSError:
        return None
    head = len(_MAGIC) + 8
    body = memoryview(content)[head:]
    if content[:head] != b"%s%08x" % (_MAGIC, crc32(body)):
        return None
    lengths = unpack_from(f"{_PARTS}q", body)
    at = 8 * _PARTS
    parts = []
    for length in lengths:
        parts.append(body[at : at + length].tobytes())
        at += length
    return parts


def _holds(file: bytes, parts: list[bytes]) -> bool:
    """The working directory is the root of the facts."""
    paths = parts[1].split(b"\0") if parts[1] else []
    if any(map(_exists, parts[5].split(b"\0") if parts[5] else ())):
        return False
    racy = set(unpack(f"{len(parts[3]) // 8}q", parts[3]))
    changes = Check(paths, parts[2], parts[4], racy, os.path.dirname(file)).run()
    if changes is None:
        return False
    if changes:
        _rewrite(file, parts, changes, racy)
    return True


def _exists(path: bytes) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _rewrite(file: bytes, parts: list[bytes], changes: "list[Change]", racy: set[int]) -> None:
    columns = bytearray(parts[2])
    for index, doubtful, *row in changes:
        columns[SIZE * index : SIZE * (index + 1)] = _numbers(row)
        if doubtful:
            racy.add(index)
        else:
            racy.discard(index)
    parts[2:4] = bytes(columns), _numbers(sorted(racy))
    try:
        _write(file, parts)
    except OSError:  # a full disk or a read-only home: compared by content once more
        return

"""Does everything still look as it did? The facts that a compiled plan depends on, and the fast check of them.

A build that has nothing to do is decided here, so this module imports next to nothing (no ``dataclasses``, no
``typing``) and compares 50,000 files in the time that their ``lstat`` takes. Rows, and when they are racy:
:mod:`buildgraph.fs.rows`. A racy row is kept with its proof; the check compares that as well, and rewrites the
file as soon as the row is racy no longer.

File, ``\\0`` between the items of a list::

    buildgraph-facts 1\\n · crc32 of all that follows (8 hex digits) · lengths of the nine parts (int64)
    root · paths (below the root, or absolute) · rows (6 int64 a path) · indices of racy rows (int64)
    their proofs (32 bytes each) · absent paths · variables (name=value, or name if unset)
    strings (each as <length>:<bytes>) · payload

A damaged file is no file. Nothing is fsynced: what a crash leaves fails the checksum and costs one scan.
"""

import os
import time
from errno import ELOOP
from stat import S_ISLNK
from struct import pack, unpack, unpack_from
from zlib import crc32

from buildgraph.fs.rows import SIZE, Row, is_racy, moment, prove, row_of, rows, wrap

_MAGIC = b"buildgraph-facts 1\n"
_PARTS = 9
_BLOCK = 4096
_WORTH_A_FORK = 16_384
_MOST_STEPS = 4096
_KILL = 9


class Facts:
    """What one build looked at below ``root``, collected while it looks; ``since`` is the moment it began.

    A path is added with the row that was taken *before* its content was read.
    """

    __slots__ = ("absent", "root", "seen", "since", "strings", "variables")

    def __init__(self, root: bytes, since: int | None = None) -> None:
        self.root = root
        self.since = moment(root) if since is None else since
        self.seen: dict[bytes, tuple[Row, bytes]] = {}
        """Row, and proof unless it is not racy, by path."""
        self.absent: set[bytes] = set()
        self.strings: list[bytes] = []
        self.variables: dict[bytes, bytes | None] = {}

    def racy(self, row: Row) -> bool:
        return is_racy(row, self.since)

    def add(self, path: bytes, row: Row, proof: bytes = b"") -> None:
        """``proof`` must be given where the row is racy; path ``b""`` is the root."""
        self.seen[path or b"."] = (row, proof if self.racy(row) else b"")

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
        proof = b""
        if self.racy(row):
            from blake3 import blake3

            proof = blake3(content).digest()
        self.add(real, row, proof)
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
            self.add(here, row, prove(full, row[3]))
            target = os.readlink(full)
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
        self.seen.update(other.seen)
        self.absent |= other.absent
        self.strings += other.strings
        self.variables.update(other.variables)

    def parts(self) -> list[bytes]:
        """The parts of the file, without the payload."""
        paths = sorted(self.seen)
        columns = [wrap(number) for path in paths for number in self.seen[path][0]]
        proofs = [(i, self.seen[path][1]) for i, path in enumerate(paths) if self.seen[path][1]]
        variables = (
            name if value is None else name + b"=" + value
            for name, value in sorted(self.variables.items())
        )
        return [
            self.root,
            b"\0".join(paths),
            _numbers(columns),
            _numbers([i for i, _ in proofs]),
            b"".join(proof for _, proof in proofs),
            b"\0".join(sorted(self.absent)),
            b"\0".join(variables),
            _lengths(self.strings),
        ]


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


def check(file: str | os.PathLike[str], strings: tuple[bytes, ...] = ()) -> bytes | None:
    """The payload, if every fact of ``file`` still holds and its strings are ``strings``; else None.

    Changes the working directory while it runs; call it before any thread starts.
    """
    name = os.fsencode(file)
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
    known = parts[2]
    racy = unpack(f"{len(parts[3]) // 8}q", parts[3])
    since = moment(b".", os.path.dirname(file)) if racy else 0
    if any(map(_exists, parts[5].split(b"\0") if parts[5] else ())):
        return False
    if not _same_rows(paths, known):
        return False
    kept = []
    for at, i in enumerate(racy):
        proof = parts[4][32 * at : 32 * at + 32]
        row = unpack_from("6q", known, SIZE * i)
        if prove(paths[i], row[3]) != proof:
            return False
        if is_racy(row, since):
            kept.append((i, proof))
    if len(kept) < len(racy):
        parts[3] = _numbers([i for i, _ in kept])
        parts[4] = b"".join(proof for _, proof in kept)
        _rewrite(file, parts)
    return True


def _rewrite(file: bytes, parts: list[bytes]) -> None:
    try:
        _write(file, parts)
    except OSError:  # a full disk or a read-only home: compared by content once more
        return


def _exists(path: bytes) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _same_rows(paths: list[bytes], known: bytes) -> bool:
    """Two halves in two processes where that pays; threads would only wait for each other."""
    half = len(paths) // 2
    if len(paths) < _WORTH_A_FORK or len(os.sched_getaffinity(0)) < 2:
        return _compare(paths, known, 0, len(paths))
    try:
        child = os.fork()
    except OSError:
        return _compare(paths, known, 0, len(paths))
    if not child:
        same = False
        try:
            same = _compare(paths, known, half, len(paths))
        finally:
            os._exit(0 if same else 1)
    same = False
    try:
        same = _compare(paths, known, 0, half)
    finally:
        if not same:
            os.kill(child, _KILL)
        _, status = os.waitpid(child, 0)
    return same and status == 0


def _compare(paths: list[bytes], known: bytes, start: int, end: int) -> bool:
    try:
        return all(
            rows(paths[at : min(at + _BLOCK, end)])
            == known[SIZE * at : SIZE * min(at + _BLOCK, end)]
            for at in range(start, end, _BLOCK)
        )
    except OSError:
        return False

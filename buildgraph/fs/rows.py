"""What the file system says of a path, as one comparable row, and from when on that cannot be relied on.

A *row* is (dev, ino, size, mode, mtime_ns, ctime_ns) of ``lstat``: two equal rows of a path are the same content.
Folders are rows too: names that come and go change their times. A row is *racy* if its ctime is not at least
10 ms older than the moment of the snapshot (:func:`moment`) by the clock of the file system that it lies on: the path
may change again within the same tick and keep its row. What stands behind a row is compared by its *proof*, a BLAKE3.

A build that has nothing to do needs this module, so it imports next to nothing.
"""

import os
import time
from itertools import chain
from operator import attrgetter, itemgetter
from stat import S_ISDIR, S_ISLNK, S_ISREG
from struct import error, pack

TYPE_CHECKING = False  # typing is too dear here; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[int, int, int, int, int, int]

WIDTH = 6
SIZE = 8 * WIDTH
_REALTIME_COARSE = 5
"""The clock of the last tick (linux/time.h); file systems stamp with it."""
_TICK = 10_000_000
_COARSEST = 2_000_000_000
"""No local file system keeps times in steps of more."""
_LOCAL = frozenset(
    (
        b"ext2",
        b"ext3",
        b"ext4",
        b"xfs",
        b"btrfs",
        b"tmpfs",
        b"overlay",
        b"f2fs",
        b"bcachefs",
        b"zfs",
    )
)

row_of: "attrgetter[Row]" = attrgetter(
    "st_dev", "st_ino", "st_size", "st_mode", "st_mtime_ns", "st_ctime_ns"
)


_DEVICE = itemgetter(0)
_CTIME = itemgetter(5)


class Moments(dict[int, int]):
    """When a look began, in ns, by each device's own clock; 0 if that cannot be known (all is racy then).

    Of a device that was not touched before the look nothing is known but that the kernel's clock stamps a local file
    system, in steps of a second on some (ext4 with small inodes); a server's or a program's clock may be any.
    """

    __slots__ = ("_now",)

    def __init__(self) -> None:
        super().__init__()
        self._now = time.clock_gettime_ns(_REALTIME_COARSE)

    def __missing__(self, device: int) -> int:
        began = self[device] = self._now - _COARSEST if _is_local(device) else 0
        return began


def moment(root: bytes, *others: bytes) -> Moments:
    """The present; of the file system at ``root`` by its own clock.

    Touches a nameless file in ``root``, which changes nothing there, else a file in one of the folders ``others``
    on the same filesystem.
    """
    moments = Moments()
    try:
        device = os.stat(root).st_dev
    except OSError:
        return moments
    for folder in (root, *others):
        try:
            if os.stat(folder).st_dev == device:
                moments[device] = _touch(folder, named=folder != root)
                break
        except OSError:
            continue
    return moments


def _touch(folder: bytes, *, named: bool) -> int:
    """The ctime of a new file; 0 where that follows the mtime, which may be set to anything (FAT)."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    try:
        fd = os.open(folder, flags | os.O_TMPFILE, 0o600)
    except OSError:
        if not named:
            raise
        path = folder + b"/.moment-%d-%d" % (os.getpid(), time.monotonic_ns())
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(path)
    try:
        began = os.fstat(fd).st_ctime_ns
        os.utime(fd, (0, 0))
        return began if began <= os.fstat(fd).st_ctime_ns else 0
    finally:
        os.close(fd)


def _is_local(device: int) -> bool:
    number = b"%d:%d" % (os.major(device), os.minor(device))
    try:
        with open("/proc/self/mountinfo", "rb") as lines:
            for line in lines:
                if line.split(b" ", 3)[2] == number:
                    return line.partition(b" - ")[2].split(b" ")[0] in _LOCAL
    except OSError:
        pass
    return False


def rows(paths: list[bytes]) -> bytes:
    """The rows of ``paths`` as :func:`pack_rows` has them; raises ``OSError`` for the first that is gone."""
    return pack_rows(map(row_of, map(os.lstat, paths)))


def pack_rows(rows_: "list[Row] | map[Row]") -> bytes:
    """Six int64 a row, one row after the other."""
    numbers = list(chain.from_iterable(rows_))
    try:
        return pack(f"{len(numbers)}q", *numbers)
    except error:  # inode numbers of 64 bits, times after 2262
        return pack(f"{len(numbers)}q", *map(wrap, numbers))


def wrap(number: int) -> int:
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def is_racy(row: tuple[int, ...], since: dict[int, int]) -> bool:
    return row[5] >= since[row[0]] - _TICK


def racy_ones(rows_: "Sequence[Row]", since: dict[int, int]) -> list[bool]:
    """Of each row whether it is racy; nothing where none is."""
    return _racy(list(map(_DEVICE, rows_)), list(map(_CTIME, rows_)), since)


def racy_packed(packed: bytes, since: dict[int, int]) -> list[bool]:
    """The same of rows as :func:`pack_rows` has them."""
    numbers = memoryview(packed).cast("q")
    return _racy(numbers[::WIDTH].tolist(), numbers[WIDTH - 1 :: WIDTH].tolist(), since)


def _racy(devices: list[int], times: list[int], since: dict[int, int]) -> list[bool]:
    if not times or max(times) < min([since[device] for device in set(devices)]) - _TICK:
        return []
    return [time >= since[device] - _TICK for device, time in zip(devices, times, strict=True)]


def prove(path: bytes, mode: int) -> str:
    """Hex BLAKE3 of a file's bytes, a link's target, or a folder's names and their kinds."""
    from blake3 import blake3  # a check in which all rows are the same needs no hash

    if S_ISLNK(mode):
        return prove_bytes(os.readlink(path))
    if S_ISDIR(mode):
        return _prove_folder(path)
    if not S_ISREG(mode):
        return ""
    hasher = blake3()
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb", buffering=0) as file:
        while block := file.read(1 << 18):
            hasher.update(block)
    return hasher.hexdigest()


def _prove_folder(path: bytes) -> str:
    lists: list[list[bytes]] = [[], [], [], []]
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                lists[0].append(entry.name)
            elif entry.is_dir(follow_symlinks=False):
                lists[1].append(entry.name)
            else:
                lists[2 if entry.is_symlink() else 3].append(entry.name)
    return prove_names(lists)


def prove_names(lists: "list[list[bytes]] | tuple[list[bytes], ...]") -> str:
    """The proof of a folder with these files, folders, links, and others (FIFOs, sockets, devices)."""
    return prove_bytes(b"//".join([b"/".join(sorted(names)) for names in lists]))


def prove_bytes(content: bytes) -> str:
    """The proof of a file with this content, or of a link with this target."""
    from blake3 import blake3

    return blake3(content).hexdigest()

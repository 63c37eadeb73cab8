"""Files for the workloads: the same bytes on every machine, because everything comes from one seeded generator.

A tree is COUNT files of TOTAL bytes together, PER_FOLDER to a folder. Sizes are spread as those of source files are
(many small ones, few large ones); the contents are lines of words, which deflate to a third or so, as sources do. Times
are set to a fixed moment in the past, so that git does not look twice at files that have just been written.
"""

import os
from pathlib import Path
from random import Random

MOMENT = 1_577_836_800  # 2020-01-01T00:00:00Z
POOL = 4 << 20
BLOCK = 1 << 20
PER_FOLDER = 20


def words(random: Random, size: int = POOL) -> bytes:
    """SIZE bytes of lines of words: what file contents are cut from."""
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    vocabulary = [
        "".join(random.choices(letters, k=random.randint(2, 11))).encode() for _ in range(4000)
    ]
    lines = bytearray()
    while len(lines) < size:
        lines += b" ".join(random.choices(vocabulary, k=random.randint(3, 12))) + b"\n"
    return bytes(lines[:size])


def sizes(random: Random, count: int, total: int) -> list[int]:
    """COUNT sizes with the sum TOTAL, log-normally spread."""
    weights = [random.lognormvariate(0, 1) for _ in range(count)]
    scale = total / sum(weights)
    found = [int(weight * scale) for weight in weights]
    found[0] += total - sum(found)
    return found


def write(root: Path, random: Random, pool: bytes, count: int, total: int) -> None:
    """Write a tree of COUNT files, cut from POOL, at ROOT, which must not exist."""
    fan_out = 32
    folder = root
    for number, size in enumerate(sizes(random, count, total)):
        if number % PER_FOLDER == 0:
            at = number // PER_FOLDER
            folder = root / f"part{at // fan_out:03d}" / f"unit{at % fan_out:02d}"
            folder.mkdir(parents=True)
        header = b"# %s %d\n" % (root.name.encode(), number)
        content = header + cut(pool, random.randrange(len(pool)), max(size - len(header), 0))
        put(folder / f"file{number:05d}.py", content)


def cut(pool: bytes, start: int, size: int) -> bytes:
    """SIZE bytes of the pool from START on, round and round."""
    piece = pool[start : start + size]
    while len(piece) < size:
        piece += pool[: size - len(piece)]
    return piece


def write_big(root: Path, random: Random, pool: bytes, total: int, files: int = 3) -> None:
    """Write FILES files of TOTAL bytes together: every second MiB is noise, as in archives and binaries."""
    root.mkdir(parents=True)
    for number in range(files):
        left = total // files + (total % files if number == 0 else 0)
        with (root / f"big{number}.bin").open("wb") as out:
            noise = False
            while left:
                size = min(BLOCK, left)
                noise = not noise
                out.write(
                    random.randbytes(size) if noise else cut(pool, random.randrange(POOL), size)
                )
                left -= size
        os.utime(root / f"big{number}.bin", (MOMENT, MOMENT))


def put(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    os.utime(file, (MOMENT, MOMENT))

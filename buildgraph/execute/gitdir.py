"""What does ``.git`` hold that is the same for every clone of one commit? Everything else is taken away.

    HEAD, shallow     the commit; ``shallow`` where it has parents, which are not here
    config            as git writes it, without passwords
    index             every entry with empty stat data, which git fills in when it is asked for the first time
    objects/pack      one pack of the commit, its trees, its files and its tag's object, in the order of their names,
                      without deltas and not compressed: no version of git or zlib has a say in it
    refs              the branch or the tag that was asked for by its name; else empty folders, without which it is no
                      repository
    modules           of submodules, each the same

No hooks, logs, descriptions, other refs, times or names of temporary files are left.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Final
from zlib import adler32

from buildgraph.errors import RemoteError

Git = Callable[..., str]
"""Runs git in a folder with words; gives what it printed."""

_KEPT: Final = frozenset({"HEAD", "config", "modules", "objects", "shallow"})
_KINDS: Final = {b"commit": 1, b"tree": 2, b"blob": 3, b"tag": 4}
_STORED: Final = 0xFFFF
"""The most bytes that a stored block of deflate holds (RFC 1951, 3.2.4)."""


def settle(folder: Path, name: str, named: str, git: Git, env: Mapping[str, str]) -> None:
    """``folder`` is checked out, with its submodules; ``name`` is a ref of its own, or empty, for ``named``."""
    for place in sorted(each.parent for each in folder.rglob(".git")):
        own = place == folder
        _settle(place, named if own else "", git, env)
        if own and name:
            git(place, "-c", "core.logAllRefUpdates=false", "update-ref", name, named)


def _settle(place: Path, named: str, git: Git, env: Mapping[str, str]) -> None:
    commit = git(place, "rev-parse", "HEAD").strip()
    home = Path(git(place, "rev-parse", "--absolute-git-dir").strip())
    parents = git(place, "rev-list", "--parents", "-n1", commit).split()[1:]
    if parents:
        (home / "shallow").write_text(f"{commit}\n")
    listed = git(place, "rev-list", "--objects", named or commit)
    names = [line.partition(" ")[0] for line in listed.split("\n")]
    pack = home / "whole.pack"
    with pack.open("w+b") as file:
        seal = _pack(file, _objects(place, sorted(filter(None, names)), env), len(commit))
    _clear(home)
    config = home / "config"
    config.write_text(_public(config.read_text()))
    _lay(pack, home / "objects/pack" / f"pack-{seal}.pack", git, place)
    git(place, "read-tree", "HEAD")


def _public(config: str) -> str:
    """Addresses without passwords, and for http without any name."""
    config = re.sub(r"(https?://)[^/@\s]*@", r"\1", config)
    return re.sub(r"(//[^/@:\s]+):[^/@\s]*@", r"\1@", config)


def _clear(home: Path) -> None:
    for each in home.iterdir():
        if each.name in _KEPT or each.name == "whole.pack":
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
    shutil.rmtree(home / "objects")
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
        (home / name).mkdir(parents=True)


def _lay(pack: Path, target: Path, git: Git, place: Path) -> None:
    pack.chmod(0o444)
    pack.rename(target)
    index = target.with_suffix(".idx")
    no_more = ("-c", "pack.writeReverseIndex=false")
    git(
        place,
        *no_more,
        "index-pack",
        "--index-version=2",
        "-o",
        os.fspath(index),
        os.fspath(target),
    )


def _objects(
    place: Path, names: list[str], env: Mapping[str, str]
) -> Iterator[tuple[bytes, int, IO[bytes]]]:
    """Kind, size and content of each; the content is to be read to its end. The first is how many there are."""
    command = ["git", "-C", os.fspath(place), "cat-file", "--batch"]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as asked:
        assert asked.stdin is not None
        assert asked.stdout is not None
        yield b"", len(names), asked.stdout
        for name in names:
            asked.stdin.write(name.encode() + b"\n")
            asked.stdin.flush()
            _, kind, *size = asked.stdout.readline().split() or (b"", b"missing")
            if kind not in _KINDS:
                asked.stdin.close()
                raise RemoteError("git-failed", f"git cannot read the object {name}")
            yield kind, int(size[0]), asked.stdout
            asked.stdout.read(1)
        asked.stdin.close()


def _pack(file: IO[bytes], objects: Iterator[tuple[bytes, int, IO[bytes]]], width: int) -> str:
    """A pack as gitformat-pack(5) draws it; its trailer in hex."""
    seal = hashlib.sha256() if width == 64 else hashlib.sha1()  # noqa: S324 - git's own

    def write(content: bytes) -> None:
        seal.update(content)
        file.write(content)

    _, count, _ = next(objects)
    write(b"PACK" + (2).to_bytes(4, "big") + count.to_bytes(4, "big"))
    for kind, size, content in objects:
        write(_head(_KINDS[kind], size))
        _store(content, size, write)
    file.write(seal.digest())
    return seal.hexdigest()


def _head(kind: int, size: int) -> bytes:
    made, rest = bytearray([kind << 4 | size & 0xF]), size >> 4
    while rest:
        made[-1] |= 0x80
        made.append(rest & 0x7F)
        rest >>= 7
    return bytes(made)


def _store(content: IO[bytes], size: int, write: Callable[[bytes], None]) -> None:
    """A zlib stream (RFC 1950) that is not compressed."""
    write(b"\x78\x01")
    check, left = adler32(b""), size
    while True:
        piece = content.read(min(left, _STORED))
        left -= len(piece)
        last = not left or not piece
        length = len(piece)
        write(
            bytes([last]) + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little")
        )
        write(piece)
        check = adler32(piece, check)
        if last:
            break
    write(check.to_bytes(4, "big"))

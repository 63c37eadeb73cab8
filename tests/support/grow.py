"""Folders full of files, written as short as a test reads them."""

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from buildgraph.fs.context import Context
from buildgraph.fs.fingerprint import StatCache


def as_of(moment: int) -> dict[int, int]:
    """The moments of a look that began then by every clock."""
    return defaultdict(lambda: moment)


LONG_AFTER = as_of(1 << 62)
"""After that no file was touched: nothing is racy."""
UNKNOWN = as_of(0)
"""Everything is racy."""

MONOREPO = {
    "Buildfile.toml": "x",
    ".git/HEAD": "ref",
    "lib/a.py": "a",
    "lib/a_test.py": "t",
    "lib/__pycache__/a.pyc": "c",
    "lib/sub/b.py": "b",
    "lib/sub/.git": "gitdir: elsewhere",
    "lib/empty/": "",
    "run.sh": "+xecho",
    "link": "-> lib/a.py",
    "lib.py": "sorts between lib and lib/",
}


def grow(root: Path, files: Mapping[str, str]) -> Path:
    """Each path with its text; a path that ends in / is an empty folder, ``-> x`` a link to x, ``+x`` executable."""
    for path, text in files.items():
        target = root / path
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            os.symlink(text[3:], target)
        else:
            target.write_text(text.removeprefix("+x"))
            target.chmod(0o755 if text.startswith("+x") else 0o644)
    return root


def context(root: Path, ignore: tuple[str, ...] = (), hidden: tuple[bytes, ...] = ()) -> Context:
    return Context(root, StatCache.load(root.parent / "stat-cache", root), ignore, hidden)


def calm(cache: StatCache) -> StatCache:
    """The same as if its files had been written long ago."""
    cache.since = LONG_AFTER
    return cache

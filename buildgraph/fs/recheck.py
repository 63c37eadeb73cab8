"""Are these paths what they were? Rows are compared in blocks, and what differs or is racy by its proof.

A build that has nothing to do spends its time here: one ``lstat`` a path, from two processes where that pays
(threads would only wait for each other). Imports next to nothing, as :mod:`buildgraph.fs.facts` says.
"""

import os
from stat import S_ISDIR
from struct import iter_unpack, pack, unpack_from

from buildgraph.fs.rows import SIZE, is_racy, moment, prove, row_of, rows, wrap

_BLOCK = 512
"""Paths: the numbers of so many are made again in the same memory, instead of page after page of new."""
_WORTH_A_FORK = 4_096
"""Paths: a second process costs as much as to look at 800."""
_KILL = 9
_MOST_PROOFS = 512
_MOST_BYTES = 1 << 26
"""Beyond these a scan, which hashes in parallel, is faster."""
_DONE = b"done"
Change = tuple[int, ...]
"""A path's index, whether its row is racy, and its six numbers."""


class Check:
    """Runs in the folder that ``paths`` are relative to; ``home`` is where the facts are kept."""

    def __init__(
        self, paths: list[bytes], known: bytes, proofs: bytes, racy: set[int], home: bytes
    ) -> None:
        self.paths = paths
        self.known = known
        self.proofs = proofs
        self.racy = racy
        self.home = home

    def run(self) -> list[Change] | None:
        """What has to be written back, or None if something is not what it was."""
        count = len(self.paths)
        if count < _WORTH_A_FORK or len(os.sched_getaffinity(0)) < 2:
            return self.compare(0, count)
        reader, writer = os.pipe()
        try:
            child = os.fork()
        except OSError:
            os.close(reader)
            os.close(writer)
            return self.compare(0, count)
        if not child:
            self._answer(writer, count // 2, count)
        os.close(writer)
        mine = theirs = None
        with open(reader, "rb") as answer:
            try:
                mine = self.compare(0, count // 2)
                if mine is not None:
                    theirs = answer.read()
            finally:
                os.kill(child, _KILL)
                os.waitpid(child, 0)
        if mine is None or not theirs or not theirs.endswith(_DONE):
            return None
        return mine + list(iter_unpack("8q", theirs[: -len(_DONE)]))

    def _answer(self, writer: int, start: int, end: int) -> None:
        """The child; it does nothing else."""
        try:
            changes = self.compare(start, end)
            if changes is not None:
                os.write(writer, b"".join(pack("8q", *change) for change in changes) + _DONE)
        finally:
            os._exit(0)

    def compare(self, start: int, end: int) -> list[Change] | None:
        changes: list[Change] = []
        for at in range(start, end, _BLOCK):
            stop = min(at + _BLOCK, end)
            try:
                found = rows(self.paths[at:stop])
                suspects = sorted(self.racy.intersection(range(at, stop)))
                if found != self.known[SIZE * at : SIZE * stop]:
                    suspects += [
                        i
                        for i in range(at, stop)
                        if found[SIZE * (i - at) : SIZE * (i - at + 1)]
                        != self.known[SIZE * i : SIZE * (i + 1)]
                    ]
                if len(suspects) + len(changes) > _MOST_PROOFS:
                    return None
                if suspects:
                    since = moment(b".", self.home)
                    changes += [self.prove(index, since) for index in suspects]
            except (OSError, ValueError):
                return None
        return changes

    def prove(self, index: int, since: dict[int, int]) -> Change:
        """Raises ``ValueError`` if the path is not what it was."""
        row = row_of(os.lstat(self.paths[index]))
        was = unpack_from("6q", self.known, SIZE * index)
        mask = 0o170000 if S_ISDIR(row[3]) else 0o177777
        proof = self.proofs[32 * index : 32 * (index + 1)].hex()
        same = row[3] & mask == was[3] & mask and row[2] <= _MOST_BYTES
        if not same or prove(self.paths[index], row[3]) != proof:
            raise ValueError(self.paths[index])
        return (index, int(is_racy(row, since)), *map(wrap, row))

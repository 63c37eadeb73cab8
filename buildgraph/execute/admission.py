"""Which of the ready nodes may start? Pure, and as quick with four thousand that wait for one pool as with none.

Nodes with equal claims are a *group*: if its best may not start, none of it may, so only the best is looked at. A
group that may not start is *held* until something that claims ends.
"""

import heapq
from collections.abc import Mapping
from typing import NewType

from buildgraph.values import dataclass

Node = NewType("Node", str)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a node needs to itself while it runs; ``memory`` in bytes."""

    pool: str = ""
    memory: int = 0


_Entry = tuple[float, int, Node]
_NOTHING = Claim()


class Ready:
    """Nodes with their rank, lowest first: a number, then one that no other node has.

    No two nodes of one pool run at once. What runs at once claims no more than ``memory`` bytes together, except for a
    node that claims more than that by itself, which runs alone.
    """

    def __init__(self, claims: Mapping[Node, Claim], memory: int | None) -> None:
        self._claims = claims
        self._memory = memory
        self._groups: dict[Claim, list[_Entry]] = {}
        self._heads: list[_Entry] = []
        """The best of every group that is not held, and what once was the best of one."""
        self._held: set[Claim] = set()
        self._pools: set[str] = set()
        self._claimed = 0

    def add(self, node: Node, rank: tuple[float, int]) -> None:
        entry = (*rank, node)
        claim = self._claim(node)
        group = self._groups.setdefault(claim, [])
        heapq.heappush(group, entry)
        if group[0] is entry and claim not in self._held:
            heapq.heappush(self._heads, entry)

    def take(self) -> Node | None:
        """The best that may start now; it runs until :meth:`ended`. None when none may."""
        while self._heads:
            entry = heapq.heappop(self._heads)
            claim = self._claim(entry[2])
            group = self._groups[claim]
            if claim in self._held or not group or group[0] is not entry:
                continue
            if not self._admits(claim):
                self._held.add(claim)
                continue
            heapq.heappop(group)
            if group:
                heapq.heappush(self._heads, group[0])
            self._pools |= {claim.pool} if claim.pool else set()
            self._claimed += claim.memory
            return entry[2]
        return None

    def ended(self, node: Node) -> None:
        """A node that was taken runs no more."""
        claim = self._claim(node)
        if claim == _NOTHING:
            return
        self._pools.discard(claim.pool)
        self._claimed -= claim.memory
        for held in self._held:
            heapq.heappush(self._heads, self._groups[held][0])
        self._held.clear()

    def clear(self) -> None:
        """Nobody waits any more; what runs, runs on."""
        self._groups.clear()
        self._heads.clear()
        self._held.clear()

    def _claim(self, node: Node) -> Claim:
        return self._claims.get(node, _NOTHING)

    def _admits(self, claim: Claim) -> bool:
        if claim == _NOTHING:
            return True
        if claim.pool in self._pools:
            return False
        beside = self._claimed
        return self._memory is None or not beside or beside + claim.memory <= self._memory

"""Buildfiles with mistakes in known places: tables whose keys are right, left out or wrong, each by itself.

A line that ends in ``#! CODE …`` has exactly these mistakes.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import strategies as st
from support.mistaken_keys import ITEMS, KEYS, TAILS

HEAD = """\
buildfile = 1
[workspace]
name = "shop"
[vars]
v = "1"
many = { default = "a", choices = ["a", "b"] }
[secret.token]
env = "TOKEN"
[base.box]
layout = "box:latest"
[base.node]
rootfs = "node.tar"
[step.off]
when = "vars.v == '2'"
on = ["box"]
run = "true"
[step.files]
copy = [{ from = "src", to = "/app/" }]
[step.deps]
on = ["box"]
run = "true"
[image.api]
on = ["box", "deps"]
[group.all]
targets = ["api"]
"""

MARK = re.compile(r" #! (.*)$", re.MULTILINE)


class Choice(NamedTuple):
    """Ways to write one key or item."""

    right: tuple[str, ...]
    wrong: tuple[str, ...]
    missing: str = ""


def _choice(text: str) -> Choice:
    lines = [line for line in text.split("\n") if line]
    missing = next((line.partition(" #! ")[2] for line in lines if line.startswith("- ")), "")
    lines = [line for line in lines if not line.startswith("- ")]
    return Choice(
        tuple(line for line in lines if " #! " not in line),
        tuple(line for line in lines if " #! " in line),
        missing,
    )


def told(text: str) -> list[tuple[int, str]]:
    """Every mistake that the text says it has: line and code."""
    found = [
        (number, code)
        for number, line in enumerate(text.split("\n"), 1)
        for match in MARK.finditer(line)
        for code in match[1].split()
    ]
    return sorted(found)


class Drawing:
    """One table, as :func:`tables` draws it."""

    def __init__(self, draw: st.DrawFn, number: int) -> None:
        self.draw = draw
        self.number = number
        self.header = ""
        self.kindless = draw(st.integers(0, 5)) == 0
        """Then what an unknown key means, and what a stack would have to be, nobody can say."""

    def table(self) -> str:
        sort = self.draw(st.sampled_from(sorted(KEYS)))
        word = "step" if sort == "copy" else sort
        tail = self.draw(st.sampled_from(("", "", *TAILS.get(sort, ())[self.kindless :])))
        lines = [line for key in self._order(KEYS[sort], tail) for line in self._key(sort, key)]
        lines.sort(key=lambda line: "two-kinds" in line)  # it is the later one that is too many
        head = f"[{word}.t{{n}}]" + (f" #! {self.header.strip()}" if self.header else "")
        return "\n".join([head, *lines, tail]).replace("{n}", str(self.number))

    def _order(self, keys: dict[str, str], tail: str) -> list[str]:
        own = [key for key in keys if not tail or f".{key}]" not in tail]
        return self.draw(st.permutations(own))

    def _key(self, sort: str, key: str) -> Iterator[str]:
        if key in ITEMS:
            if key == "copy" or self.draw(st.booleans()):
                yield from self._items(key)
            return
        choice = _choice(KEYS[sort][key])
        way = self.draw(st.integers(0, 5))
        if self.kindless and key in ("on", "others"):
            yield from choice.right[:1] if sort != "copy" else ()
        elif self.kindless and choice.missing == "no-kind":
            self.header += f" {choice.missing}"
        elif way < 2 and choice.wrong:
            yield self.draw(st.sampled_from(choice.wrong))
        elif way < 3 and choice.missing not in ("", "no-kind"):
            self.header += f" {choice.missing}"
        elif choice.right and (way > 4 or choice.missing or sort == "copy"):
            yield self.draw(st.sampled_from(choice.right))

    def _items(self, key: str) -> Iterator[str]:
        choice = _choice(ITEMS[key])
        item = st.sampled_from(choice.right) | st.sampled_from(choice.wrong)
        yield f"{key} = ["
        for at, line in enumerate(self.draw(st.lists(item, min_size=1, max_size=4))):
            value, mark, codes = line.replace("{i}", str(at)).partition(" #! ")
            yield f"  {value},{mark}{codes}"
        yield "]"


@st.composite
def buildfiles(draw: st.DrawFn) -> str:
    """A Buildfile of some tables, between ten mistakes and none; lines of mistakes are marked."""
    count = draw(st.integers(1, 4))
    return HEAD + "\n".join(Drawing(draw, number).table() for number in range(count))

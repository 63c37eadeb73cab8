"""The page of Dockerfile behaviours: every row is there, and every test that it names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/reference/dockerfile.md"
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]*)\|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
OPTIONAL = {77, 140}
"""Rows that may stay unsupported; they must say so."""

ROWS = [(int(number), shown) for number, _, shown in ROW.findall(PAGE.read_text())]


def test_every_row_is_there_once():
    assert [number for number, _ in ROWS] == list(range(1, 177))


@pytest.mark.parametrize(("number", "shown"), ROWS, ids=[str(number) for number, _ in ROWS])
def test_what_a_row_names_exists(number, shown):
    named = NAMED.findall(shown)
    for file, test in named:
        assert re.search(rf"^(?:    )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), (
            file,
            test,
        )
    assert shown.count("::") == len(named), f"row {number} names a test wrongly: {shown}"
    if number in OPTIONAL and not named:
        assert "not supported yet" in shown

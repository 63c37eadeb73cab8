"""What a person reads who made a mistake: each file in ``errors/`` is a Buildfile and, below the line, the answer.

Write the answers anew with UPDATE_GOLDEN=1 and read the difference.
"""

import os
from pathlib import Path

import pytest
from support.buildfile import rendered

CASES = sorted((Path(__file__).parent / "errors").glob("*.txt"))
LINE = "\n" + "=" * 72 + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_mistake_is_told_with_its_line_and_a_cure(case):
    document, _, expected = case.read_text().partition(LINE)
    sets = {"typo": "1"} if case.stem == "set" else {}
    told = rendered(document + "\n", head="", sets=sets, paths={"src"}) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        case.write_text(document + LINE + told)
    assert told == expected


def test_there_are_cases():
    assert len(CASES) > 20

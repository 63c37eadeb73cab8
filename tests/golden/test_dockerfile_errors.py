"""What a person reads who made a mistake in a Dockerfile: each file in ``dockerfile/`` is one and, below the line, the answer.

Write the answers anew with UPDATE_GOLDEN=1 and read the difference.
"""

import os
from pathlib import Path

import pytest

from buildgraph.dockerfile.convert import image_config
from buildgraph.errors import UsageError

CASES = sorted((Path(__file__).parent / "dockerfile").glob("*.txt"))
LINE = "\n" + "=" * 72 + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_mistake_is_told_with_its_lines_and_a_cure(case):
    document, _, expected = case.read_text().partition(LINE)
    with pytest.raises(UsageError) as caught:
        image_config(document + "\n")
    told = caught.value.render() + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        case.write_text(document + LINE + told)
    assert told == expected


def test_there_are_cases():
    assert len(CASES) > 20

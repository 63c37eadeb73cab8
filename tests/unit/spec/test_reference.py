"""The reference page names every key that the loader accepts or refuses for now, and no other."""

import re
from pathlib import Path

import pytest
from support.buildfile import model

from buildgraph.spec import shape
from buildgraph.spec.variables import BUILTINS

PAGE = (Path(__file__).parents[3] / "docs/reference/buildfile.md").read_text()
SECTIONS = {
    "`[workspace]`": ("workspace", ()),
    "`[vars]`": ("vars", ("NAME",)),
    "`[secret.NAME]`": ("secret", ()),
    "`[base.NAME]`": ("base", ()),
    "`[step.NAME]`": ("step", ()),
    "`run = { … }`": ("step", ("run",)),
    "Items of `copy`": ("step", ("copy", 0)),
    "Files of `write`": ("step", ("write", "/path")),
    "Directories of `dirs`": ("step", ("dirs", "/path")),
    "`packages`": ("step", ("packages",)),
    "Mounts": ("step", ("mounts", 0)),
    "`retry`": ("step", ("retry",)),
    "`reuse = { … }`": ("step", ("reuse",)),
    "`normalize`": ("step", ("normalize",)),
    "`[image.NAME]`": ("image", ()),
    "Tags with a condition": ("image", ("tags", 0)),
    "`healthcheck`": ("image", ("healthcheck",)),
    "`unset`": ("image", ("unset",)),
    "`[group.NAME]`": ("group", ()),
}


def documented(heading):
    """Keys to whether they are marked as not yet supported."""
    section = re.split(r"^#+ ", PAGE.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[
        0
    ]
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| (.*?) ?\|$", section, flags=re.MULTILINE)
    return {key: meaning == "*not yet*" for key, meaning in rows}


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_documented(heading):
    kind, place = SECTIONS[heading]
    refused = shape.NOT_YET.get("mount" if place == ("mounts", 0) else kind, frozenset())
    expected = dict.fromkeys(shape.keys_below(kind, place), False)
    if not place or place == ("mounts", 0):
        expected |= dict.fromkeys(refused, True)
    assert documented(heading) == expected


def test_every_table_has_a_section():
    assert {kind for kind, _ in SECTIONS.values()} == set(shape.SHAPES)


def test_every_built_in_is_documented():
    for name in BUILTINS:
        assert f"`${{{name}}}`" in PAGE


def test_the_example_is_right():
    example = PAGE.split("```toml\n", 1)[1].split("```", 1)[0]
    assert set(model(example, head="").images) == {"api"}

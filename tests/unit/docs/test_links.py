"""Every relative link of the pages leads somewhere, and every anchor to a heading of the page that it names."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/*.md", "tests/**/*.md")
    for page in ROOT.glob(pattern)
)

_LINK = re.compile(r"\[[^\]\[]*\]\(([^()\s]+)\)")
_CODE = re.compile(r"^```.*?^```|``.*?``|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(text):
    """The relative ones, outside of code."""
    found = _LINK.findall(_CODE.sub("", text))
    return [link for link in found if not re.match("[a-z]+:", link)]


def anchors(text):
    """As GitHub names headings: lower case, blanks as hyphens, other signs left out, and a number for a second one."""
    seen = Counter[str]()
    found = []
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


@cache
def anchors_of(path):
    return frozenset(anchors(path.read_text()))


def broken(page, text):
    for link in links(text):
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists():
            yield f"{link}: there is no such file"
        elif anchor and anchor not in anchors_of(path):
            yield f"{link}: there is no such heading"


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = ROOT / name
    assert list(broken(page, page.read_text())) == []


def test_the_how_to_guides_are_all_listed():
    folder = ROOT / "docs" / "how-to"
    listed = set(links((folder / "README.md").read_text()))
    assert listed == {page.name for page in folder.glob("*.md")} - {"README.md"}


def test_a_broken_link_is_found():
    text = (
        "[a](missing.md) [b](README.md#no-such-heading) `[c](code.md)` [d](https://x.example/y)\n"
    )
    assert len(list(broken(ROOT / "README.md", text))) == 2
    assert anchors("# A `b`, c\n## A b c\n```\n# no\n```\n") == ["a-b-c", "a-b-c-1"]

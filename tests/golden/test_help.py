"""The reference pages say what the program does: no command, option, event or error code is missing from them."""

import ast
import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest
from support.screen import run

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def gen_docs():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        loader = importlib.machinery.SourceFileLoader("gen_docs", str(ROOT / "scripts/gen-docs"))
        spec = importlib.util.spec_from_loader("gen_docs", loader)
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


@pytest.mark.parametrize("page", ["cli.md", "events.md", "errors.md"])
def test_pages_are_what_the_code_says(gen_docs, page):
    assert (REFERENCE / page).read_text() == gen_docs.PAGES[page](), "run scripts/gen-docs"


def scanned(gen_docs, text):
    return gen_docs.scan(
        {"errors.py": gen_docs.parse_sources(ROOT / "buildgraph")[ERRORS], "x.py": ast.parse(text)}
    )


ERRORS = "buildgraph/errors.py"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ('raise UsageError("one", f"a {x}", hint="h")', ["one"]),
        ('raise errors.UsageError("one", "a")', ["one"]),
        ('raise UsageError("one" if x else "two", "a")', ["one", "two"]),
        ('def f():\n    code = "one"\n    raise UsageError(code, "a")', ["one"]),
        ('def wrong(code, why):\n    raise UsageError(code, why)\nwrong("one", "a")', ["one"]),
        (
            'class P:\n    def add(self, code, m):\n        UsageError(code, m)\nP().add("one", "a")',
            ["one"],
        ),
        ('class OwnError(UsageError): ...\nOwnError("one", "a")', ["one"]),
        ('Warned("one", "a", "step")', ["one"]),
        ('set().add("no")', []),
    ],
)
def test_codes_are_found_wherever_they_are_written(gen_docs, text, codes):
    found, unclear = scanned(gen_docs, text)
    assert [each.code for each in found if each.code != "several"] == codes
    assert not unclear


def test_a_code_that_cannot_be_told_is_reported(gen_docs):
    assert scanned(gen_docs, 'UsageError(table["x"], "a")')[1] == ["x.py:1"]


def test_every_option_has_help(gen_docs):
    rows = [
        line for line in (REFERENCE / "cli.md").read_text().splitlines() if line.startswith("| `-")
    ]
    assert len(rows) > 40
    assert not [row for row in rows if row.replace(" Repeatable.", "").rstrip(" |").endswith("|")]


def test_the_overview_as_a_person_sees_it(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = [line.rstrip() for line in run("-h").out.splitlines()]
    at = shown.index(" Usage: buildgraph [OPTIONS] COMMAND [ARGS]...")
    assert shown[0] == " Examples"
    assert at > 5
    assert max(len(line) for line in shown) <= 80
    order = [line.strip(" ═") for line in shown if line.startswith(" ═")]
    assert order == ["Build", "Look around", "Set up", "Images", "Store", "Options", "Everywhere"]


def test_errors_as_a_person_sees_them():
    assert run("biuld").err == (
        "error[unknown-command]: there is no command 'biuld'\n  help: did you mean build?\n"
    )
    assert run("ps", "x").err == (
        "error[unsupported]: buildgraph ps is not supported yet\n"
        "  help: buildgraph -h lists what there is\n"
    )
    assert run("build", "-j", "none").err == (
        "error[usage]: invalid value for '-j' / '--jobs': 'none' is not a valid integer range\n"
        "  help: buildgraph build -h shows how it is used\n"
    )

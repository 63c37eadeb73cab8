"""A selection by names alone, and what somebody else has read of it."""

import os
from pathlib import Path

import pytest
from blake3 import blake3
from support.grow import LONG_AFTER, MONOREPO, UNKNOWN, context, grow

from buildgraph.fs import facts
from buildgraph.fs.context import Context
from buildgraph.fs.fingerprint import StatCache
from buildgraph.fs.folder import Folder
from buildgraph.fs.rows import pack_rows, row_of
from buildgraph.fs.scan import Selection
from buildgraph.fs.tree import FILE

LIB = Selection("lib", (), ("**/__pycache__",))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return grow(tmp_path / "root", MONOREPO | {"lib/to": "-> a.py"})


def learn(ctx: Context, *selections: Selection, without: int = 0) -> list[bytes]:
    """Reads all files of the selections but the last ones, for the context."""
    surveys = [ctx.survey(selection) for selection in selections]
    sources = [one.above + path for one in surveys if one for path in one.files]
    sources = sources[: len(sources) - without]
    contents = [blake3(Path(os.fsdecode(path)).read_bytes()).digest() for path in sources]
    rows = pack_rows([row_of(os.lstat(path)) for path in sources])
    ctx.learn(selections, sources, rows, b"".join(contents))
    return sources


@pytest.mark.parametrize("selection", [LIB, Selection("."), Selection("lib", ("sub/*.py",))])
def test_a_survey_names_what_will_be_selected(root: Path, selection: Selection) -> None:
    survey = context(root).survey(selection)
    assert survey
    selected = context(root).select(*selection)
    assert survey.files == [one.path for one in selected if one.kind == FILE]
    assert [survey.above + path for path in survey.files] == [
        one.source for one in selected if one.kind == FILE
    ]
    assert survey.bare == [one for one in selected if one.kind != FILE]


@pytest.mark.parametrize(
    "selection",
    [
        Selection("run.sh"),
        Selection("lib", follow=True),
        Selection("ways", follow=True),
    ],
)
def test_what_is_found_by_name_or_through_links_has_none(root: Path, selection: Selection) -> None:
    grow(root, {"ways/out": "-> ../lib/sub"})
    assert context(root).survey(selection) is None


def test_what_was_learned_is_not_looked_at_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = context(root)
    learn(ctx, LIB)
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "stat", lambda *_: pytest.fail("looked at again"))
        ctx.prefetch([LIB])
    facts.save(root.parent / "plan", ctx.facts(), b"x")
    assert facts.check(root.parent / "plan") == b"x"
    assert ctx.select(*LIB) == context(root).select(*LIB)
    (root / "lib/sub/b.py").write_text("new")
    assert facts.check(root.parent / "plan") is None


@pytest.mark.parametrize("twice", [False, True])
def test_what_was_left_out_is_read(root: Path, *, twice: bool) -> None:
    """A file of a copy that lies under another of the same step was not read."""
    ctx = context(root)
    sources = learn(ctx, *[LIB] * (1 + twice), without=2)
    ctx.prefetch([LIB])
    assert (b"lib/sub/b.py" in b" ".join(sources)) is twice
    facts.save(root.parent / "plan", ctx.facts(), b"x")
    assert facts.check(root.parent / "plan") == b"x"
    (root / "lib/sub/b.py").write_text("new")
    assert facts.check(root.parent / "plan") is None


@pytest.mark.parametrize("racy", [False, True])
def test_what_was_learned_is_saved_unless_it_is_racy(
    root: Path, monkeypatch: pytest.MonkeyPatch, *, racy: bool
) -> None:
    cache = StatCache.load(root.parent / "stat", root)
    cache.since = UNKNOWN if racy else LONG_AFTER
    expected = context(root).select(*LIB)
    ctx = Context(root, cache)
    learn(ctx, LIB)
    cache.save()
    again = StatCache.load(root.parent / "stat", root)
    assert again.is_empty is racy
    if not racy:
        monkeypatch.setattr("buildgraph.fs.fingerprint.hash_files", lambda *_: pytest.fail("read"))
    assert Context(root, again).select(*LIB) == expected

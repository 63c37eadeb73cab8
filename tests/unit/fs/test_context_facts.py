"""What a context has looked at, as facts that hold until somebody edits it."""

from pathlib import Path

import pytest
from blake3 import blake3
from support.grow import LONG_AFTER, MONOREPO, context, grow

from buildgraph.fs import facts
from buildgraph.fs.context import Context
from buildgraph.fs.fingerprint import StatCache


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return grow(tmp_path / "root", MONOREPO)


def plan_of(ctx: Context, root: Path) -> Path:
    plan = root.parent / "plan"
    facts.save(plan, ctx.facts(), b"x")
    return plan


EDITS = {
    "file": lambda root: (root / "lib/sub/b.py").write_text("new"),
    "new": lambda root: (root / "lib/sub/c.py").write_text("new"),
    "gone": lambda root: (root / "lib/a.py").unlink(),
    "new folder": lambda root: (root / "lib/more").mkdir(),
    "executable": lambda root: (root / "lib/a.py").chmod(0o755),
    "link": lambda root: ((root / "lib/to").unlink(), (root / "lib/to").symlink_to("a_test.py")),
    "single": lambda root: (root / "run.sh").write_text("new"),
    "crossed": lambda root: ((root / "way").unlink(), (root / "way").symlink_to("lib/empty")),
    "absent": lambda root: (root / "absent").mkdir(),
    "archive": lambda root: (root.parent / "archive.tar").write_text("new"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_every_edit_is_seen_by_the_facts(root: Path, edit: str) -> None:
    grow(root, {"lib/to": "-> a.py", "way": "-> lib/sub"})
    (root.parent / "archive.tar").write_text("tar")
    ctx = context(root)
    ctx.select("lib")
    ctx.select("run.sh")
    ctx.select("way", ["nothing"])
    assert ctx.digests([root.parent / "archive.tar"]) == [blake3(b"tar").hexdigest()]
    assert not ctx.exists("absent")
    assert ctx.exists("lib")
    plan = plan_of(ctx, root)
    assert facts.check(plan) == b"x"
    EDITS[edit](root)
    assert facts.check(plan) is None


def test_what_no_selection_can_see_is_no_fact(root: Path) -> None:
    ctx = context(root, ("**/__pycache__",), (b".git",))
    ctx.select("lib", ["*.py"], ["*_test.py"])
    plan = plan_of(ctx, root)
    seen = ctx.facts()
    assert {*seen.seen, *seen.many[0][0]} == {b"lib", b"lib/a.py"}
    (root / "lib/a_test.py").write_text("new")
    (root / "lib/sub/b.py").write_text("new")
    (root / ".git/HEAD").write_text("new")
    assert facts.check(plan) == b"x"


def test_facts_of_a_changed_file_do_not_hold(root: Path) -> None:
    """The file changes after it was read and before the facts are saved."""
    cache = StatCache.load(root.parent / "stat", root)
    cache.since = LONG_AFTER
    ctx = Context(root, cache)
    ctx.select("lib")
    (root / "lib/a.py").write_text("b")
    assert facts.check(plan_of(ctx, root)) is None

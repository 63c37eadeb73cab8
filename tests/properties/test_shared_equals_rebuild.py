"""After any edits a machine that has nothing but a remote cache makes what a build of everything from nothing makes.

Machines take turns and share one cache, as `mode=max` or `mode=min`; one of them is always new, and runs nothing that
another has run. What is damaged in the cache, or gone, changes nothing but what has to run.
"""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from support.edits import edits, files, outcome, steps, walk, workspace
from support.workspace import Workspace

from buildgraph.spec.cacheurl import CacheURL


def shared(ws: Workspace, home: Path, cache: CacheURL) -> tuple[object, Workspace]:
    """What a build at ``home`` makes of it with the cache."""
    there = Workspace(ws.folder, home)
    return outcome(there, (cache,)), there


def harm(cache: CacheURL, every: int) -> None:
    """Some files of the cache are gone, some have other bytes."""
    files = sorted(path for path in Path(cache.place).rglob("*/*") if path.is_file())
    for at, path in enumerate(files):
        if at % every == 0:
            path.unlink()
        elif at % every == 1:
            path.write_bytes(bytes(path.stat().st_size))


def check(ws: Workspace, turn: int, cache: CacheURL, harmed: int) -> None:
    ws.home = Path(tempfile.mkdtemp(prefix="alone", dir=ws.folder.parent))
    made = outcome(ws)
    found, _ = shared(ws, ws.folder.parent / f"machine{turn % 2}", cache)
    assert found == made
    fresh = Path(tempfile.mkdtemp(prefix="fresh", dir=ws.folder.parent))
    found, there = shared(ws, fresh, cache)
    assert found == made
    if not (harmed and turn):
        assert not set(there.warnings()) & {"cache-failed", "cache-damaged", "layer-lost"}
    if isinstance(made, dict) and not (harmed and turn):
        note(f"ran {sorted(there.ran())}")
        assert there.ran() == set()
        event("all from the cache")
    if harmed:
        harm(cache, harmed)
        again = Path(tempfile.mkdtemp(prefix="again", dir=ws.folder.parent))
        assert shared(ws, again, cache)[0] == made


@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    chosen=steps,
    tree=files,
    changes=st.lists(edits(), min_size=1, max_size=2),
    kept=st.sampled_from(("all", "images")),
    harmed=st.sampled_from((0, 2, 3, 7)),
)
def test_a_shared_cache_makes_what_a_rebuild_makes(layout, chosen, tree, changes, kept, harmed):
    with workspace() as ws:
        cache = CacheURL("file", str(ws.folder.parent / "cache"), steps=kept)
        for turn in walk(ws, layout, chosen, tree, changes):
            check(ws, turn, cache, harmed)

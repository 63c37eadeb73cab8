"""After any edits the planned build makes what a build of everything from nothing makes, and ran what the plan said.

Workspaces are small and random. Where one is wrong, both builds must say the same.
"""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from support.edits import edits, files, outcome, steps, walk, workspace
from support.workspace import Workspace

from buildgraph.build.survey import plan
from buildgraph.errors import BuildgraphError


def planned(ws: Workspace) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"execute": set(), "wait": set(), "reuse": set()}
    for entry in plan(ws.request())["steps"]:
        found[entry["decision"]].add(entry["id"])
    return found


def check(ws: Workspace) -> None:
    """Plan, build, build again; then everything from nothing."""
    try:
        said = planned(ws)
    except BuildgraphError:
        said = None
    made = outcome(ws)
    ran = ws.ran()
    if isinstance(made, dict):
        assert said is not None
        note(f"planned {said}, ran {sorted(ran)}")
        assert said["execute"] <= ran <= said["execute"] | said["wait"]
        event(f"ran {len(ran)} of {len(ws.outcomes())}, waited {len(said['wait'])}")
        assert outcome(ws) == made
        assert ws.ran() == set()
    else:
        event(f"failed: {made}")
    home, ws.home = ws.home, Path(tempfile.mkdtemp(prefix="fresh", dir=ws.folder.parent))
    assert outcome(ws) == made
    ws.home = home


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chosen=steps, tree=files, changes=st.lists(edits(), min_size=1, max_size=3))
def test_a_planned_build_makes_what_a_rebuild_makes(layout, chosen, tree, changes):
    with workspace() as ws:
        for _ in walk(ws, layout, chosen, tree, changes):
            check(ws)

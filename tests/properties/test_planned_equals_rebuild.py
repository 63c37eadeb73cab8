"""After any edits the planned build makes what a build of everything from nothing makes, and ran what the plan said.

Workspaces are small and random: copies, written files, commands on stacks of earlier steps, copies and binds from steps.
Where a workspace is wrong (an order of layers that cannot be, a path that is missing), both builds must say the same.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from support.workspace import Workspace, digests

from buildgraph.build.survey import plan
from buildgraph.errors import BuildgraphError, ErrorGroup

NAMES = ("a", "b", "deep/c", "d.txt")
TEXTS = ("one\n", "two\n", "# comment\none\n", "# other comment\none\n", "")
SCRIPTS = (
    "grep -v '^#' /in/a > /r{k} || true",
    "cat /in/* > /shared 2> /dev/null || true; echo {k} > /r{k}",
    "find / -xdev -type f -newer /nothing 2> /dev/null || find /app /w* /f* -type f | sort > /r{k} || true",
    "rm -rf /opt/d /r*; echo {k} > /r{k}",
    "mkdir -p /opt/d; echo {k} > /opt/d/{k}; mkdir -p /r{k}; cp -r /in /r{k}/",
    "chmod 700 /opt/d || true; echo here > /r{k}",
    "sha256sum /shared /app/* 2> /dev/null > /r{k} || true",
    "mv /opt/old /r{k} || echo gone > /r{k}",
    "true",
)

content = st.tuples(st.sampled_from(TEXTS), st.sampled_from((0o644, 0o755, 0o600)))
files = st.dictionaries(st.sampled_from(NAMES), content, min_size=1)
kinds = st.sampled_from(("run", "run", "run", "copy", "write", "from", "bind"))
step = st.tuples(
    kinds, st.integers(0, len(SCRIPTS) - 1), st.sets(st.integers(0, 5), max_size=3), st.booleans()
)
steps = st.lists(step, min_size=3, max_size=6)


@st.composite
def edits(draw: st.DrawFn):
    """One change of the files or of one step."""
    if draw(st.integers(0, 2)):
        name = draw(st.sampled_from(NAMES))
        return "file", name, draw(st.none() | content)
    return "step", draw(st.integers(0, 5)), draw(step)


def buildfile(layout: Path, chosen: list[tuple]) -> str:
    """``s0`` … are the steps; a step stands on those of its numbers that come before it."""
    text = f"buildfile = 1\n[base.box]\nlayout = {json.dumps(str(layout))}\n"
    tops = []
    for k, (kind, script, numbers, flag) in enumerate(chosen):
        below = [f"s{n}" for n in sorted(numbers) if n < k]
        on = json.dumps(["box", *below])
        text += f"[step.s{k}]\n"
        match kind:
            case "copy":
                include = ', include = ["**/*.txt", "a"]' if flag else ""
                text += f'copy = [{{ from = "src"{include}, to = "/app/{"" if flag else k}" }}]\n'
            case "write":
                text += f'write = {{ "/w{k}" = {json.dumps(SCRIPTS[script])} }}\n'
            case "from" if below:
                path = "/opt" if flag else f"/r{below[-1][1:]}"
                text += (
                    f'copy = [{{ from = "step:{below[-1]}", path = "{path}", to = "/f{k}/x" }}]\n'
                )
            case "bind" if below:
                mount = (
                    f'{{ bind = "step:{below[0]}", target = "/in", write = {str(flag).lower()} }}'
                )
                text += f'on = ["box"]\nmounts = [{mount}]\nrun = "find /in/app /in/w* /in/shared > /r{k} || true"\n'
            case _:
                mount = '{ bind = "src", target = "/in" }'
                text += f"on = {on}\nmounts = [{mount}]\nrun = {json.dumps(SCRIPTS[script].format(k=k))}\n"
        tops.append(f"s{k}")
    return text + f'[image.i]\non = {json.dumps(["box", *tops])}\n[image.z]\non = ["box", "s1"]\n'


@contextmanager
def workspace() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="planned") as folder:
        yield Workspace.make(Path(folder))


def write(ws: Workspace, layout: Path, chosen: list[tuple], tree: dict[str, tuple]) -> None:
    for name in NAMES:
        if name in tree:
            ws.write(f"src/{name}", *tree[name])
        else:
            (ws.folder / "src" / name).unlink(missing_ok=True)
    ws.write("Buildfile.toml", buildfile(layout, chosen))


def outcome(ws: Workspace) -> object:
    """The images' digests, or what is wrong."""
    try:
        return digests(ws.build(jobs=2))
    except ErrorGroup as group:
        return sorted(error.code for error in group.errors)
    except BuildgraphError as error:
        return [error.code]


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


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    return Workspace.make(tmp_path_factory.mktemp("layout")).base().folder / "box"


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chosen=steps, tree=files, changes=st.lists(edits(), min_size=1, max_size=3))
def test_a_planned_build_makes_what_a_rebuild_makes(layout, chosen, tree, changes):
    with workspace() as ws:
        (ws.folder / "src/deep").mkdir(parents=True)
        write(ws, layout, chosen, tree)
        check(ws)
        for sort, which, what in changes:
            match sort:
                case "file" if what is None:
                    tree.pop(which, None)
                case "file":
                    tree[which] = what
                case _:
                    chosen[which % len(chosen)] = what
            note(f"{sort} {which}: {what}")
            write(ws, layout, chosen, tree)
            check(ws)

"""``plan``, ``why`` and ``graph`` say what remote caches would give, and leave no trace."""

from pathlib import Path

import pytest
from support.program import Program
from support.registry import running
from support.workspace import Workspace

from buildgraph.build.survey import graph, plan, why
from buildgraph.events import Event, Warned
from buildgraph.spec.cacheurl import parse

STEPS = """
[step.src]
copy = [{ from = "src", to = "/src/" }]
[step.one]
on = ["box", "src"]
run = "wc -c < /src/a > /one"
[step.picked]
copy = [{ from = "step:one", path = "/one", to = "/picked" }]
[step.two]
on = ["box", "picked"]
run = "cat /picked > /two"
[image.app]
on = ["two"]
"""


@pytest.fixture(params=["file", "registry"])
def cache(request, tmp_path):
    if request.param == "file":
        yield f"file://{tmp_path}/cache"
        return
    with running(tmp_path / "registry") as registry:
        yield f"registry://{registry.host}/team/cache"


@pytest.fixture
def ws(tmp_path):
    made = Workspace.make(tmp_path)
    made.write("src/a", "a\n")
    made.base().buildfile(STEPS)
    return made


def fresh(ws, tmp_path):
    return Workspace(ws.folder, tmp_path / "fresh")


def decisions(ws, **asked):
    return {one["id"]: one["decision"] for one in plan(ws.request(**asked))["steps"]}


def written(folder: Path) -> dict[str, bytes]:
    """What counts of a store: no locks, no files that every command makes."""
    there = ("blobs", "snapshots", "plans", "releases")
    files = [path for name in there for path in (folder / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_a_cache_has_would_be_reused(ws, cache, tmp_path):
    urls = (parse(cache),)
    ws.build(caches=urls)
    other = fresh(ws, tmp_path)
    assert set(decisions(other).values()) == {"execute", "wait"}
    assert set(decisions(other, caches=urls).values()) == {"reuse"}
    assert decisions(other, caches=urls, no_cache=True)["src"] == "execute"
    told = {one["id"]: one for one in plan(other.request(caches=urls))["steps"]}
    assert told["two"]["reason"] == f"{cache} has it"
    nodes = {node.id: node.state for node in graph(other.request(caches=urls)).nodes}
    assert nodes["two"] == "reuse"
    assert f"{cache} has it" in why(other.request(caches=urls), "two", None)["text"][0]
    assert written(other.home) == {}
    made = other.build(caches=urls)
    assert made.metadata["steps"]["executed"] == 0


def test_what_comes_above_a_change_waits(ws, cache, tmp_path):
    urls = (parse(cache),)
    ws.build(caches=urls)
    ws.write("src/a", "b\n")
    other = fresh(ws, tmp_path)
    found = decisions(other, caches=urls)
    assert found == {"src": "execute", "one": "wait", "picked": "wait", "two": "wait"}
    assert other.build(caches=urls).metadata["steps"]["reused"] == 1  # `one` gives what it gave


def test_a_command_is_looked_up_by_what_it_runs_on(ws, cache, tmp_path):
    urls = (parse(cache),)
    ws.build(caches=urls)
    ws.write("src/a", "b\n")
    other = fresh(ws, tmp_path)
    other.build("picked", caches=())
    assert decisions(other, caches=())["two"] == "execute"
    assert decisions(other, caches=urls)["two"] == "reuse"
    assert other.build(caches=urls).metadata["steps"]["executed"] == 0


def test_a_key_that_depends_on_files_elsewhere_is_not_known_yet(ws, cache, tmp_path):
    urls = (parse(cache),)
    ws.build(caches=urls)
    ws.buildfile(STEPS.replace('to = "/picked"', 'to = "/chosen"'))
    other = fresh(ws, tmp_path)
    planned = {one["id"]: one for one in plan(other.request(caches=urls))["steps"]}
    assert planned["picked"]["decision"] == "wait"
    assert "one" in planned["picked"]["reason"]
    assert written(other.home) == {}


def test_a_cache_that_cannot_be_asked_is_told_of(ws, tmp_path):
    events: list[Event] = []
    urls = (parse("registry://127.0.0.1:1/cache"),)
    found = plan(ws.request(caches=urls), events.append)["steps"]
    assert {one["decision"] for one in found} == {"execute", "wait"}
    assert [event.code for event in events if isinstance(event, Warned)] == ["cache-failed"]


def test_on_the_command_line(ws, tmp_path):
    cache = f"file://{tmp_path}/cache"
    program = Program.of(ws)
    program.run("build", "--cache", cache)
    other = Program.of(fresh(ws, tmp_path))
    assert "4 reused" in other.run("plan", "--cache", cache).stdout
    assert (
        "4 reused" in other.run("plan", "--cache-from", f"type=local,src={tmp_path}/cache").stdout
    )
    assert "0 to run" in other.run("plan", "--require-cached", "--cache", cache).stdout
    assert "has it" in other.run("why", "two", "--cache", cache).stdout
    other.run("plan", "--require-cached", code=5)
    assert "cannot be reached" in other.run("plan", "--cache", "registry://127.0.0.1:1/c").stderr
    there = fresh(ws, tmp_path)
    there.environ["BUILDGRAPH_CACHE"] = cache
    assert set(decisions(there).values()) == {"reuse"}

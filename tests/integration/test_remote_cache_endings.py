"""Builds with a remote cache that end otherwise: a signal, a failing step, a kill; two at once; and what must not get out."""

import signal
import threading
from pathlib import Path

import pytest
from support.machines import Machines, runs
from support.program import Program
from support.silence import Silence, stopped
from support.workspace import Workspace

from buildgraph.build.request import SecretSpec
from buildgraph.remote.record import parse
from buildgraph.spec.cacheurl import CacheURL
from buildgraph.store.local import LocalStore
from buildgraph.store.verify import verify

TWO = """[step.a]
on = ["box"]
run = "echo a > /a"
[step.b]
on = ["box", "a"]
run = "head -c 100000 /dev/urandom > /b"
[image.both]
on = ["box", "a", "b"]
"""


@pytest.fixture
def ws(tmp_path):
    ws = Workspace.make(tmp_path).base()
    ws.buildfile(TWO)
    return ws


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["manifest", "begin", "put-manifest"])
def test_a_signal_while_the_cache_says_nothing(program, bad, number, kind):
    silence = Silence(bad, lambda asked: asked.kind == kind)
    words = ("build", "--cache", f"registry://{bad.host}/team/cache")
    stopped(program, silence, number, *words)
    silence.end()
    program.run(*words)
    fresh = Program(program.folder, program.home.with_name("fresh"))
    assert "2 reused" in fresh.run(*words).stderr
    fresh.sound()
    program.sound()


def test_a_killed_build_leaves_a_cache_that_can_be_used(program, bad, tmp_path):
    silence = Silence(bad, lambda asked: asked.kind == "put-manifest")
    words = ("build", "--cache", f"registry://{bad.host}/team/cache")
    process = program.start(*words)
    assert silence.reached.wait(60)
    process.kill()
    process.communicate()
    silence.end()
    fresh = Program(program.folder, tmp_path / "fresh")
    fresh.run(*words)
    fresh.sound()


def test_a_build_that_fails_shares_what_it_made(ws, tmp_path):
    ws.buildfile(TWO.replace("head -c 100000 /dev/urandom > /b", "false"))
    caches = (CacheURL("file", f"{tmp_path}/cache"),)
    assert not ws.attempt(caches=caches).ok
    ws.buildfile(TWO)
    ws.home = tmp_path / "other"
    ws.build(caches=caches)
    assert ws.ran() == {"b"}


def test_two_builds_at_once_agree_afterwards(ws, tmp_path):
    caches = (CacheURL("file", f"{tmp_path}/cache"),)
    both = [Workspace(ws.folder, tmp_path / name) for name in ("one", "two")]
    threads = [threading.Thread(target=one.build, kwargs={"caches": caches}) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    third = Workspace(ws.folder, tmp_path / "three")
    third.build(caches=caches)
    assert third.ran() == set()
    assert third.warnings() == []
    with LocalStore.open(third.home) as store:
        assert verify(store).findings == ()


def test_no_secret_gets_into_a_cache(tmp_path):
    machines = Machines.make(tmp_path, f"file://{tmp_path}/cache")
    (tmp_path / "token").write_text("s3cr3t-v4lu3")
    text = "FROM box\nRUN --mount=type=secret,id=token,env=TOKEN test -n $TOKEN; echo x > /x\n"
    secrets = (SecretSpec("token", file=str(tmp_path / "token")),)
    docker, _ = machines.build("one", text, secrets=secrets)
    assert len(runs(docker)) == 1
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert any(path.parent.name == "records" for path in files)
    assert not [path for path in files if b"s3cr3t-v4lu3" in path.read_bytes()]


def test_records_of_a_buildfile_say_what_they_are_of(ws, tmp_path):
    ws.build(caches=(CacheURL("file", f"{tmp_path}/cache"),))
    records = Path(tmp_path, "cache", "records")
    found = [parse(path.read_bytes(), path.name) for path in sorted(records.iterdir())]
    assert {r.result.kind for r in found if r.result} == {"run"}
    assert all(r.layer and r.layer.tree == r.result.tree for r in found if r.result)
    assert (
        len(found) == 3
    )  # the upper step by two keys; both are the same for what stands on bases alone

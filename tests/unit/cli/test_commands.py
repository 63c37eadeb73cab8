import json
from types import SimpleNamespace
from types import SimpleNamespace as Row

import pytest
from support.screen import Asked, run

from buildgraph.build.request import DockerRequest
from buildgraph.spec.cacheurl import CacheURL

PLAN = {
    "schema": 1,
    "steps": [
        {"id": "step:src", "kind": "copy", "decision": "reuse", "reason": "", "key": "k"},
        {
            "id": "step:deps",
            "kind": "run",
            "decision": "execute",
            "reason": "never built",
            "key": "k",
        },
        {"id": "step:app", "kind": "run", "decision": "wait", "reason": "on step:deps", "key": "k"},
    ],
    "targets": ["api"],
}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUILDGRAPH_HOME", str(tmp_path / "home"))
    return tmp_path


def test_plan(monkeypatch):
    Asked().replace(monkeypatch, plan=PLAN)
    assert json.loads(run("plan", "--json").out) == PLAN
    assert run("plan").out == (
        "execute  step:deps  never built\n"
        "wait     step:app   on step:deps\n"
        "1 to run, 1 waiting on them, 1 reused\n"
    )
    assert "reuse    step:src" in run("plan", "-v").out


def test_ls(monkeypatch):
    rows = [
        Row(name="api", kind="image", description="the API"),
        Row(name="os", kind="base", description=""),
    ]
    Asked().replace(monkeypatch, list_targets=rows)
    assert run("ls").out == "NAME  KIND   DESCRIPTION\napi   image  the API\nos    base\n"
    assert json.loads(run("ls", "--json").out)["targets"][0] == {
        "name": "api",
        "kind": "image",
        "description": "the API",
    }


def test_graph(monkeypatch):
    node = Row(id="step:a", kind="run", state="execute", reason="")
    asked = Asked().replace(monkeypatch, graph=Row(nodes=[node], edges=[]))
    assert run("graph", "a").out == "step:a  (run)  [execute]\n"
    assert asked.request.targets == ("a",)
    assert json.loads(run("graph", "--format", "json").out)["nodes"][0]["id"] == "step:a"
    assert run("graph", "--format", "png").code == 2


def test_query(monkeypatch):
    asked = Asked().replace(monkeypatch, query=("step:a", "step:b"))
    assert run("query", "deps", "x", "--direct").out == "step:a\nstep:b\n"
    assert asked.calls[-1][1][1:] == ("deps", ("x",))
    assert asked.calls[-1][2] == {"direct": True}
    assert json.loads(run("query", "path", "x", "y", "--json").out)["names"] == ["step:a", "step:b"]
    assert run("query", "deps").code == 2


def test_no_path_is_exit_code_1(monkeypatch):
    Asked().replace(monkeypatch, query=())
    assert run("query", "path", "x", "y").code == 1


def test_init_writes_a_buildfile_once(place):
    (place / "My Shop!").mkdir()
    said = run("-C", "My Shop!", "init")
    assert said.code == 0
    text = (place / "My Shop!/Buildfile.toml").read_text()
    assert 'name = "my-shop"' in text
    again = run("-C", str(place / "My Shop!"), "init")
    assert (again.code, "buildfile-exists" in again.err) == (2, True)


def test_convert_writes_a_buildfile_once(place, monkeypatch):
    made = SimpleNamespace(text="buildfile = 1\n", file=place / "Buildfile.toml")
    asked = Asked().replace(monkeypatch, rewrite=made)
    made.file.touch()  # as `> Buildfile.toml` would
    assert run("convert", "sub/Dockerfile", "--target", "b", "--build-arg", "A=1").code == 0
    assert made.file.read_text() == "buildfile = 1\n"
    _, docker, file = asked.calls[-1][1]
    assert docker == DockerRequest("sub", "sub/Dockerfile", target="b", args={"A": "1"})
    assert file is None
    again = run("convert")
    assert (again.code, "buildfile-exists" in again.err) == (2, True)


def test_what_is_converted(place, monkeypatch):
    made = SimpleNamespace(text="text\n", file=place / "x.toml")
    asked = Asked().replace(monkeypatch, rewrite=made)
    (place / "folder").mkdir()
    for words, file, context in (
        ((), "", "."),
        (("folder",), "", "folder"),
        (("a/File", "."), "a/File", "."),
        (("-f", "a/File", "folder"), "a/File", "folder"),
        (("Dockerfile",), "Dockerfile", "."),
    ):
        assert run("convert", *words, "-o", "-").out == "text\n"
        docker = asked.calls[-1][1][1]
        assert (docker.file, docker.context) == (file, context), words
    assert run("convert", "a", "b", "c").code == 2
    assert not made.file.exists()


def test_lock(monkeypatch):
    asked = Asked().replace(monkeypatch, lock=["os: pinned 3 packages"])
    assert "pinned 3" in run("lock").err
    run("lock", "--update", "os")
    assert (asked.calls[-1][1][1], asked.calls[-1][2]) == (("os",), {"update": True})
    run("lock", "--update")
    assert (asked.calls[-1][1][1], asked.calls[-1][2]) == (None, {"update": True})
    assert run("lock", "os").code == 2


def finding(capability, *, ok, required, detail, fix=""):
    return Row(capability=capability, ok=ok, required=required, detail=detail, fix=fix)


def test_doctor(monkeypatch):
    good = finding("runtime", ok=True, required=True, detail="bubblewrap 0.8")
    bad = finding("filter", ok=False, required=True, detail="not found", fix="apt-get install x")
    maybe = finding("rootless", ok=False, required=False, detail="no subuids")
    Asked().replace(monkeypatch, doctor=[good, maybe])
    assert run("doctor").code == 0
    Asked().replace(monkeypatch, doctor=[good, bad])
    said = run("doctor")
    assert said.code == 3
    assert said.out == (
        "ok     runtime: bubblewrap 0.8\nLACKS  filter: not found\n       help: apt-get install x\n"
    )
    assert run("doctor", "--json").code == 3


def test_images(monkeypatch, place):
    digest = "sha256:" + "a" * 64
    row = Row(tag="shop/api:latest", digest=digest, size=31_000_000, created="1980-01-01T00:00:00Z")
    layer = Row(created_by="step deps\n   on two lines", size=1000, diff_id=digest)
    asked = Asked().replace(
        monkeypatch,
        list_images=[row],
        inspect={"digest": digest},
        history=[layer],
        tag=None,
        rmi=None,
        validate=(),
    )
    assert "shop/api:latest  sha256:aaaaaaaaaaaa  31 MB" in run("images").out
    assert json.loads(run("images", "--json").out)["images"][0]["digest"] == digest
    assert json.loads(run("inspect", "x").out) == {"digest": digest}
    assert "step deps on two lines" in run("history", "x").out
    assert json.loads(run("history", "x", "--json").out)["history"][0]["diff_id"] == digest
    assert run("tag", "a", "b").code == 0
    assert asked.calls[-1] == ("tag", (place / "home", "a", "b"), {})
    assert run("rmi", "a", "b").code == 0
    assert [call[1][1] for call in asked.calls[-2:]] == ["a", "b"]
    assert run("validate", "x").code == 0
    Asked().replace(monkeypatch, validate=("blob x: wrong size",))
    said = run("validate", "x")
    assert (said.code, "blob x: wrong size" in said.err) == (1, True)


def record(workspace, **rest):
    row = Row(key="abc" * 20, step="deps", size=5, seconds=1.5, made="2026-01-01", **rest)
    row.workspace, row.document = workspace, lambda: {"key": "abc"}
    return row


def test_cache_info(monkeypatch):
    facts = {
        "home": "/h",
        "images": 2,
        "blobs": 3,
        "blobs_bytes": 2_000_000,
        "garbage_bytes": 9,
        "total_bytes": 2_000_009,
    }
    Asked().replace(monkeypatch, cache_info=facts)
    assert run("cache", "info").out == (
        "/h: 2 MB\n"
        "PART    NUMBER  SIZE\n"
        "images  2\n"
        "blobs   3       2 MB\n"
        "9 B are of no use: free them with buildgraph cache gc\n"
    )
    assert json.loads(run("cache", "info", "--json").out) == {"schema": 1, **facts}


def test_cache_ls_names_workspaces_where_there_are_several(monkeypatch):
    Asked().replace(monkeypatch, cache_ls=[record("w1"), record("")])
    assert run("cache", "ls").out.splitlines() == [
        "RECORD        STEP  SIZE  TOOK   USED",
        "abcabcabcabc  deps  5 B   1.5 s  2026-01-01",
        "abcabcabcabc  deps  5 B   1.5 s  2026-01-01",
    ]
    assert json.loads(run("cache", "ls", "--json").out)["records"][0] == {"key": "abc"}
    Asked().replace(monkeypatch, cache_ls=[record("w1"), record("w2")])
    assert run("cache", "ls").out.splitlines()[1].endswith("2026-01-01  w1")


def test_cache_gc(monkeypatch):
    gone = Row(name="deps", size=500, reason="never reused", document=lambda: {"name": "deps"})
    kept = Row(
        name="os", size=900, reason="an image consists of it", document=lambda: {"name": "os"}
    )
    found = Row(freed=1_000, kept=2_000, excess=10, gone=(gone,), stays=(kept,))
    asked = Asked().replace(monkeypatch, cache_gc=found)
    said = run("cache", "gc", "--max-size", "20GB", "--max-age", "30d", "--dry-run")
    assert asked.calls[-1][2] == {
        "max_size": 20_000_000_000,
        "max_age": 30 * 86400,
        "dry_run": True,
    }
    assert said.out == "SIZE   WHAT  WHY\n500 B  deps  never reused\n"
    assert said.err == ("10 B above --max-size stay: they are in use\nwould free 1 kB, 2 kB left\n")
    assert run("cache", "gc").out == ""
    assert json.loads(run("cache", "gc", "--json").out) == {
        "schema": 1,
        "freed": 1_000,
        "kept": 2_000,
        "excess": 10,
        "gone": [{"name": "deps"}],
    }
    assert run("cache", "gc", "--explain").out.splitlines()[1:] == [
        "500 B  deps  never reused",
        "900 B  os    stays: an image consists of it",
    ]
    assert json.loads(run("cache", "gc", "--explain", "--json").out)["stays"] == [{"name": "os"}]


def test_cache_verify(monkeypatch):
    Asked().replace(monkeypatch, cache_verify=Row(checked=7, damaged=()))
    assert "7 parts" in run("cache", "verify").err


def test_a_damaged_store_is_exit_code_5(monkeypatch):
    Asked().replace(
        monkeypatch, cache_verify=Row(checked=7, damaged=("blob sha256:x",), dropped=True)
    )
    said = run("cache", "verify")
    assert (said.code, "blob sha256:x" in said.err) == (5, True)
    assert json.loads(run("cache", "verify", "--json").out)["damaged"] == ["blob sha256:x"]


@pytest.mark.parametrize("words", ["--max-size big", "--max-age old", "--max-size -1"])
def test_wrong_amounts(words):
    assert run("cache", "gc", *words.split()).code == 2


def test_cache_export_and_import(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    moved, bad = Row(moved=3, there=1, failed=0), Row(moved=0, there=0, failed=2)
    asked = Asked().replace(monkeypatch, cache_export=moved, cache_import=bad)
    assert "3 records written, 1 were there" in run("cache", "export", "there").err
    assert asked.calls[-1][1][1] == CacheURL("file", f"{tmp_path}/there")
    said = run("cache", "import", "registry://h.example/cache")
    assert (said.code, "2 failed" in said.err) == (4, True)
    assert asked.calls[-1][1][1] == CacheURL("registry", "h.example/cache")
    assert run("cache", "export", "s3://bucket/x").code == 2

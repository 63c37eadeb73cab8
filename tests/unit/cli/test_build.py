import json
import os
from dataclasses import dataclass, field

import pytest
from support.screen import Asked, run
from support.story import DIGEST, STORY

from buildgraph.build.request import ImageResult, OutputSpec, SecretSpec, Summary
from buildgraph.cli import warm
from buildgraph.cli.remembering import unchanged_metadata
from buildgraph.errors import DifferenceError, StepFailedError
from buildgraph.spec.cacheurl import CacheURL

METADATA = {
    "schema": 1,
    "targets": {"api": {"digest": DIGEST}},
    "steps": {"executed": 1, "reused": 1, "cutoff": 1, "failed": 0, "skipped": 0},
    "bytes": {"fetched": 5, "uploaded": 0, "mounted": 0},
    "seconds": 2.75,
}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUILDGRAPH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BUILDGRAPH_CACHE", raising=False)
    return tmp_path


@pytest.fixture
def asked(monkeypatch):
    def build(_request, observer):
        for event in STORY:
            observer(event)
        return Summary(True, METADATA, ())

    return Asked().replace(monkeypatch, build=build)


def test_words_become_a_request(asked, place):
    words = """
    build api web -j 3 --memory 2GB -k --set a=1 --set b=x=y --platform linux/arm64
    --no-cache --rebuild dep* --rebuild x --no-checks --frozen --require-cached
    -o type=oci,dest=out/{name} --metadata-file m.json --iidfile i
    """
    said = run(*words.split())
    assert said.code == 0
    request = asked.request
    assert request.targets == ("api", "web")
    assert (request.jobs, request.memory, request.keep_going) == (3, 2_000_000_000, True)
    assert request.sets == {"a": "1", "b": "x=y"}
    assert request.platform == "linux/arm64"
    assert (request.no_cache, request.no_checks, request.frozen) == (True, True, True)
    assert request.require_cached
    assert request.rebuild == ("dep*", "x")
    assert request.outputs == (OutputSpec("oci", f"{place}/out/{{name}}"),)
    assert (request.metadata_file, request.iidfile) == (place / "m.json", place / "i")
    assert (request.directory, request.home) == (place, place / "home")
    assert request.environ["BUILDGRAPH_HOME"] == str(place / "home")


def test_paths_are_relative_to_the_folder_that_was_asked_for(asked, place):
    (place / "sub").mkdir()
    run("build", "-C", "sub", "--iidfile", "i", "--secret", "id=x,src=s")
    assert asked.request.iidfile == place / "sub/i"
    assert asked.request.secrets == (SecretSpec("x", file=f"{place}/sub/s"),)


def test_secrets(asked, monkeypatch):
    monkeypatch.setenv("TOKEN", "t")
    run("build", "--secret", "id=a,env=TOKEN", "--secret", "id=TOKEN")
    assert asked.request.secrets == (SecretSpec("a", env="TOKEN"), SecretSpec("TOKEN", env="TOKEN"))
    run("build", "--secret", "type=env,id=a,env=TOKEN", "--secret", "id=b,type=file,source=/s")
    assert asked.request.secrets == (SecretSpec("a", env="TOKEN"), SecretSpec("b", file="/s"))


@pytest.mark.parametrize(
    "words",
    [
        "--secret src=x",
        "--secret id=a,type=vault",
        "--secret id=a,src=x,env=y",
        "--set novalue",
        "--set =x",
        "--memory lots",
        "-j 0",
        "-o type=zip,dest=x",
        "-o type=oci",
        "-o type=store,dest=x",
        "-o out",
        "-o type=oci,type=tar,dest=x",
        "--progress loud",
    ],
)
def test_wrong_words_are_refused_before_anything_is_built(asked, words):
    said = run("build", *words.split())
    assert said.code == 2
    assert "help: " in said.err
    assert not asked.calls


def test_remote_caches_become_a_request(asked, place):
    run("build")
    assert asked.request.caches is None
    run("build", "--cache", "file://c?mode=read", "--cache", "registry://h.example/c")
    assert asked.request.caches == (
        CacheURL("file", f"{place}/c", write=False),
        CacheURL("registry", "h.example/c"),
    )
    run("build", "--cache", "file://c", "--no-remote-cache")
    assert asked.request.caches == ()


def test_the_end_of_a_build(asked):
    said = run("build")
    assert said.out == ""
    assert "built in 2.8 s: 1 ran, 1 reused, 1 cut off" in said.err


def test_failures_are_shown_last_and_decide_the_exit_code(monkeypatch):
    failures = (StepFailedError("step-failed", "deps failed"), DifferenceError("x", "y"))

    def build(_request, observer):
        observer(STORY[-1])
        return Summary(False, METADATA, (), failures)

    Asked().replace(monkeypatch, build=build)
    said = run("build")
    assert said.code == 1
    assert said.err.index("built in") < said.err.index("error[step-failed]: deps failed")
    assert "deps failed\n\nerror[x]: y" in said.err


@dataclass
class SummaryWithFacts:
    ok: bool = True
    metadata: dict = field(default_factory=lambda: METADATA)
    failures: tuple = ()
    facts: object = None
    kept: object = None
    pushed: object = None
    images: tuple = (ImageResult("api", "sha256:m", "sha256:abc", (), 1, 1),)


def test_the_next_build_is_answered_from_memory(monkeypatch, place, capfd):
    from buildgraph.fs.facts import Facts

    def build(request, observer):
        for event in STORY:
            observer(event)
        request.iidfile.write_bytes(b"sha256:abc")
        return SummaryWithFacts(facts=Facts(os.fsencode(place)))

    (place / "home/plans").mkdir(parents=True)
    Asked().replace(monkeypatch, build=build)
    words = ["build", "--iidfile", "iid", "--metadata-file", "m.json", "--progress", "plain"]
    assert run(*words).code == 0
    (place / "iid").unlink()
    assert warm.answer(words, 0.0)
    assert (place / "iid").read_bytes() == b"sha256:abc"
    metadata = json.loads((place / "m.json").read_text())
    assert metadata["steps"] == {
        "executed": 0,
        "reused": 3,
        "cutoff": 0,
        "failed": 0,
        "skipped": 0,
    }
    assert metadata["targets"] == METADATA["targets"]
    warned, ended, *_ = capfd.readouterr().err.splitlines()
    assert warned == "warning[merge-conflict]: two siblings wrote /etc/x"
    assert ended.startswith("up to date in")
    assert not warm.answer([*words, "x"], 0.0)


def test_unchanged_metadata_moves_no_bytes():
    text = unchanged_metadata(METADATA).replace(b"@SECONDS@", b"0.05")
    document = json.loads(text)
    assert document["bytes"] == {"fetched": 0, "uploaded": 0, "mounted": 0}
    assert document["seconds"] == 0.05
    assert list(document) == list(METADATA)

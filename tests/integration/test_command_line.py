"""The program as a process, on a workspace that needs no sandbox: copies onto nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BUILDFILE = """
buildfile = 1
[workspace]
name = "shop"
default = ["api"]
[base.none]
scratch = true
[step.src]
copy = [{ from = "src", to = "/app/" }]
[image.api]
on = ["none", "src"]
tags = ["shop/api:latest"]
"""


class Place:
    def __init__(self, root):
        self.root = root
        self.home = root / "home"
        self.ws = root / "ws"
        (self.ws / "src").mkdir(parents=True)
        (self.ws / "Buildfile.toml").write_text(BUILDFILE)
        (self.ws / "src/main.py").write_text("one\n")

    def run(self, *words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "buildgraph", *words],
            cwd=self.ws,
            env={**os.environ, "BUILDGRAPH_HOME": str(self.home), "COLUMNS": "100"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    def build(self, *words):
        meta = self.root / "meta.json"
        self.run("build", "--metadata-file", str(meta), *words)
        document = json.loads(meta.read_text())
        meta.unlink()
        return document


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_the_second_build_says_the_same_from_memory(place):
    first, second, third = place.build(), place.build(), place.build()
    assert (first["steps"]["executed"], first["steps"]["reused"]) == (1, 0)
    for later in (second, third):
        assert later["steps"] == {**first["steps"], "executed": 0, "reused": 1}
        assert later["targets"] == first["targets"]
    assert len(os.listdir(place.home / "plans")) == 1
    assert place.run("build", "--metadata-file", f"{place.root}/meta.json").stderr.startswith(
        "up to date in "
    )


def test_every_event_of_a_build_is_documented(place):
    shown = place.run("build", "--progress", "json").stderr
    again = place.run("build", "--progress", "json").stderr
    last = place.run("build", "--progress", "json").stderr
    for text in (shown, again, last):
        events = [json.loads(line) for line in text.splitlines()]
        events = [
            event for event in events if not event["event"].startswith("wait-")
        ]  # of slow disks
        assert {event["schema"] for event in events} == {1}
        assert (events[0]["event"], events[-1]["event"]) == ("build-started", "build-finished")
        assert "image-finished" in {event["event"] for event in events}


def keys(value):
    if isinstance(value, dict):
        for key, below in value.items():
            yield key
            yield from keys(below)
    if isinstance(value, list):
        for each in value:
            yield from keys(each)


def test_every_key_of_a_document_is_documented(place):
    metadata = place.build()
    page = (Path(__file__).parents[2] / "docs/reference/metadata.md").read_text()
    found = set(keys(metadata)) - set(metadata["targets"])
    for words in ("plan", "why src", "ls", "images", "cache verify", "query deps api"):
        found |= set(keys(json.loads(place.run(*words.split(), "--json").stdout)))
    assert not {key for key in found if f"`{key}`" not in page and f'"{key}"' not in page}


def test_a_changed_file_is_named(place):
    place.build()
    (place.ws / "src/main.py").write_text("two\n")
    plan = json.loads(place.run("plan", "--json").stdout)
    assert [(s["id"], s["decision"]) for s in plan["steps"]] == [("src", "execute")]
    assert "main.py" in plan["steps"][0]["reason"]
    assert place.build()["steps"]["executed"] == 1
    assert "main.py" in place.run("why", "src").stdout


def test_why_compares_with_every_record_that_is_shown(place):
    place.build()
    records = json.loads(place.run("cache", "ls", "--json").stdout)["records"]
    (first,) = [record for record in records if record["step"] == "src"]
    asked = json.loads(place.run("why", "src", "--json").stdout)
    (place.ws / "src/main.py").write_text("two\n")
    place.build()
    for record in (first["key"][:12], asked["last"]["document"], asked["last"]["document"][:12]):
        assert "main.py content" in place.run("why", "src", "--against", record).stdout
    known = json.loads(place.run("why", "src", "--json").stdout)["last"]["document"]
    assert known[:12] in place.run("why", "src").stdout
    assert "nothing differs" in place.run("why", "src", "--against", known).stdout
    refused = place.run("why", "src", "--against", "feedbeef", code=2).stderr
    assert known[:12] in refused


def test_rebuild_names_steps(place):
    place.build()
    assert place.build("--rebuild", "step:src")["steps"]["executed"] == 1
    assert place.build("--rebuild", "s*")["steps"]["executed"] == 1
    for words in (("build", "--rebuild", "scr"), ("plan", "--rebuild", "scr")):
        assert "did you mean src?" in place.run(*words, code=2).stderr


def test_a_touched_environment_or_new_file_is_seen(place):
    before = place.build()
    (place.ws / "src/new.py").write_text("new\n")
    after = place.build()
    assert after["steps"]["executed"] == 1
    assert after["targets"] != before["targets"]
    (place.ws / "src/new.py").unlink()
    assert place.build()["targets"] == before["targets"]


def test_results_on_stdout_and_messages_on_stderr(place):
    assert place.run("build").stdout == ""
    listed = place.run("ls", "--json")
    assert {t["name"] for t in json.loads(listed.stdout)["targets"]} == {"none", "src", "api"}
    assert "shop/api:latest" in place.run("images").stdout
    assert place.run("validate", "shop/api:latest").stdout == ""
    assert json.loads(place.run("inspect", "shop/api:latest").stdout)["schema"] == 1
    assert "copy src" in place.run("history", "shop/api:latest").stdout


def test_an_error_says_which_copy_is_to_blame(place):
    text = BUILDFILE.replace('"src", to', '"base:none", path = "/no", to')
    (place.ws / "Buildfile.toml").write_text(text)
    said = place.run("build", code=2).stderr
    line = '    copy = [{ from = "base:none", path = "/no", to = "/app/" }]'
    assert f"Buildfile.toml:9:\n{line}\nerror[source-missing]" in said


def test_a_folder_of_somebody_elses_is_no_store(place):
    said = place.run("--home", str(place.ws), "images", code=3).stderr
    assert "store-unusable" in said
    assert sorted(os.listdir(place.ws)) == ["Buildfile.toml", "src"]


def test_a_frozen_plan_refuses_what_the_lock_lacks(place):
    (place.ws / "Buildfile.toml").write_text(
        'buildfile = 1\n[step.os]\npackages = { packages = ["dash"] }\n'
    )
    assert "not-locked" in place.run("plan", "--frozen", "os", code=5).stderr
    assert place.run("plan", "os").stdout.startswith("execute  os")
    assert not (place.ws / "Buildfile.lock").exists()


def test_init_writes_what_check_accepts(place):
    (place.ws / "Buildfile.toml").unlink()
    place.run("init")
    place.run("check")
    assert "app" in place.run("ls").stdout
    place.run("init", code=2)


def test_check_names_all_sources_that_are_missing(place):
    with (place.ws / "Buildfile.toml").open("a") as file:
        file.write('[step.gone]\ncopy = [{ from = "gone", to = "/x/" }]\n')
        file.write('[step.lost]\ncopy = [{ from = "lost", to = "/x/" }]\n')
    said = place.run("check", code=2).stderr
    assert said.count("error[source-missing]") == 2
    assert "gone" in said
    assert "lost" in said


def test_check_asks_no_registry(place):
    nobody = "127.0.0.1:9/far"  # the discard port: whoever asked would be refused
    (place.ws / "Buildfile.toml").write_text(
        f'buildfile = 1\n[base.far]\nimage = "{nobody}"\n'
        '[step.s]\non = ["far"]\nmounts = [{ bind = "Buildfile.toml", target = "/b" }]\nrun = "true"\n'
    )
    said = place.run("check").stderr
    assert f"nothing is known here of {nobody}" in said
    assert "Buildfile.toml:3" in said
    with (place.ws / "Buildfile.toml").open("a") as file:
        file.write(
            '[step.t]\non = ["s"]\nmounts = [{ bind = "gone", target = "/b" }]\nrun = "true"\n'
        )
        file.write('[step.u]\non = ["far"]\nrun = { file = "lost.sh" }\n')
    said = place.run("check", code=2).stderr
    assert said.count("error[source-missing]") == 2
    assert "Buildfile.toml:10" in said
    assert not (place.ws / "Buildfile.lock").exists()


def test_a_store_where_no_folder_can_be_is_refused(place):
    said = place.run("--home", "/proc/nowhere", "build", code=3).stderr
    assert "error[store-unusable]" in said
    assert "--home" in said


def test_a_mistake_is_exit_code_2_and_builds_nothing(place):
    text = BUILDFILE.replace("copy =", "copi =") + "[image.web]\non = ['sorce']\n"
    (place.ws / "Buildfile.toml").write_text(text)
    said = place.run("build", code=2).stderr
    assert "Buildfile.toml:" in said
    assert "copi" in said
    assert "sorce" in said


def test_the_store_is_sound_afterwards(place):
    place.build()
    place.run("cache", "verify")
    place.run("cache", "gc", "--max-size", "1GB")
    assert place.build()["steps"]["executed"] == 0

"""Everything that is wrong with a workspace is told in one run, by whichever command meets it."""

import json
import os
import subprocess
import sys

import pytest

HEAD = """\
buildfile = 1
[base.box]
scratch = true
"""
SOUND = """\
[step.src]
copy = [{ from = "src", to = "/app/" }]
[image.i]
on = ["box", "src"]
tags = ["shop/i:1"]
"""
WRONG = """\
[base.gone]
archive = "gone.tar"
[step.deps]
on = ["bxo"]
run = "true ${nope}"
mounts = [
  { bind = "requirments.txt", target = "/in" },
  { secret = "tokn", target = "/x" },
]
[step.late]
on = ["deps"]
run = "true"
mounts = [{ bind = "missing", target = "/in" }]
[step.configured]
on = ["box"]
run = "true"
env = { X = "${env.NOPE}" }
[image.j]
on = ["box", "late", "configured"]
workdir = "rel\\u0000"
[image.k]
on = ["gone"]
"""
ALL = [
    ("base-missing", "[base.gone]"),
    ("unknown-name", 'on = ["bxo"]'),
    ("undefined-variable", 'run = "true ${nope}"'),
    ("source-missing", '{ bind = "requirments.txt", target = "/in" },'),
    ("unknown-secret", '{ secret = "tokn", target = "/x" },'),
    ("source-missing", 'mounts = [{ bind = "missing", target = "/in" }]'),
    ("unknown-env", 'env = { X = "${env.NOPE}" }'),
    ("nul-character", 'workdir = "rel\\u0000"'),
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ws/src").mkdir(parents=True)
    (tmp_path / "ws/requirements.txt").touch()
    return tmp_path / "ws"


def told(folder, *words):
    """Code and line of every error, in order; the exit code is 2."""
    done = subprocess.run(
        [sys.executable, "-m", "buildgraph", "--progress", "json", *words],
        cwd=folder,
        env={**os.environ, "BUILDGRAPH_HOME": str(folder.parent / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    errors = [json.loads(line) for line in done.stderr.splitlines()]
    lines = (folder / "Buildfile.toml").read_text().splitlines()
    return [(error["code"], lines[error["line"] - 1].strip()) for error in errors]


@pytest.mark.parametrize(
    "command", [("check",), ("build", "j", "k"), ("plan", "j", "k"), ("graph",)], ids=lambda c: c[0]
)
def test_every_phase_tells_what_it_finds(folder, command):
    (folder / "Buildfile.toml").write_text(HEAD + SOUND + WRONG)
    assert told(folder, *command) == ALL


def test_only_files_of_what_is_asked_for_are_missed(folder):
    (folder / "Buildfile.toml").write_text(HEAD + SOUND + WRONG)
    missing = [one for one in ALL if one[0] != "source-missing"]
    assert told(folder, "build", "i") == missing


def test_a_missing_base_hides_no_missing_file(folder):
    text = SOUND.replace('"src", to', '"scr", to')
    (folder / "Buildfile.toml").write_text(
        HEAD + text + '[base.gone]\nlayout = "gone"\n[image.k]\non = ["gone"]\n'
    )
    assert told(folder, "check") == [
        ("source-missing", 'copy = [{ from = "scr", to = "/app/" }]'),
        ("base-missing", "[base.gone]"),
    ]


def test_platforms_tell_their_mistakes_together(folder):
    head = HEAD.replace(
        "[base", '[workspace]\nplatforms = ["linux/amd64", "linux/arm64"]\n[base', 1
    )
    wrong = "".join(
        f'[step.{arch}]\nwhen = "platform.arch == \'{arch}\'"\ncopy = [{{ from = "/{arch}", to = "/" }}]\n'
        for arch in ("amd64", "arm64")
    )
    (folder / "Buildfile.toml").write_text(head + SOUND + wrong)
    assert [code for code, _ in told(folder, "check")] == ["absolute-source"] * 2

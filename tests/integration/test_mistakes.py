"""Everything that is wrong with a workspace is told in one run, by whichever command meets it."""

import json
import os
import subprocess
import sys

import pytest

from buildgraph.build.request import Request
from buildgraph.build.survey import Target, list_targets

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
    ("base-missing", 'archive = "gone.tar"'),
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


def run(folder, *words):
    """Every error, in order; the exit code is 2."""
    done = subprocess.run(
        [sys.executable, "-m", "buildgraph", "--progress", "json", *words],
        cwd=folder,
        env={**os.environ, "BUILDGRAPH_HOME": str(folder.parent / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def told(folder, *words):
    """Code and line of every error."""
    errors = run(folder, *words)
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
        ("base-missing", 'layout = "gone"'),
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


def test_a_base_with_another_mistake_is_missed_all_the_same(folder):
    (folder / "box.tar").touch()
    (folder / "Buildfile.toml").write_text(
        HEAD + SOUND + '[base.gone]\nrootfs = "Bx.tar"\nplatform = "linux/nope"\n'
    )
    assert told(folder, "check") == [
        ("base-missing", 'rootfs = "Bx.tar"'),
        ("bad-platform", 'platform = "linux/nope"'),
    ]


def test_a_folder_is_no_archive(folder):
    (folder / "Buildfile.toml").write_text(
        HEAD + SOUND + '[base.far]\nrootfs = "src"\n[image.j]\non = ["far", "gone"]\n'
    )
    assert told(folder, "check") == [
        ("not-an-archive", 'rootfs = "src"'),
        ("unknown-name", 'on = ["far", "gone"]'),
    ]


def test_every_faulty_dockerfile_is_told_with_the_rest(folder):
    for name, text in {
        "one": "FROM scratch\nCOPPY a b\n",
        "two": "FROM scratch\nCOPY src /\nENV\n",
        "good": "FROM scratch\nCOPY src /\n",
    }.items():
        (folder / f"Dockerfile.{name}").write_text(text)
    images = "".join(
        f'[image.{name}]\ndockerfile = "Dockerfile.{name}"\n'
        for name in ("one", "two", "good", "gone")
    )
    upon = '[image.upon]\ndockerfile = "Dockerfile.upon"\n'
    (folder / "Dockerfile.upon").write_text("FROM shop/one:1\nCOPY src /\n")
    images = images.replace("[image.one]", '[image.one]\ntags = ["shop/one:1"]')
    (folder / "Buildfile.toml").write_text(
        HEAD + SOUND + images + upon + '[image.j]\non = ["bxo"]\n'
    )
    done = run(folder, "check")
    assert [(e["code"], e["file"], e["line"]) for e in done] == [
        ("no-dockerfile", "Buildfile.toml", 17),
        ("unknown-name", "Buildfile.toml", 21),
        ("unknown-instruction", "Dockerfile.one", 2),
        ("bad-arguments", "Dockerfile.two", 3),
    ]


def test_a_missing_bundle_of_authorities_is_told_by_check(folder):
    (folder / "certs").mkdir()
    (folder / "certs/company.pem").touch()
    head = HEAD.replace("[base", '[workspace]\nca = "certs/compny.pem"\n[base', 1)
    (folder / "Buildfile.toml").write_text(head + SOUND.replace('"src", to', '"scr", to'))
    assert told(folder, "check") == [
        ("ca-unreadable", 'ca = "certs/compny.pem"'),
        ("source-missing", 'copy = [{ from = "scr", to = "/app/" }]'),
    ]


def test_a_step_for_another_platform_is_listed_and_names_it_where_it_is_built(folder):
    (folder / "Buildfile.toml").write_text(
        HEAD + SOUND + '[step.far]\nplatforms = ["linux/s390x"]\nwrite = { "/a" = "b" }\n'
    )
    request = Request(folder, folder.parent / "home", environ={})
    [far] = [one for one in list_targets(request) if one.name == "far"]
    assert far == Target("far", "write", "only for linux/s390x")
    [error] = run(folder, "build", "far")
    assert error["code"] == "step-platform"
    assert "only for linux/s390x" in error["message"]
    assert "--platform linux/s390x" in error["hint"]

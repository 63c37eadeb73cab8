"""What a command line asks for is looked at before anything runs, and its documents tell of failures, too."""

import json
import os
import subprocess
import sys

import pytest
from support.program import Program
from support.workspace import Workspace

BUILDFILE = """
[step.src]
copy = [{ from = "src", to = "/app/" }]
[step.fails]
on = ["box"]
run = "exit 3"
[image.api]
on = ["box", "src"]
tags = ["shop/api:latest"]
[image.web]
on = ["box", "src"]
env = { A = "1" }
[image.bad]
on = ["box", "src", "fails"]
"""


@pytest.fixture
def program(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile(BUILDFILE)
    workspace.write("src/main.py", "one\n")
    made = Program.of(workspace)
    yield made
    made.end()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("build api -t Shop/api:1", "bad-reference"),
        (f"build api -t shop/api@sha256:{'a' * 64}", "bad-reference"),
        ("build api web -t shop:1", "tag-for-several"),
        ("build src -t shop:1", "not-an-image"),
        ("build src --iidfile iid", "not-an-image"),
        ("build api web -o type=oci,dest=out", "output-for-several"),
        ("build src -o type=docker,dest=out.tar", "output-not-an-image"),
        ("build api -o type=tar,dest=- -o type=docker,dest=-", "output-twice"),
        ("build api -o type=tar,dest=a -o type=docker,dest=./a", "output-twice"),
    ],
)
def test_what_cannot_be_given_is_refused_before_anything_runs(program, words, code):
    done = program.run(*words.split(), code=2)
    assert done.stderr.startswith(f"error[{code}]")
    assert "src |" not in done.stderr
    assert json.loads(program.run("cache", "ls", "--json").stdout)["records"] == []


def test_a_failed_build_is_in_the_metadata(program):
    done = program.run(
        "build", "api", "bad", "-k", "--metadata-file", "m.json", "--iidfile", "i", code=1
    )
    assert "step-failed" in done.stderr
    document = json.loads((program.folder / "m.json").read_text())
    assert list(document["targets"]) == ["api"]
    assert document["steps"]["executed"] >= 1
    assert not (program.folder / "i").exists()


def test_without_keep_going_nothing_was_made(program):
    program.run("build", "api", "bad", "--metadata-file", "m.json", code=1)
    document = json.loads((program.folder / "m.json").read_text())
    assert document["targets"] == {}


def test_a_plan_can_require_that_nothing_runs(program):
    done = program.run("plan", "api", "--require-cached", "--json", code=5)
    assert json.loads(done.stdout)["steps"][0]["decision"] == "execute"
    assert "error[not-cached]: 1 of 1 steps would run" in done.stderr
    program.run("build", "api")
    program.run("plan", "api", "--require-cached")


def test_documents_may_go_to_standard_output(program):
    for _ in range(2):
        done = program.run("build", "api", "--iidfile", "/dev/stdout")
        assert done.stdout.startswith("sha256:")


def test_archives_come_from_and_go_to_pipes(program):
    program.run("build", "api")
    words = [sys.executable, "-m", "buildgraph"]
    environ = {**os.environ, "BUILDGRAPH_HOME": str(program.home)}
    saved = subprocess.run(
        [*words, "save", "-o", "-", "shop/api"], env=environ, check=True, capture_output=True
    ).stdout
    program.run("rmi", "shop/api:latest")
    loaded = subprocess.run(
        [*words, "load", "-i", "-"], env=environ, check=True, capture_output=True, input=saved
    )
    assert loaded.stdout == b"shop/api:latest\n"
    program.run("validate", "shop/api:latest")


def test_a_name_with_another_images_digest_is_no_name(program):
    program.run("build", "api")
    other = f"shop/x@sha256:{'a' * 64}"
    assert "error[other-digest]" in program.run("tag", "shop/api", other, code=2).stderr
    copied = program.run("copy", "store:shop/api", f"store:{other}", code=2)
    assert "error[other-digest]" in copied.stderr


@pytest.mark.parametrize(
    "words", ["load -i nowhere", "copy oci:nowhere store:x", "copy oci-archive:nowhere store:x"]
)
def test_a_place_with_nothing_in_it_is_wrong_usage(program, words):
    assert "error[no-such-file]" in program.run(*words.split(), code=2).stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["ls", "build api", "build api --no-cache"])
def test_closed_streams_are_no_reason_to_fail(program, words, closed):
    line = f"exec {sys.executable} -m buildgraph {words} {closed}"
    environ = {**os.environ, "BUILDGRAPH_HOME": str(program.home)}
    done = subprocess.run(
        ["sh", "-c", line], cwd=program.folder, env=environ, check=False, capture_output=True
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["ls", "--help", "build api --no-cache"])
def test_a_full_disk_behind_a_stream_says_so_by_the_exit_code(program, words, unbuffered):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "buildgraph", *words.split()],
            cwd=program.folder,
            env={
                **os.environ,
                "BUILDGRAPH_HOME": str(program.home),
                "PYTHONUNBUFFERED": unbuffered,
            },
            stdout=full,
            stderr=full,
            check=False,
        )
    assert done.returncode == 3


def test_a_target_that_a_condition_switched_off_says_so(program):
    with (program.folder / "Buildfile.toml").open("a") as file:
        file.write("[image.arm]\non = ['box']\nwhen = \"platform.os == 'plan9'\"\n")
    said = program.run("build", "arm", code=2).stderr
    assert "error[switched-off]: 'arm' is switched off by its condition" in said
    assert "when = \"platform.os == 'plan9'\"" in said


@pytest.mark.parametrize("words", ["build box", "plan base:box", "why box"])
def test_a_base_is_no_target(program, words):
    assert "is a base, and a target is" in program.run(*words.split(), code=2).stderr


def test_questions_about_the_graph_ask_no_registry(program):
    with (program.folder / "Buildfile.toml").open("a") as file:
        file.write("[base.far]\nimage = '127.0.0.1:9/far:1'\n[image.on-far]\non = ['far', 'src']\n")
        file.write("[image.on-api]\non = ['api']\n")
    assert program.run("query", "deps", "on-far").stdout.split() == ["far", "src"]
    assert program.run("query", "rdeps", "api").stdout.split() == ["on-api"]
    assert program.run("query", "path", "on-api", "src").stdout.split() == ["on-api", "api", "src"]


def test_every_pattern_that_cannot_be_used_is_told(program):
    with (program.folder / "Buildfile.toml").open("a") as file:
        file.write(
            '[step.run]\non = ["box"]\nrun = "true"\noutputs = ["/bin/[", "/ok/**"]\ndiscard = ["/{a"]\n'
            'mounts = [{ bind = "src", include = ["[z-a]"], target = "/b" }]\n'
        )
    said = program.run("check", code=2).stderr
    assert said.count("error[bad-glob]") == 3
    assert 'outputs = ["/bin/[", "/ok/**"]' in said


@pytest.mark.parametrize(
    "words",
    [
        "build api -o type=tar,dest={}",
        "build api -o type=docker,dest={}",
        "build api -o type=oci-archive,dest={}",
        "build api --metadata-file {} --iidfile {}",
        "save -o {} shop/api",
        "copy store:shop/api oci-archive:{}",
        "copy store:shop/api docker-archive:{}",
    ],
)
def test_a_device_or_pipe_is_written_to_and_never_replaced(program, tmp_path, words):
    program.run("build", "api")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    keep = os.open(pipe, os.O_WRONLY)
    os.set_blocking(reader, True)
    with (tmp_path / "taken").open("wb") as taken:
        cat = subprocess.Popen(["cat"], stdin=reader, stdout=taken)
    os.close(reader)
    try:
        program.run(*words.format(pipe, pipe).split(), limit=30)
    finally:
        os.close(keep)
        cat.wait(timeout=20)
    assert (tmp_path / "taken").stat().st_size
    assert pipe.is_fifo()


def test_a_working_folder_that_is_gone_is_told(program, tmp_path):
    line = f"mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir {tmp_path}/gone && exec {sys.executable} -m buildgraph ls"
    done = subprocess.run(["sh", "-c", line], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error[bad-directory]: the working folder is gone" in done.stderr


def test_an_output_behind_a_link_is_what_the_link_leads_to(program):
    link, real = program.folder / "link.tar", program.folder / "real.tar"
    link.symlink_to(real.name)
    program.run("build", "api", "-o", "type=tar,dest=link.tar")
    program.run("build", "api", "-o", "type=docker,dest=link.tar")
    assert link.is_symlink()
    assert real.stat().st_size > 0

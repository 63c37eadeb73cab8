"""kill -9, TERM and INT at random moments of a build: nothing is left behind, nothing is lost."""

import random
import signal
import subprocess
from pathlib import Path

import pytest
from support.program import Program, end
from support.workspace import Workspace

import buildgraph

ROUNDS = 5
OURS = str(Path(buildgraph.__file__).parent)
BUILDFILE = """
[step.src]
copy = [{ from = "src", to = "/app/" }]
[step.one]
on = ["box"]
mounts = [{ bind = "src", target = "/in" }, { cache = "c", target = "/c" }, { secret = "s", target = "/s" }]
run = "for i in 1 2 3 4 5 6 7 8 9; do cat /in/* > /one$i; echo $i; sleep 0.01; done; cp -r /usr /copy; echo x > /c/x"
[step.two]
on = ["box"]
mounts = [{ bind = "src", target = "/in", write = true }, { tmpfs = true, target = "/t" }]
run = "cat /in/a > /two; rm /opt/d/one; touch /in/new; sleep 0.05"
[step.three]
on = ["one", "two", "src"]
run = "sleep 0.05; cat /app/a > /three"
[image.i]
on = ["three"]
[image.z]
on = ["box", "src", "two"]
compression = "zstd"
[secret.s]
env = "SECRET"
"""


@pytest.fixture
def ws(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile('[workspace]\ndefault = ["i", "z"]\n' + BUILDFILE)
    change(workspace, "first")
    return workspace


def change(workspace, text):
    for name in "abc":
        workspace.write(f"src/{name}", f"{name} {text}\n" * 2000)


@pytest.fixture
def program(program):
    program.environ["SECRET"] = "s3cr3t"
    return program


def seconds(program):
    """How long a build of everything takes here and now."""
    built = program.build()
    return built.metadata["seconds"] + 0.5


def ends(process, after, number):
    """Whether the signal came before the end; the code and the words that it ended with."""
    try:
        process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        return end(process, number)
    return process.returncode, ""


@pytest.mark.parametrize(
    ("number", "codes"),
    [
        (signal.SIGKILL, {-signal.SIGKILL}),
        (signal.SIGTERM, {143, -signal.SIGTERM}),
        (signal.SIGINT, {130, -signal.SIGINT}),
    ],
    ids=["kill", "term", "int"],
)
def test_a_signal_at_any_moment_leaves_nothing_and_loses_nothing(ws, program, number, codes):
    whole = seconds(program)
    for turn in range(ROUNDS):
        # Where the interpreter was still starting: a negative code, or a traceback without a line of ours.
        change(ws, f"{number} {turn}")
        after = whole * (turn + random.random()) / ROUNDS
        code, said = ends(program.start("build"), after, number)
        starting = code == 1 and "KeyboardInterrupt" in said and OURS not in said
        assert starting or code in {0, *codes}, said
        assert starting or code == -number or "Traceback" not in said
        assert "error[" not in said
        program.run("cache", "info")
        assert program.left_over() == []
        assert program.running() == []
    after = program.build()
    program.sound()
    fresh = Program(ws.folder, ws.home.with_name("fresh"), program.environ)
    assert fresh.digests() == after.digests
    assert program.build().ran == set()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=["term", "int", "hup"]
)
def test_an_interrupted_build_says_so_and_ends_what_runs(ws, program, number):
    ws.buildfile(
        '[step.long]\non = ["box"]\nrun = "trap \'\' TERM INT HUP; echo up; sleep 1000 & sleep 1000"\n[image.i]\non = ["long"]\n'
    )
    process = program.start("build", "i", "--progress", "plain")
    assert process.stderr
    for line in process.stderr:
        if line.rstrip().endswith("up"):
            break
    code, said = end(process, number)
    assert code == 128 + number
    assert "interrupted" in said
    assert "Traceback" not in said
    assert program.left_over() == []
    assert program.running() == []


def test_killed_builds_at_once_harm_nobody_else(ws, program):
    """One build is killed again and again while another of the same workspace works."""
    whole = seconds(program)
    for turn in range(3):
        change(ws, f"turn {turn}")
        survivor, victim = program.start("build"), program.start("build")
        ends(victim, whole * random.random(), signal.SIGKILL)
        _, said = survivor.communicate(timeout=60)
        assert survivor.returncode == 0, said
    program.sound()
    fresh = Program(ws.folder, ws.home.with_name("fresh"), program.environ)
    assert fresh.digests() == program.digests()

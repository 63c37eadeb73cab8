"""A secret is where the command looks for it and nowhere else: no layer, store, log, event or process list."""

import base64
import os
import re
import subprocess
from pathlib import Path

import pytest
from support.workspace import Workspace

from buildgraph.execute.lines import Lines
from buildgraph.execute.secret import Secrets, SecretSource

SECRET = "s3cr3t-v4lue-of-a-token"
LINES = "first-line-of-it\nsecond-line-of-it"
BUILDFILE = """
[secret.one]
env = "TOKEN"
[secret.two]
file = "../two"
[step.use]
on = ["box"]
mounts = [
  { secret = "one", target = "/run/one", required = true },
  { secret = "one", env = "ONE", required = true },
  { secret = "two", target = "/root/.two", required = true, mode = "0440" },
]
run = '''
echo "in a line: $ONE and again $ONE"
cat /run/one /root/.two; echo
stat -c %a /root/.two
printf '%s' "$ONE" | head -c 10; sleep 0.05; printf '%s' "$ONE" | tail -c +11; echo
echo ready
while ! test -e /go/now; do sleep 0.02; done
test "$ONE" = "$(cat /run/one)"
'''
[image.i]
on = ["use"]
"""


@pytest.fixture
def ws(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    go = '  { cache = "go", target = "/go" },\n]\nrun'
    workspace.buildfile(BUILDFILE.replace("]\nrun", go))
    (tmp_path / "two").write_text(LINES)
    return workspace


@pytest.fixture
def program(program):
    program.environ["TOKEN"] = SECRET
    return program


def release(home: Path) -> None:
    """Let the command go on, which waits for a file in its cache mount."""
    for volume in (home / "volumes").iterdir():
        (volume / "now").touch()


def commands() -> str:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return "\n".join(found)


def holding(folder: Path, *words: str) -> list[str]:
    """Files below ``folder`` with one of the words in their bytes or names, mounts left out."""
    listed = ["grep", "-rlaF", *(part for word in words for part in ("-e", word)), str(folder)]
    inside = subprocess.run(listed, capture_output=True, text=True, check=False).stdout.split("\n")
    named = [str(p) for p in folder.rglob("*") if any(word in p.name for word in words)]
    return [path for path in (*inside, *named) if path]


@pytest.mark.parametrize("progress", ["plain", "json"])
def test_a_secret_is_nowhere(ws, program, tmp_path, progress):
    process = program.start("build", "i", "--progress", progress, "-v")
    said = ""
    assert process.stderr
    for line in process.stderr:
        said += line
        if re.search(r'(\| |"line": ")ready', line):
            break
    running = commands()
    assert "while ! test -e /go/now" in running
    everywhere = holding(ws.home, SECRET, *LINES.split())
    release(ws.home)
    out, rest = process.communicate(timeout=60)
    said += out + rest
    assert process.returncode == 0, said
    for word in (SECRET, *LINES.split()):
        assert word not in said
        assert word not in running
    assert "in a line: *** and again ***" in said
    assert "440" in said
    assert everywhere == []
    encoded = base64.b64encode(SECRET.encode()).decode()[:20]
    assert holding(ws.home, SECRET, encoded, *LINES.split()) == []
    assert holding(ws.folder, SECRET, *LINES.split()) == []
    program.run("build", "i", "-o", f"type=tar,dest={tmp_path}/x.tar")
    program.run("build", "i", "-o", f"type=local,dest={tmp_path}/out")
    assert holding(tmp_path / "out", SECRET, *LINES.split()) == []
    assert SECRET.encode() not in (tmp_path / "x.tar").read_bytes()
    assert not (tmp_path / "out/run/one").exists()
    assert not (tmp_path / "out/root/.two").exists()
    program.sound()


def test_a_secret_is_masked_when_the_step_fails(ws, program):
    ws.buildfile(
        '[secret.one]\nenv = "TOKEN"\n[step.use]\non = ["box"]\n'
        'mounts = [{ secret = "one", env = "ONE" }]\nrun = "echo $ONE; echo $ONE >&2; exit 3"\n'
    )
    said = program.run("build", "use", code=1)
    assert SECRET not in said.stdout + said.stderr
    assert "***" in said.stderr
    assert holding(ws.home, SECRET) == []


@pytest.mark.parametrize("before", range(65536 - 30, 65536 + 6, 7))
def test_a_secret_is_masked_wherever_a_long_line_is_cut(before):
    said: list[bytes] = []
    secrets = Secrets({}, {"one": SecretSource(env="TOKEN")}, {"TOKEN": SECRET}, Path("/"))
    secrets.value("one", required=True)
    lines = Lines(lambda line: said.append(secrets.mask(line)), secrets.split)
    text = b"x" * before + SECRET.encode() + b"y" * 70_000 + SECRET.encode()[:-1]
    for at in range(0, len(text), 4096):
        lines.feed(text[at : at + 4096])
    lines.feed(SECRET[-1:].encode())
    lines.end()
    assert len(said) > 2
    assert b"".join(said).count(b"***") == 2
    assert SECRET[:6].encode() not in b"".join(said)
    assert b"".join(said).replace(b"***", b"") == b"x" * before + b"y" * 70_000


def test_another_value_is_no_change_and_a_killed_build_leaves_none(ws, program):
    process = program.start("build", "i", "--progress", "plain")
    assert process.stderr
    for line in process.stderr:
        if line.rstrip().endswith("ready"):
            break
    process.kill()
    process.communicate(timeout=60)
    assert holding(ws.home, SECRET, *LINES.split()) == []
    release(ws.home)
    assert program.build("i").ran == {"use"}
    program.environ["TOKEN"] = "another-value"
    assert program.build("i").ran == set()
    del program.environ["TOKEN"]
    os.unlink(ws.folder.parent / "two")
    assert program.build("i").ran == set()
    assert "error[secret-missing]" in program.run("build", "i", "--no-cache", code=2).stderr


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("cp /run/one /etc/token; echo x > /etc/other", "/etc/token"),
        ("head -c 1048570 /dev/zero > /big; echo $ONE >> /big; cp /big /big2", "/big and 1 more"),
        ("cp /root/.two /copy", "two into its layer: /copy"),
        ("ln -s /run/one /link; printf %s $ONE | tr a-z b-za > /turned; mkdir /t", ""),
        ("cp /run/one /f; rm /f", ""),
    ],
)
def test_a_secret_that_the_command_keeps_is_told(ws, program, command, found):
    """By its name and the file's, never by its value."""
    begin, end = BUILDFILE.index("run = "), BUILDFILE.index("[image.i]")
    ws.buildfile(f"{BUILDFILE[:begin]}run = '''{command}'''\n{BUILDFILE[end:]}")
    said = program.run("build", "i").stderr
    assert ("warning[secret-in-layer]" in said) == bool(found)
    assert found in said
    assert SECRET not in said
    assert "first-line" not in said
    assert "secret-in-layer" not in program.run("build", "i").stderr


def test_a_short_secret_is_not_looked_for(ws, program):
    ws.buildfile(
        '[secret.one]\nenv = "TOKEN"\n[step.use]\non = ["box"]\n'
        'mounts = [{ secret = "one", env = "ONE" }]\nrun = "echo $ONE > /kept"\n[image.i]\non = ["use"]\n'
    )
    program.environ["TOKEN"] = "1234567"
    assert "secret-in-layer" not in program.run("build", "i").stderr

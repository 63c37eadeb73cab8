"""Contexts that no build should meet: each gives a clear error with the right exit code, or just works."""

import os
import socket
import stat
import threading

import pytest
from support.capability import require_root
from support.program import ordinary_user
from support.workspace import Workspace, digests

from buildgraph.build.checking import check
from buildgraph.build.request import OutputSpec
from buildgraph.build.store import cache_verify
from buildgraph.errors import BuildgraphError, ErrorGroup
from buildgraph.events import StepOutput

COPY = """
[step.src]
copy = [{ from = "src", to = "/app/" }]
[image.i]
on = ["box", "src"]
"""
BIND = """
[step.src]
on = ["box"]
mounts = [{ bind = "src", target = "/in" }]
run = "cp -r /in /app"
[image.i]
on = ["src"]
"""


@pytest.fixture
def ws(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.write("src/good", "good\n")
    return workspace


@pytest.fixture(params=[COPY, BIND], ids=["copy", "bind"])
def taken(request, ws):
    ws.buildfile(request.param)
    return ws


def refused(ws, code, *words, exit_code=None):
    """What is said; the store stays whole, and the next build is fine once the cause is gone."""
    with pytest.raises(BuildgraphError) as caught:
        ws.build("i")
    error = caught.value
    assert not isinstance(error, ErrorGroup)
    assert error.code == code, error.render()
    assert error.exit_code in ((exit_code,) if exit_code else (1, 2))
    for word in words:
        assert word in error.render()
    assert cache_verify(ws.home).damaged == ()
    return error


def works(ws):
    assert ws.build("i").ok


@pytest.mark.parametrize("sort", ["fifo", "socket", "device"])
def test_what_is_no_file_is_refused_by_name(taken, sort, tmp_path):
    path = taken.folder / "src/odd"
    match sort:
        case "fifo":
            os.mkfifo(path)
        case "socket":
            here = os.getcwd()
            os.chdir(path.parent)
            with socket.socket(socket.AF_UNIX) as server:
                server.bind("odd")
            os.chdir(here)
        case "device":
            require_root()
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    refused(taken, "source-special", "odd", exit_code=2)
    path.unlink()
    works(taken)


def test_what_is_ignored_may_be_anything(ws):
    os.mkfifo(ws.folder / "src/odd")
    ws.buildfile('[workspace]\nignore = ["**/odd"]\n' + COPY)
    works(ws)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "../../../../../../etc/passwd"])
def test_links_out_of_the_context_are_links_and_are_never_followed(taken, tmp_path, target):
    (tmp_path / "outside").write_text("outside\n")
    os.symlink(target, taken.folder / "src/link")
    out = tmp_path / "out"
    taken.build("i", outputs=(OutputSpec("local", str(out)),))
    assert os.readlink(out / "app/link") == target
    os.symlink(tmp_path, taken.folder / "away")
    taken.buildfile(COPY.replace('"src"', '"away/outside"', 1))
    refused(taken, "source-escapes", "away", exit_code=2)
    taken.buildfile(COPY.replace('to = "/app/"', 'to = "/app/", follow = true'))
    refused(taken, "source-escapes", "link", exit_code=2)


def test_a_missing_source_names_what_is_near(ws):
    ws.buildfile(COPY.replace('from = "src"', 'from = "scr"'))
    error = refused(ws, "source-missing", "scr", "Buildfile.toml:", exit_code=2)
    assert "src" in error.hint


def test_all_missing_sources_are_told_together(ws):
    ws.buildfile(
        COPY.replace("src", "scr").replace("step.scr", "step.src").replace('"scr"]', '"src", "b"]')
        + BIND[: BIND.index("[image")].replace("src", "sorce").replace("step.sorce", "step.b")
    )
    with pytest.raises(ErrorGroup) as caught:
        ws.build("i")
    assert [error.code for error in caught.value.errors] == ["source-missing"] * 2
    assert len({error.where.line for error in caught.value.errors}) == 2


def test_what_may_not_be_read_is_named():
    with ordinary_user(COPY) as nobody:
        unreadable(nobody)


def unreadable(nobody):
    nobody.run("build")
    closed = nobody.folder / "src/closed"
    closed.write_text("closed")
    closed.chmod(0o600)
    said = nobody.run("build", code=2).stderr
    assert "error[source-unreadable]" in said
    assert "src/closed" in said
    closed.unlink()
    (nobody.folder / "src/locked").mkdir(0o700)  # root's
    assert "src/locked" in nobody.run("build", code=2).stderr
    (nobody.folder / "src/locked").rmdir()
    nobody.run("build")


NAMES = (
    b"new\nline",
    b"tab\there",
    b"not utf-8 \xff\xfe",
    b"\xc3\xbcnicode",
    b"quote'\"\\$(x)`",
    b"-rf",
    b"*",
    b" spaces ",
    b"\x1b[31mred",
    b"#hash",
    b"x" * 255,
    b".wh.name",
)


def test_any_name_is_copied_as_it_is(ws, tmp_path):
    folder = os.fsencode(ws.folder) + b"/src/"
    for name in NAMES[:-1]:
        with open(folder + name, "wb") as file:
            file.write(name)
    for script in (COPY, BIND):
        ws.buildfile(script)
        out = tmp_path / f"out{script is COPY}"
        made = digests(ws.build("i", outputs=(OutputSpec("local", str(out)),)))
        app = os.fsencode(out / "app")
        assert sorted(os.listdir(app)) == sorted([*NAMES[:-1], b"good"])
        for name in NAMES[:-1]:
            with open(app + b"/" + name, "rb") as file:
                assert file.read() == name
        assert digests(ws.build("i")) == made
        assert ws.ran() == set()


def test_a_name_that_means_a_deletion_is_refused(ws):
    """A layer cannot hold such a file: every reader takes it for a whiteout."""
    ws.write("src/.wh.name", "x")
    ws.buildfile(COPY)
    refused(ws, "whiteout-name", ".wh.name")


def test_names_that_differ_in_case_only_are_two_files(taken, tmp_path):
    taken.write("src/Good", "other\n")
    out = tmp_path / "out"
    taken.build("i", outputs=(OutputSpec("local", str(out)),))
    assert {p.name: p.read_text() for p in (out / "app").iterdir()} == {
        "good": "good\n",
        "Good": "other\n",
    }


def test_a_file_that_never_stands_still_is_named_or_taken_whole(ws, tmp_path):
    """Whatever is in the image was in the file at one moment."""
    path = ws.folder / "src/moving"
    stop = threading.Event()
    size = 300_000

    def rewrite():
        turn = 0
        while not stop.is_set():
            turn += 1
            path.write_bytes(bytes([65 + turn % 26]) * size)

    path.write_bytes(b"A" * size)
    ws.buildfile(COPY)
    writer = threading.Thread(target=rewrite)
    writer.start()
    codes = []
    try:
        for turn in range(6):
            out = tmp_path / f"out{turn}"
            try:
                ws.build("i", outputs=(OutputSpec("local", str(out)),))
            except BuildgraphError as error:
                codes.append((error.code, "moving" in error.render()))
            else:
                content = (out / "app/moving").read_bytes()
                assert len(set(content)) <= 1
                assert len(content) in (0, size)
    finally:
        stop.set()
        writer.join()
    assert set(codes) <= {("source-changed", True)}
    works(ws)
    assert cache_verify(ws.home).damaged == ()


@pytest.mark.parametrize("edit", ["change", "vanish", "fifo"])
def test_a_source_that_changes_after_it_was_hashed_is_never_recorded_as_it_was(ws, edit):
    """A command says that the build is under way; then a file that a later copy has promised is changed."""
    ws.write("late/file", "first\n" * 100)
    ws.buildfile(
        '[step.first]\non = ["box"]\nrun = "echo up"\n'
        '[step.late]\non = ["first"]\nmounts = [{ bind = "late", target = "/in" }]\nrun = "cp /in/file /late"\n'
        '[step.copied]\ncopy = [{ from = "late", to = "/copied/" }]\n[image.i]\non = ["late", "copied"]\n'
    )
    path = ws.folder / "late/file"

    def observe(event):
        ws.events.append(event)
        if isinstance(event, StepOutput) and event.line == "up":
            path.unlink()
            if edit == "change":
                path.write_text("other\n" * 100)
            if edit == "fifo":
                os.mkfifo(path)

    from buildgraph.build.build import build

    summary = build(ws.request("i", jobs=1), observe)
    codes = {failure.code for failure in summary.failures}
    assert codes
    assert codes <= {"source-changed", "source-missing", "source-vanished"}
    assert "late/file" in summary.failures[0].render()
    if edit == "fifo":
        path.unlink()
    ws.write("late/file", "first\n" * 100)
    made = digests(ws.build("i"))
    ws.home = ws.home.with_name("fresh")
    assert digests(ws.build("i")) == made


def test_a_hundred_thousand_files(ws, tmp_path):
    """No crash, and not minutes: empty files, several folders."""
    for folder in range(100):
        path = ws.folder / f"src/{folder}"
        path.mkdir()
        fd = os.open(path, os.O_RDONLY)
        for number in range(1000):
            os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
        os.close(fd)
    ws.buildfile(COPY)
    works(ws)


def test_a_path_that_no_system_call_takes_is_named(taken):
    fd = os.open(taken.folder / "src", os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=fd)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    refused(taken, "source-unreadable", "ddd")


def test_everything_that_is_missing_is_told_at_its_own_line(ws):
    ws.buildfile("""
[step.copied]
copy = [
  { from = "src/good", to = "/a" },
  { from = "src/goood", to = "/b" },
  { from = "nowhere", to = "/c" },
]
[step.bound]
on = ["box"]
mounts = [
  { cache = "x", target = "/x" },
  { bind = "none", target = "/in" },
]
run = { file = "script.sh" }
[image.i]
on = ["box", "copied", "bound"]
""")
    with pytest.raises(ErrorGroup) as caught:
        ws.build("i")
    told = [(error.where.excerpt.strip(), error.message) for error in caught.value.errors]
    assert told == [
        ('{ from = "src/goood", to = "/b" },', "src/goood does not exist"),
        ('{ from = "nowhere", to = "/c" },', "nowhere does not exist"),
        ('{ bind = "none", target = "/in" },', "none does not exist"),
        ('run = { file = "script.sh" }', "script.sh does not exist"),
    ]


MISSING = '[base.one]\nlayout = "one"\n[base.two]\narchive = "two.tar"\n'


def test_what_nobody_asked_for_may_stand_on_a_missing_base(ws):
    ws.buildfile(MISSING + COPY + '[image.other]\non = ["one"]\n')
    works(ws)
    with pytest.raises(ErrorGroup) as caught:
        check(ws.request())
    assert [error.code for error in caught.value.errors] == ["base-missing"] * 2


def test_every_missing_base_is_told(ws):
    ws.buildfile(MISSING + COPY.replace('"box"', '"one"'))
    with pytest.raises(ErrorGroup) as caught:
        ws.build("i")
    assert [error.code for error in caught.value.errors] == ["base-missing"] * 2


@pytest.mark.parametrize(
    "step",
    [
        'write = { "/a" = "x", "/a/b" = "y" }',
        'write = { "/a/b/c" = "y" }\nlinks = { "/a" = "x" }',
        'write = { "/a" = "x" }\ndirs = { "/a/b" = {} }',
        'copy = [{ from = "src/good", to = "/a" }, { from = "src/good", to = "/a/b" }]',
    ],
)
def test_nothing_lies_below_a_file_of_the_same_step(ws, step):
    ws.buildfile(f'[step.s]\n{step}\n[image.i]\non = ["box", "s"]\n')
    error = refused(ws, "file-over-directory", "/a would be a file and a directory")
    assert error.where


def test_a_command_that_no_kernel_takes_is_told(ws):
    long = "x" * 200_000
    ws.buildfile(f'[step.s]\non = ["box"]\nrun = "true {long}"\n[image.i]\non = ["s"]\n')
    with pytest.raises(BuildgraphError) as caught:
        ws.build("i")
    assert caught.value.code == "command-too-long"
    assert caught.value.exit_code == 2

"""What a machine may lack or do wrong: no runtime, no name space, a clock years off. Said, with what to do."""

import os
import shutil
import subprocess

import pytest
from support.capability import require, require_root
from support.program import Program, ordinary_user
from support.workspace import Workspace

BUILDFILE = """
[step.run]
on = ["box"]
run = "date > /dev/null; echo x > /x"
[step.src]
copy = [{ from = "src", to = "/app/" }]
[image.i]
on = ["box", "run"]
[image.copies]
on = ["box", "src"]
"""


@pytest.fixture
def ws(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile(BUILDFILE)
    workspace.write("src/a", "a\n")
    return workspace


@pytest.fixture
def bare(ws, tmp_path):
    """The program with a PATH on which no runtime is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "git", "env"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return Program(ws.folder, ws.home, {"PATH": str(folder)})


def test_no_runtime_is_said_with_the_line_that_installs_one(bare):
    said = bare.run("build", "i", code=3).stderr
    assert "error[no-runtime]" in said
    assert "apt-get install bubblewrap" in said
    assert "Traceback" not in said
    bare.run("build", "copies")
    bare.run("plan", "i")
    bare.run("check")
    bare.environ.clear()
    bare.run("build", "i")
    bare.sound()


def test_what_is_reused_needs_no_runtime(bare, ws):
    Program.of(ws).run("build", "i")
    assert bare.build("i").ran == set()
    ws.write("src/a", "b\n")
    assert bare.build("i", "copies").ran == {"src"}


@pytest.fixture
def confined(ws):
    """The program as root of a user namespace that has one id and no power over the machine."""
    require_root()
    require("unshare", "setpriv")
    return Program(ws.folder, ws.home)


def test_root_without_the_power_to_mount_is_told_what_to_do(confined):
    """As in a container: root, and CAP_SYS_ADMIN is gone."""
    confined.prefix = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    said = confined.run("build", "i", code=3).stderr
    assert "error[no-mount-namespace]" in said
    assert "SYS_ADMIN" in said
    confined.run("build", "copies")
    confined.prefix = ()
    confined.run("build", "i")
    confined.sound()


def test_an_ordinary_user_without_ids_is_told_what_to_do():
    """Copies and written files need nothing; commands need ranges of ids."""
    with ordinary_user(BUILDFILE) as nobody:
        said = nobody.run("build", "i", code=3).stderr
        assert any(f"error[{code}]" in said for code in ("no-subuid", "no-user-namespaces"))
        assert "  help: " in said
        assert "Traceback" not in said
        nobody.run("build", "copies")
        assert nobody.build("copies").ran == set()


def test_a_store_of_other_ids_is_refused(confined):
    confined.run("build", "i")
    confined.prefix = ("unshare", "--user", "--map-root-user", "--mount")
    if subprocess.run([*confined.prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine gives no user namespaces")
    said = confined.run("build", "i", "--no-cache", code=3).stderr
    assert "error[store-ids-differ]" in said
    confined.prefix = ()
    confined.sound()


@pytest.mark.parametrize("offset", ["-20y", "+20y"])
def test_a_clock_years_off_changes_no_result(ws, offset):
    """Sources, the store and the Buildfile are from the past or from the future."""
    program = Program.of(ws)
    before = program.digests()
    years = 20 * 365 * 86400 * (-1 if offset[0] == "-" else 1)
    for folder, _, names in os.walk(ws.folder.parent):
        for name in names:
            path = os.path.join(folder, name)
            found = os.lstat(path)
            time = found.st_mtime_ns + years * 10**9
            os.utime(path, ns=(time, time), follow_symlinks=False)
    built = program.build()
    assert built.digests == before
    assert built.ran == set()
    ws.write("src/a", "b\n")
    os.utime(ws.folder / "src/a", (1, 1))
    changed = program.build()
    assert changed.ran == {"src"}
    fresh = Program(ws.folder, ws.home.with_name("fresh"))
    assert fresh.digests() == changed.digests
    program.run("cache", "verify", code=0)

"""Full and read-only disks: said, exit code 3, nothing lost; with space again everything goes on.

Mounts are made in this process's private mount namespace, which the programs that are started inherit.
"""

import os
import subprocess
from pathlib import Path

import pytest
from support.capability import require
from support.program import Program
from support.workspace import Workspace

BIG = 6 << 20
BUILDFILE = """
[step.src]
copy = [{ from = "src", to = "/app/" }]
[step.grow]
on = ["box"]
run = "head -c 9000000 /dev/urandom > /big1; head -c 9000000 /dev/urandom > /big2"
[step.little]
on = ["box"]
run = "echo small > /small"
[image.big]
on = ["box", "src", "grow"]
[image.small]
on = ["box", "little"]
"""


@pytest.fixture
def ws(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile(BUILDFILE)
    (workspace.folder / "src").mkdir()
    (workspace.folder / "src/big").write_bytes(os.urandom(BIG))
    return workspace


@pytest.fixture
def disk(tmp_path, ws):
    """A small file system; ``resize`` gives it more room or makes it read-only."""
    require("mount", "umount")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("size=12m", folder)
    yield folder
    subprocess.run(["umount", folder], check=True)


def mount(options: str, folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def says(program: Program, code: str, *words: str | Path) -> str:
    said = program.run("build", *words, code=3).stderr
    assert f"error[{code}]" in said
    assert "Traceback" not in said
    assert "internal" not in said
    return said


@pytest.mark.parametrize("target", ["big", "src", "grow"])
def test_a_full_store_is_said_and_goes_on_with_space(ws, disk, target):
    program = Program(ws.folder, disk / "home")
    program.run("build", "small")
    small = program.digests_of("small")
    target_words = (target,) if target != "src" else ("src", "-o", f"type=tar,dest={disk}/x.tar")
    says(program, "no-space", *target_words)
    assert [p for p in program.left_over() if "active" in p] == []
    program.run("cache", "verify")
    program.run("cache", "info")
    assert program.digests_of("small") == small
    remount(disk, "size=120m")
    program.run("build", *target_words)
    program.run("build", "big")
    program.sound()
    assert program.digests_of("small") == small


def many_files(ws):
    for number in range(300):
        ws.write(f"many/{number}", f"{number}")
    ws.buildfile(
        BUILDFILE
        + '[step.m]\non = ["box"]\nmounts = [{ bind = "many", target = "/m" }]\nrun = "cp -r /m /n"\n'
    )


def test_a_store_that_fills_up_anywhere_says_what_has_no_room(ws, disk):
    """Each round a little more gets done before the disk is full."""
    many_files(ws)
    codes = set()
    for kilobytes in range(2000, 12_000, 900):
        remount(disk, f"size={kilobytes}k")
        process = Program(ws.folder, disk / "home").start("build", "m", "--progress", "plain")
        _, said = process.communicate(timeout=60)
        codes.add(process.returncode)
        if process.returncode:
            (told,) = (line for line in said.splitlines() if line.startswith("error[no-space]"))
            assert "no space left for" in told or "no space left to unpack" in told
        subprocess.run(["rm", "-rf", disk / "home"], check=True)
    assert codes == {0, 3}


def test_no_inodes_left_is_said(ws, disk):
    program = Program(ws.folder, disk / "home")
    program.run("build", "small")
    remount(disk, "size=60m,nr_inodes=200")
    many_files(ws)
    says(program, "no-space", "m")
    program.run("cache", "verify")
    remount(disk, "nr_inodes=10000")
    program.run("build", "m")
    program.sound()


@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker", "tar", "local"])
def test_a_full_output_is_said_and_the_store_keeps_the_work(ws, disk, tmp_path, kind):
    program = Program.of(ws)
    says(program, "no-space", "big", "-o", f"type={kind},dest={disk}/out")
    again = program.build("big", "-o", f"type={kind},dest={tmp_path}/fits")
    assert again.ran == set()
    remount(disk, "size=120m")
    program.run("build", "big", "-o", f"type={kind},dest={disk}/out")
    program.sound()


def test_a_full_tmpdir_does_not_matter(ws, disk):
    """Everything that is large lies in the store."""
    (disk / "filler").write_bytes(b"x" * (4 << 20))
    remount(disk, "size=4m")
    program = Program(
        ws.folder, ws.home, {"TMPDIR": str(disk), "TEMP": str(disk), "TMP": str(disk)}
    )
    process = program.start("build", "big", "small")
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 3), said
    assert process.returncode == 0 or "error[no-space]" in said
    program.environ.clear()
    program.run("build", "big", "small")
    program.sound()


def test_full_files_beside_the_build_are_said(ws, disk):
    (disk / "filler").write_bytes(b"x" * (12 << 20))
    program = Program.of(ws)
    says(program, "no-space", "small", "--metadata-file", f"{disk}/meta.json")
    says(program, "no-space", "small", "--iidfile", f"{disk}/iid")
    assert sorted(p.name for p in disk.iterdir()) == ["filler"]


@pytest.mark.parametrize("before", [True, False])
def test_a_read_only_home_is_said(ws, disk, before):
    program = Program(ws.folder, disk / "home")
    if before:
        program.run("build", "small")
    remount(disk, "ro")
    ws.write("src/more", "more")
    said = program.run("build", "src", code=3).stderr
    assert "error[store-not-writable]" in said
    assert str(disk) in said
    remount(disk, "rw")
    program.run("build", "small")
    program.sound()


def test_a_home_that_cannot_be_is_said(ws, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    said = Program(ws.folder, file / "home").run("build", "small", code=3).stderr
    assert str(file) in said
    assert "Traceback" not in said
    said = Program(ws.folder, file).run("build", "small", code=3).stderr
    assert str(file) in said

"""Debian roots: made twice from one lock, in two stores, by mmdebstrap and the machine's own archive."""

import json
import os
import shutil
import signal
import tarfile
from dataclasses import dataclass

import pytest
from support import capability
from support.program import Program, end
from support.sandboxes import private_mounts

from buildgraph.fs.tarball import EPOCH
from buildgraph.image.validate import validate_path

BUILDFILE = """buildfile = 1
[step.os]
packages = { packages = ["ca-certificates", "python3-minimal"] }
[step.seen]
on = ["os"]
run = "python3 -c 'import ssl' 2>&1 || :; apt-get --version; getent passwd _apt > /seen"
[image.base]
on = ["os"]
compression = "none"
"""
RUN_ONLY = ("buildgraph-run", "mmdebstrap")


@dataclass
class Place:
    """What the builds of this module left: a workspace, its program, and what the first two builds said."""

    program: Program
    first: object
    second: object

    def other(self, name: str, **environ: str) -> Program:
        """The same workspace with another store."""
        folder = self.program.folder
        return Program(folder, folder.parent / name, environ)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    private_mounts()
    capability.require("mmdebstrap", "apt-get", "bwrap")
    folder = tmp_path_factory.mktemp("packages")
    (folder / "ws").mkdir()
    (folder / "ws/Buildfile.toml").write_text(BUILDFILE)
    program = Program(folder / "ws", folder / "home")
    return Place(program, program.build(), program.build())


@pytest.fixture(scope="module")
def members(place):
    """The root as an archive, by name."""
    file = place.program.folder.parent / "root.tar"
    place.program.run("build", "base", "-o", f"type=tar,dest={file}")
    with tarfile.open(file) as archive:
        found = {member.name.strip("./"): member for member in archive}
        texts = {
            name: archive.extractfile(found[name]).read().decode()
            for name in ("etc/hostname", "etc/resolv.conf", "etc/shadow", "var/lib/dpkg/status")
        }
        texts["sources"] = (
            archive.extractfile(found["etc/apt/sources.list.d/debian.sources"]).read().decode()
        )
    return found, texts


def test_the_first_build_writes_the_lock_and_the_second_runs_nothing(place):
    assert place.first.ran == {"os"}
    assert place.second.ran == set()
    assert place.second.digests == place.first.digests
    assert "[packages.os." in (place.program.folder / "Buildfile.lock").read_text()
    assert place.program.run("lock").stdout == ""


def test_the_same_lock_gives_the_same_layer(place):
    other = place.other("home2", TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="7")
    before = os.umask(0o077)
    try:
        built = other.build("--frozen", "-j", "1")
    finally:
        os.umask(before)
    assert built.ran == {"os"}
    assert built.digests == place.first.digests
    other.sound()


def test_nothing_of_the_machine_is_in_the_root(place, members):
    found, texts = members
    assert texts["etc/hostname"] == "localhost\n"
    assert texts["etc/resolv.conf"] == ""
    assert {member.mtime for member in found.values()} == {315532800}
    assert [name for name in found if name.startswith(("dev/", "tmp/"))] == []
    assert [name for name in found if any(part in name for part in RUN_ONLY)] == []
    logs = [m.name for m in found.values() if m.name.startswith("var/log/") and m.size]
    assert logs == []
    assert not any(member.isdev() for member in found.values())
    assert {line.split(":")[2] for line in texts["etc/shadow"].splitlines()} == {"3652"}  # 1980
    assert "URIs: http://deb.debian.org/debian\n" in texts["sources"]


def test_it_is_a_root_of_exactly_the_locked_packages(place, members):
    found, texts = members
    lock = (place.program.folder / "Buildfile.lock").read_text()
    locked = {line.strip(' ",') for line in lock.splitlines() if line.startswith("    ")}
    fields = [dict(_fields(p)) for p in texts["var/lib/dpkg/status"].strip().split("\n\n")]
    assert {f"{f['Package']}:{f['Architecture']}={f['Version']}" for f in fields} == locked
    assert found["bin"].issym()
    assert found["bin"].linkname == "usr/bin"
    assert (found["tmp"].mode, found["root"].mode) == (0o1777, 0o700)
    assert not any(name.startswith(("perl:", "usrmerge:")) for name in locked)


def _fields(paragraph):
    return [
        line.split(": ", 1)
        for line in paragraph.splitlines()
        if line.startswith(("Package: ", "Architecture: ", "Version: "))
    ]


def test_commands_run_in_it(place):
    built = place.program.build("seen")
    assert built.ran == {"seen"}
    assert any(line.startswith("apt 2.") for line in built.output("seen"))


def test_others_accept_it(place):
    layout = place.program.folder.parent / "layout"
    place.program.run("build", "base", "-o", f"type=oci,dest={layout}")
    assert validate_path(layout) == ()


def test_modes_and_times_are_what_the_step_asks_for(place, members):
    folder = place.program.folder.parent / "asked"
    folder.mkdir()
    text = BUILDFILE.replace(
        "[step.seen]", 'normalize = { mode = "git", time = "keep" }\n[step.seen]'
    )
    (folder / "Buildfile.toml").write_text(text)
    shutil.copy(place.program.folder / "Buildfile.lock", folder)
    asked = Program(folder, place.program.home)
    asked.run("build", "base", "--frozen", "-o", f"type=tar,dest={folder / 'root.tar'}")
    with tarfile.open(folder / "root.tar") as archive:
        found = {member.name.strip("./"): member for member in archive}
    assert sorted(found.keys() ^ members[0].keys()) == [""]  # the root itself has a time, too
    usual, su = members[0]["usr/bin/su"], found["usr/bin/su"]
    assert (oct(usual.mode), oct(su.mode)) == ("0o4755", "0o755")
    assert oct(found["tmp"].mode) == "0o755"
    assert oct(found["etc/shadow"].mode) == "0o644"
    assert usual.mtime == EPOCH
    assert su.mtime > EPOCH
    asked.sound()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_an_interrupted_root_leaves_nothing(place, number, code):
    program = place.other(f"home-{number.name}")
    process = program.start("build", "--frozen", "--progress", "json")
    for line in process.stderr:
        if "installing essential packages" in json.loads(line).get("line", ""):
            break
    assert end(process, number)[0] == code
    program.sound()
    assert list((program.home / "snapshots").iterdir()) == []

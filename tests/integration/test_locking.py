"""What packages steps install is resolved once, kept, moved on purpose: against an archive on disk."""

import errno
import os
import shutil
import threading

import pytest
from support import aptrepo, capability
from support.program import Program
from support.workspace import Workspace

from buildgraph.build.survey import lock, plan
from buildgraph.errors import DifferenceError, MachineError, StepFailedError, UsageError
from buildgraph.execute.apt import resolve
from buildgraph.execute.archive import Archive
from buildgraph.names import Platform
from buildgraph.spec.lock import Lock, parse

BUILDFILE = """buildfile = 1
[step.os]
packages = {{ packages = [{names}], suite = "bookworm", mirror = "{mirror}" }}
[step.other]
packages = {{ packages = [], suite = "bookworm", mirror = "{mirror}" }}
[step.note]
write = {{ "/note" = "text" }}
[image.i]
on = ["os", "note"]
"""
ARCH = aptrepo.architecture()
BASE = [f"apt:{ARCH}=2.6", f"base:{ARCH}=12.4", f"dash:{ARCH}=0.5", f"libc:{ARCH}=2.36-9"]
BASE += [f"mawk:{ARCH}=1.3", "tzdata:all=2024a"]


@pytest.fixture
def archive(tmp_path):
    capability.require("apt-get")
    return aptrepo.tiny(tmp_path / "archive")


@pytest.fixture
def ws(tmp_path, archive):
    made = Workspace.make(tmp_path)
    wish(made, archive, "curl")
    return made


def wish(ws, archive, *names):
    quoted = ", ".join(f'"{name}"' for name in names)
    ws.write("Buildfile.toml", BUILDFILE.format(names=quoted, mirror=archive.mirror))


def pins(ws, step="os") -> list[str]:
    content = (ws.folder / "Buildfile.lock").read_bytes()
    arch = Platform.of_machine(os.uname().machine).arch
    return list(parse("Buildfile.lock", content).packages(step, arch))


def locked(ws, *names, update=False, **more):
    return lock(ws.request(**more), list(names) or None, update=update)


def test_everything_is_pinned_once(ws):
    told = locked(ws)
    assert told == ["os: pinned 8 packages of bookworm", "other: pinned 6 packages of bookworm"]
    assert pins(ws, "other") == sorted(BASE)
    assert pins(ws) == sorted([*BASE, f"curl:{ARCH}=7.88", f"libcurl:{ARCH}=7.88"])
    before = (ws.folder / "Buildfile.lock").read_bytes()
    assert locked(ws) == []
    assert (ws.folder / "Buildfile.lock").read_bytes() == before


def test_new_versions_wait_until_they_are_asked_for(ws, archive):
    locked(ws)
    archive.put("dash", "0.6", **aptrepo.ESSENTIAL).publish()
    assert locked(ws) == []
    assert locked(ws, "i", update=True) == ["os: dash 0.5 → 0.6"]
    assert f"dash:{ARCH}=0.5" in pins(ws, "other")
    assert locked(ws, update=True) == ["other: dash 0.5 → 0.6"]


def test_another_wish_leaves_the_rest_where_it_is(ws, archive):
    locked(ws)
    archive.put("dash", "0.6", **aptrepo.ESSENTIAL).put("libcurl", "7.90").publish()
    wish(ws, archive, "curl", "git")
    assert locked(ws) == ["os: + git 1:2.39"]
    assert f"dash:{ARCH}=0.5" in pins(ws)
    wish(ws, archive, "git")
    assert locked(ws) == ["os: - curl 7.88", "os: - libcurl 7.88"]


def test_what_cannot_stay_moves(ws, archive):
    locked(ws)
    archive.put("libcurl", "7.90").put("curl", "7.90", Depends="libcurl (= 7.90)")
    archive.drop("curl", "7.88").publish()
    wish(ws, archive, "curl", "less")
    assert locked(ws) == ["os: curl 7.88 → 7.90", "os: + less 590", "os: libcurl 7.88 → 7.90"]


def test_an_alternative_is_chosen_for_what_is_there_already(ws, archive):
    """An essential package provides what is needed, though the first alternative would be another."""
    archive.put("tool", "1", Depends="gawk | mawk").publish()
    wish(ws, archive, "tool")
    locked(ws)
    assert pins(ws) == sorted([*BASE, f"tool:{ARCH}=1"])


def test_perl_does_not_come_for_a_merged_usr(ws, archive):
    archive.put("init", "1", Pre_Depends="usrmerge | usr-is-merged", **aptrepo.ESSENTIAL)
    archive.put("usrmerge", "37", Provides="usr-is-merged", Depends="perl").put("perl", "5.36")
    archive.put("usr-is-merged", "37", "all").publish()
    locked(ws)
    assert "usr-is-merged:all=37" in pins(ws)
    assert not [pin for pin in pins(ws) if pin.startswith(("usrmerge", "perl"))]
    wish(ws, archive, "usrmerge")
    locked(ws)
    assert f"usrmerge:{ARCH}=37" in pins(ws)


def test_steps_that_are_gone_lose_their_pins_when_all_are_moved(ws, archive):
    locked(ws)
    text = (ws.folder / "Buildfile.toml").read_text()
    ws.write("Buildfile.toml", text.replace("step.other", "step.new"))
    assert locked(ws) == ["new: pinned 6 packages of bookworm"]
    assert pins(ws, "other")
    assert locked(ws, update=True) == ["other: is gone"]
    assert not pins(ws, "other")


@pytest.mark.parametrize(
    ("wanted", "code", "hint"),
    [
        ("crul", "unknown-package", "did you mean curl?"),
        ("curl=9", "unknown-version", "it has 7.88"),
    ],
)
def test_a_wish_that_nothing_answers(ws, archive, wanted, code, hint):
    wish(ws, archive, wanted)
    with pytest.raises(UsageError) as caught:
        locked(ws)
    assert (caught.value.code, caught.value.hint) == (code, hint)
    assert caught.value.where is not None
    assert not (ws.folder / "Buildfile.lock").exists()


def test_wishes_that_cannot_be_together(ws, archive):
    archive.put("one", Conflicts="two").put("two").publish()
    wish(ws, archive, "one", "two")
    with pytest.raises(StepFailedError) as caught:
        locked(ws)
    assert caught.value.code == "packages-conflict"
    assert any("one : Conflicts: two" in line for line in caught.value.detail)


def test_an_archive_that_is_not_there(ws, archive):
    shutil.rmtree(archive.folder)
    with pytest.raises(StepFailedError) as caught:
        locked(ws)
    assert caught.value.code == "archive-unreachable"
    assert any(str(archive.folder) in line for line in caught.value.detail)


def test_an_archive_without_essential_packages(ws, tmp_path):
    bare = aptrepo.Archive(tmp_path / "bare").put("curl").publish()
    wish(ws, bare, "curl")
    with pytest.raises(StepFailedError) as caught:
        locked(ws)
    assert caught.value.code == "archive-empty"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('suite = "bookworm"', 'suite = "woody"', "no-sources"),
        ('suite = "bookworm"', 'suite = "bookworm", keyring = "k.gpg"', "keyring-missing"),
    ],
)
def test_an_archive_that_is_described_wrongly(ws, old, new, code):
    text = (ws.folder / "Buildfile.toml").read_text()
    ws.write("Buildfile.toml", text.replace(old, new))
    with pytest.raises(UsageError) as caught:
        locked(ws)
    assert caught.value.code == code
    assert str(caught.value.where).endswith("Buildfile.toml:2")


@pytest.mark.parametrize(("there", "code"), [(("apt-get",), "no-mmdebstrap"), ((), "no-apt")])
def test_a_machine_that_lacks_the_programs(ws, tmp_path, monkeypatch, there, code):
    locked(ws)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in there:
        (folder / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(MachineError) as caught:
        ws.build("i", frozen=True)
    assert (caught.value.code, caught.value.exit_code) == (code, 3)


def test_a_folder_that_cannot_be_written(ws, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("buildgraph.build.locking.write", refuse)
    with pytest.raises(MachineError) as caught:
        locked(ws)
    assert caught.value.code == "lock-not-written"


def test_two_at_once_pin_the_same(ws):
    programs = [Program.of(ws), Program(ws.folder, ws.home.with_name("home2"))]
    running = [program.start("lock") for program in programs for _ in range(2)]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert len(pins(ws)) == 8
    assert not list(ws.folder.glob(".Buildfile.lock*"))
    programs[0].sound()


def test_names_that_need_no_packages(ws):
    with pytest.raises(UsageError) as caught:
        locked(ws, "note", update=True)
    assert caught.value.code == "nothing-to-lock"


def test_questions_write_no_lock(ws):
    assert plan(ws.request())["steps"][0]["decision"] == "execute"
    with pytest.raises(DifferenceError) as caught:
        ws.build("i", frozen=True)
    assert (caught.value.code, caught.value.exit_code) == ("not-locked", 5)
    with pytest.raises(DifferenceError, match="os would run"):
        ws.build("i", require_cached=True)
    assert ws.build("note").ok
    assert not (ws.folder / "Buildfile.lock").exists()


def test_a_version_that_is_gone_is_named(ws, archive):
    capability.require("mmdebstrap")
    locked(ws)
    archive.put("curl", "7.90").drop("curl", "7.88").publish()
    with pytest.raises(StepFailedError) as caught:
        ws.build("i", frozen=True)
    error = caught.value
    assert error.code == "version-gone"
    assert error.message == "the archive of bookworm no longer has curl 7.88"
    assert error.hint == "buildgraph lock --update os"
    assert str(error.where).endswith("Buildfile.toml:2")


def test_locks_of_other_architectures_stay(ws):
    locked(ws)
    file = ws.folder / "Buildfile.lock"
    other = Lock.load(file.read_bytes(), file)
    pin = next(iter(other.pins.values()))
    file.write_bytes(other.pin("os", "riscv64", pin).to_bytes())
    locked(ws, update=True)
    assert Lock.load(file.read_bytes(), file).find("os", "riscv64") == pin


def test_nothing_is_left_of_resolving(tmp_path, archive):
    source = aptrepo_source(archive)
    folder = tmp_path / "work"
    said: list[str] = []
    found = resolve(
        source,
        ("git",),
        folder,
        prefer=(),
        env=dict(os.environ),
        say=said.append,
        cancelled=threading.Event(),
    )
    assert found == tuple(sorted([*BASE, f"git:{ARCH}=1:2.39"]))
    assert said
    assert not folder.exists()


def aptrepo_source(archive) -> Archive:
    entry = f"Types: deb\nURIs: copy:{archive.folder}\nSuites: bookworm\nComponents: main\nTrusted: yes\n"
    return Archive("bookworm", ARCH, entry, 'APT::Install-Recommends "false";\n')

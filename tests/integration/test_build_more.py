"""Builds whose results come from different places: records without files, other codecs, damaged stores."""

import os
import shutil
import tarfile
from dataclasses import replace

import pytest
from support.packed import PackedImage
from support.workspace import Workspace, base_items, digests

from buildgraph.build.request import OutputSpec
from buildgraph.build.store import cache_verify
from buildgraph.build.survey import plan
from buildgraph.errors import UsageError
from buildgraph.events import StepFinished, StepStarted, Warned
from buildgraph.image.layout import write_layout
from buildgraph.names import Platform
from buildgraph.oci.config import Config, History
from buildgraph.store.local import LocalStore

COPIED = """
[step.made]
on = ["box"]
run = "mkdir -p /out/d; echo hello > /out/d/a; ln /out/d/a /out/d/b"

[step.files]
copy = [{ from = "step:made", path = "/out", to = "/srv/x/" }]

[image.app]
on = ["box", "files"]
"""


@pytest.fixture
def space(tmp_path):
    return Workspace.make(tmp_path).base()


def test_a_known_copy_from_a_step_can_be_packed_anew(space):
    space.buildfile(COPIED)
    space.build()
    space.buildfile(COPIED + 'compression = "zstd"\n')
    space.build()
    assert space.ran() == set()


def test_a_known_copy_from_a_step_can_be_laid_over_another_stack(space, tmp_path):
    space.buildfile(COPIED)
    space.build()
    space.buildfile(
        COPIED
        + """
[step.link]
links = { "/srv" = "opt" }
[image.other]
on = ["box", "link", "files"]
"""
    )
    space.build("other", outputs=(OutputSpec("local", str(tmp_path / "out")),))
    assert (tmp_path / "out/opt/x/d/a").read_text() == "hello\n"


def test_trees_that_are_gone_are_made_again(space):
    space.buildfile(COPIED)
    first = digests(space.build())
    for blob in (space.home / "blobs/blake3").iterdir():
        blob.unlink()
    assert digests(space.build()) == first


def test_pools_hold_one_step_at_a_time(space):
    space.buildfile(
        """
[step.a]
on = ["box"]
pool = "one"
run = "date +%s.%N > /a; sleep 0.3; echo a"
[step.b]
on = ["box"]
pool = "one"
run = "date +%s.%N > /b; sleep 0.3; echo b"
[group.all]
targets = ["a", "b"]
"""
    )
    space.build("all", jobs=4)
    told = [e for e in space.events if isinstance(e, StepStarted | StepFinished)]
    assert [type(e) for e in told] == [StepStarted, StepFinished] * 2


def test_a_step_that_runs_again_says_how_long_it_took(space):
    space.buildfile('[step.a]\non = ["box"]\nrun = "echo a > /a"\n')
    space.build("a")
    assert [e.expected for e in space.events if isinstance(e, StepStarted)] == [None]
    space.build("a", rebuild=("a",))
    assert [e.expected for e in space.events if isinstance(e, StepStarted)][-1] > 0


def test_one_name_is_not_given_to_several_images(space):
    space.buildfile('[image.one]\non = ["box"]\n[image.two]\non = ["box"]\nenv = { A = "1" }\n')
    with pytest.raises(UsageError) as raised:
        space.build(tags=("x:1",))
    assert raised.value.code == "tag-for-several"


def test_outputs_that_name_nothing_are_told(space):
    space.buildfile("""
[step.made]
on = ["box"]
run = "echo x > /made"
outputs = ["/mode"]
[image.one]
on = ["box", "made"]
""")
    space.build()
    (told,) = [e for e in space.events if isinstance(e, Warned)]
    assert told.code == "outputs-empty"
    assert "made left nothing" in told.message
    assert "/mode" in told.message


def test_a_name_that_another_build_moved_is_no_remembered_answer(space):
    from buildgraph.fs import facts

    space.buildfile(
        '[vars]\nv = "1"\n[image.one]\non = ["box"]\nenv = { V = "${v}" }\ntags = ["one:1"]\n'
    )
    summary = space.build(sets={"v": "1"})
    summary = space.build(sets={"v": "1"})
    file = space.home / "plans" / "x"
    facts.save(file, summary.facts, b"yes")
    assert facts.check(file) == b"yes"
    space.build(sets={"v": "2"})
    assert facts.check(file) is None


def test_what_a_named_output_wrote_is_no_source_of_the_next_build(space):
    space.write("f", "x")
    space.buildfile(
        '[step.all]\ncopy = [{ from = ".", to = "/app/" }]\n[image.one]\non = ["box", "all"]\n[image.two]\non = ["box", "all"]\n'
    )
    outputs = (OutputSpec("oci-archive", str(space.folder / "{name}.tar")),)
    space.build(outputs=outputs)
    space.build(outputs=outputs)
    assert space.ran() == set()


def test_a_step_without_outputs_has_an_empty_layer(space, tmp_path):
    space.buildfile('[step.test]\non = ["box"]\noutputs = []\nrun = "echo x > /opt/new"\n')
    space.build("test", outputs=(OutputSpec("local", str(tmp_path / "out")),))
    assert not (tmp_path / "out/opt/new").exists()


def test_an_owner_of_a_copy_is_not_one_of_the_folder_that_it_goes_to(space, tmp_path):
    space.buildfile(
        '[step.made]\non = ["box"]\nrun = "mkdir /out; echo > /out/f"\n'
        '[step.src]\ncopy = [{ from = "step:made", path = "/out", to = "/", owner = "7:8", mode = "0600" }]\n'
        '[step.new]\ncopy = [{ from = "step:made", path = "/out", to = "/new/", owner = "7:8" }]\n'
        '[image.one]\non = ["box", "src", "new"]\n'
    )
    out = tmp_path / "out.tar"
    space.build("one", outputs=(OutputSpec("tar", str(out)),))
    with tarfile.open(out) as archive:
        found = {member.name.strip("/."): member for member in archive}
    assert (found["f"].uid, found["f"].mode) == (7, 0o600)
    assert (found["new"].uid, found["new/f"].uid) == (7, 7)
    assert "" not in found or (found[""].uid, found[""].mode) == (0, 0o755)


def test_a_link_to_a_rootfs_is_watched(space):
    from buildgraph.fs import facts

    space.buildfile('[image.one]\non = ["box"]\n')
    space.build("one", outputs=(OutputSpec("tar", str(space.folder / "r1.tar")),))
    os.symlink("r1.tar", space.folder / "r.tar")
    (space.folder / "r2.tar").write_bytes((space.folder / "r1.tar").read_bytes() + bytes(512))
    space.buildfile('[base.r]\nrootfs = "r.tar"\n[image.one]\non = ["r"]\n')
    space.build()
    summary = space.build()
    file = space.home / "plans" / "x"
    facts.save(file, summary.facts, b"yes")
    assert facts.check(file) == b"yes"
    os.unlink(space.folder / "r.tar")
    os.symlink("r2.tar", space.folder / "r.tar")
    assert facts.check(file) is None


def test_a_long_chain_written_from_its_end(space):
    steps = [
        f'[step.s{i}]\non = ["{f"s{i - 1}" if i else "box"}"]\nrun = "true"\n' for i in range(450)
    ]
    space.buildfile("".join(reversed(steps)))
    assert len(plan(space.request("s449"))["steps"]) == 450


def test_an_image_without_tags_is_called_as_its_table(space):
    space.buildfile('[image.Web]\non = ["box"]\n')
    space.build()
    with LocalStore.open(space.home) as store:
        assert store.images.resolve("web:latest") is not None


def test_a_bases_empty_layers_stay(space, tmp_path):
    config = replace(
        Config.empty(Platform.of_machine(os.uname().machine)),
        env=(("PATH", "/usr/bin:/bin"),),
        history=(History(created_by="one"), History(created_by="two")),
    )
    (tmp_path / "b2").mkdir()
    image = PackedImage(tmp_path / "b2" / "x", [base_items(), []], config)
    write_layout(space.folder / "box2", image.source, ["box:latest"])
    space.write("f", "x")
    space.write(
        "Buildfile.toml",
        'buildfile = 1\n[base.b]\nlayout = "box2"\n[step.c]\ncopy=[{from="f", to="/f"}]\n[image.one]\non = ["b", "c"]\n',
    )
    s = space.build()
    assert len(s.metadata["targets"]["one"]["layers"]) == 3


def test_the_other_name_of_a_replaced_file_stays_what_it_was(space, tmp_path):
    space.write("a", "new\n")
    space.buildfile("""
[step.made]
on = ["box"]
run = "mkdir -p /out; echo old > /out/a; ln /out/a /out/b"
[step.files]
copy = [{ from = "step:made", path = "/out", to = "/srv/" }, { from = "a", to = "/srv/a" }]
[image.app]
on = ["box", "files"]
""")
    space.build("app", outputs=(OutputSpec("local", str(tmp_path / "out")),))
    assert (tmp_path / "out/srv/b").read_text() == "old\n"
    assert (tmp_path / "out/srv/a").read_text() == "new\n"


def test_kept_times_are_in_the_key_beside_files_of_a_step(space, tmp_path):
    space.write("a", "new\n")
    os.utime(space.folder / "a", (1000, 1000))
    space.buildfile("""
[step.made]
on = ["box"]
run = "mkdir -p /out; echo old > /out/a; ln /out/a /out/b"
[step.files]
copy = [{ from = "step:made", path = "/out", to = "/srv/" }, { from = "a", to = "/srv/c" }]
normalize = { time = "keep" }
""")
    space.build("files")
    os.utime(space.folder / "a", (2000, 2000))
    space.build("files")
    assert space.ran() == {"files"}


def test_outputs_leave_a_folder_made_anew_as_it_was(space, tmp_path):
    space.buildfile("""
[step.made]
on = ["box"]
outputs = ["/opt/d/three"]
run = "rm -r /opt/d; mkdir -m 700 /opt/d; echo 3 > /opt/d/three; echo 4 > /opt/d/four"
[image.app]
on = ["made"]
""")
    space.build("app", outputs=(OutputSpec("local", str(tmp_path / "out")),))
    assert sorted(os.listdir(tmp_path / "out/opt/d")) == ["one", "three", "two"]


def test_what_a_sibling_made_of_a_folder_stays(space, tmp_path):
    space.buildfile("""
[step.a]
on = ["box"]
run = "chmod 700 /opt/d"
[step.b]
on = ["box"]
run = "echo 3 > /opt/d/three"
[image.app]
on = ["a", "b"]
""")
    space.build("app", outputs=(OutputSpec("local", str(tmp_path / "out")),))
    assert (tmp_path / "out/opt/d").stat().st_mode & 0o777 == 0o700


def test_whatever_is_gone_is_made_again(space):
    space.buildfile(
        COPIED
        + """
[step.empty]
on = ["box"]
run = "mkdir /empty; echo -n > /empty/file"

[image.more]
on = ["files-seen"]

[step.files-seen]
on = ["empty", "files"]
mounts = [{ bind = "step:made", path = "/out", target = "/in" }]
run = "cat /in/d/a /srv/x/d/b > /seen"
"""
    )
    first = digests(space.build())
    for lost in (["snapshots"], ["blobs/blake3"], ["blobs/sha256"], ["snapshots", "blobs/sha256"]):
        for path in (path for kind in lost for path in (space.home / kind).iterdir()):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        assert digests(space.build()) == first
        assert cache_verify(space.home).damaged == ()


def test_a_copy_whose_patterns_match_nothing_is_told(space):
    space.write("src/a", "a\n")
    space.buildfile("""
[step.copied]
copy = [
  { from = "src", to = "/x/" },
  { from = "src", include = ["b*", "**/*.cc"], to = "/y/" },
]
[image.one]
on = ["box", "copied"]
""")
    space.build()
    (told,) = [e for e in space.events if isinstance(e, Warned)]
    assert told.code == "copy-empty"
    assert "nothing in src matches b*, **/*.cc" in told.message
    space.build()
    assert [e for e in space.events if isinstance(e, Warned)] == []


def test_a_run_with_the_modes_that_git_knows(space, tmp_path):
    space.buildfile("""
[step.made]
on = ["box"]
normalize = { mode = "git" }
run = "chmod 600 /opt/d/one; mkdir -m 700 /n; echo > /n/f; chmod 4711 /n/f; echo > /n/g; chmod 600 /n/g; touch /tmp/t"
[step.seen]
on = ["made"]
run = "stat -c '%n %a' /n /n/f /n/g /tmp /opt/d/one > /seen"
outputs = ["/seen"]
""")
    space.build("made", "seen", outputs=(OutputSpec("tar", str(tmp_path / "{name}.tar")),))
    with tarfile.open(tmp_path / "made.tar") as made:
        modes = {member.name: member.mode for member in made if member.name != "."}
    assert modes == {"n": 0o755, "n/f": 0o755, "n/g": 0o644, "tmp": 0o1777, "tmp/t": 0o644}
    with tarfile.open(tmp_path / "seen.tar") as seen:
        told = seen.extractfile("seen")
        assert told is not None
        lines = told.read().decode().split("\n")
    assert lines[:4] == ["/n 755", "/n/f 755", "/n/g 644", "/tmp 1777"]
    assert lines[4] == "/opt/d/one 644"


def test_a_new_directory_to_copy_to_belongs_to_the_owner_of_the_copy(space, tmp_path):
    space.write("d/f", "f\n")
    (space.folder / "nothing").mkdir()
    space.buildfile("""
[step.files]
copy = [
  { from = "d", to = "/new/d", owner = "9:8", mode = "0600" },
  { from = "d", to = "/tmp", owner = "9:8", mode = "0600" },
  { from = "nothing", to = "/empty/" },
]
[image.app]
on = ["box", "files"]
""")
    space.build("app", outputs=(OutputSpec("tar", str(tmp_path / "app.tar")),))
    with tarfile.open(tmp_path / "app.tar") as app:
        found = {m.name: (m.mode, m.uid, m.gid) for m in app}
    assert found["new"] == (0o755, 0, 0)
    assert found["new/d"] == (0o755, 9, 8)
    assert found["new/d/f"] == found["tmp/f"] == (0o600, 9, 8)
    assert found["tmp"] == (0o1777, 0, 0)
    assert found["empty"] == (0o755, 0, 0)

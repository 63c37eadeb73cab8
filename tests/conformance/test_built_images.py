"""What ``build`` writes, judged by others: the schemas, umoci, skopeo and podman see the files that our tests expect."""

import json
import os
from pathlib import Path

import pytest
from support import foreign
from support.capability import require, require_root
from support.imagespec import mistakes
from support.workspace import Workspace, digests

from buildgraph.build.looking import validate
from buildgraph.build.request import OutputSpec

BUILDFILE = """
[step.src]
copy = [{ from = "src", to = "/app/" }, { from = "src/x", to = "/bin/x" }, { from = "src/x", to = "/tmp/x" }, { from = "src/x", to = "/root/x" }]
[step.conf]
write = { "/etc/conf" = "conf\\n", "/usr/bin/hello" = { text = "#!/bin/sh\\ncat /etc/conf /app/a /replaced/new; echo $WORD\\n", mode = "0755" } }
dirs = { "/data" = { owner = "1000:1000", mode = "0750" } }
links = { "/app/link" = "../etc/conf" }
[step.delete]
on = ["box"]
run = "rm -r /opt/d"
[step.replace]
on = ["box"]
run = "rm -r /opt/d; mkdir /opt/d; echo new > /opt/d/two; mkdir /replaced; echo new > /replaced/new"
[step.bring]
on = ["box"]
run = "echo mine > /opt/d/mine; rm /opt/old; ln /bin/busybox /opt/hard; chmod 4755 /opt/hard"
[step.mine]
on = ["box", "bring"]
user = "1000:1000"
workdir = "/home/user"
run = "echo x > x; ln -s x y"
[image.all]
on = ["box", "bring", "delete", "replace", "mine", "src", "conf"]
entrypoint = ["/bin/sh", "-c"]
cmd = ["hello"]
env = { WORD = "two words", PATH = "/usr/bin:${env.PATH}" }
labels = { "a.b" = "ü" }
expose = [80]
workdir = "/app"
tags = ["shop/all:1"]
[image.zstd]
on = ["all"]
compression = "zstd"
tags = ["shop/zstd:1"]
[image.plain]
on = ["all"]
compression = "none"
squash = true
tags = ["shop/plain:1"]
[image.files]
on = ["none", "src", "conf"]
tags = ["shop/files:1"]
[base.none]
scratch = true
"""
IMAGES = ("all", "zstd", "plain", "files")
SAID = "conf\na\nnew\ntwo words\n"
MODES = """\
777 0:0 symbolic link /bin
755 0:0 directory /app
1777 0:0 directory /tmp
700 0:0 directory /root
644 0:0 regular file /usr/bin/x
644 0:0 regular file /tmp/x
750 1000:1000 directory /data
755 1000:1000 directory /home/user
4755 0:0 regular file /opt/hard
"""


@pytest.fixture(scope="module")
def run():
    require_root()
    require("umoci", "skopeo", "podman", "runc")
    return foreign.said


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Every image in every form: ``NAME.oci`` (a layout), ``NAME.oci.tar``, ``NAME.docker.tar``, ``NAME.tar``, ``NAME.dir``."""
    folder = tmp_path_factory.mktemp("built")
    workspace = Workspace.make(folder).base()
    workspace.write("src/a", "a\n")
    workspace.write("src/x", "x\n")
    workspace.write("src/tool", "#!/bin/sh\n", 0o755)
    workspace.buildfile(BUILDFILE)
    forms = {
        "oci": "oci",
        "oci-archive": "oci.tar",
        "docker": "docker.tar",
        "tar": "tar",
        "local": "dir",
    }
    outputs = tuple(
        OutputSpec(kind, str(folder / f"{{name}}.{suffix}")) for kind, suffix in forms.items()
    )
    summary = workspace.build(*IMAGES, outputs=outputs)
    made = digests(summary)
    assert set(made) == set(IMAGES)
    return folder, made


@pytest.fixture(scope="module")
def podman(run):
    with foreign.podman() as podman:
        yield podman


def seen(folder: Path) -> dict[str, tuple]:
    """All that matters of each file below ``folder``."""
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        what = os.readlink(path) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            what = str(hash(path.read_bytes()))
        times = 0 if path.is_dir() else int(stat.st_mtime)
        found[str(path.relative_to(folder))] = (stat.st_mode, stat.st_uid, stat.st_gid, times, what)
    return found


@pytest.mark.parametrize("name", IMAGES)
def test_the_schemas_and_validate_find_nothing(built, name):
    folder, made = built
    assert mistakes(folder / f"{name}.oci") == []
    index = json.loads((folder / f"{name}.oci/index.json").read_text())
    assert [d["digest"] for d in index["manifests"]] == [made[name]]
    for form in ("oci", "oci.tar", "docker.tar"):
        assert validate(folder / "home", str(folder / f"{name}.{form}")) == []
    assert validate(folder / "home", f"shop/{name}:1") == []


def test_the_whole_store_is_a_layout_that_others_read(built, run, tmp_path):
    folder, made = built
    assert mistakes(folder / "home") == []
    listed = json.loads((folder / "home/index.json").read_text())["manifests"]
    assert {d["digest"] for d in listed} >= set(made.values())


@pytest.mark.parametrize("name", ["all", "plain", "files"])
def test_umoci_unpacks_what_we_export(built, run, tmp_path, name):
    folder, _ = built
    run("umoci", "unpack", "--image", f"{folder}/{name}.oci:1", tmp_path / "bundle")
    assert seen(tmp_path / "bundle/rootfs") == seen(folder / f"{name}.dir")
    (tmp_path / "tar").mkdir()
    run("tar", "-xpf", folder / f"{name}.tar", "-C", tmp_path / "tar", "--numeric-owner")
    assert seen(tmp_path / "tar") == seen(folder / f"{name}.dir")


def test_a_squashed_image_and_others_hold_the_same_files(built):
    folder, _ = built
    assert seen(folder / "plain.dir") == seen(folder / "all.dir") == seen(folder / "zstd.dir")


def test_copies_keep_the_parents_that_they_meet(built, run, tmp_path):
    folder, _ = built
    run("umoci", "unpack", "--image", f"{folder}/all.oci:1", tmp_path / "bundle")
    root = tmp_path / "bundle/rootfs"
    assert os.readlink(root / "bin") == "usr/bin"
    assert (root / "usr/bin/x").read_text() == "x\n"
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "root").stat().st_mode & 0o7777 == 0o700
    assert {p.name for p in (root / "opt/d").iterdir()} == {"two", "mine"}
    assert (root / "opt/d/two").read_text() == "new\n"
    assert not (root / "opt/old").exists()


@pytest.mark.parametrize("name", IMAGES)
def test_skopeo_copies_every_form_without_changing_it(built, run, tmp_path, name):
    folder, made = built
    places = (f"oci:{folder}/{name}.oci:1", f"oci-archive:{folder}/{name}.oci.tar")
    for number, place in enumerate(places):
        run("skopeo", "copy", "--preserve-digests", place, f"oci:{tmp_path}/copy{number}:1")
        index = json.loads((tmp_path / f"copy{number}/index.json").read_text())
        assert [d["digest"] for d in index["manifests"]] == [made[name]]
        found = mistakes(tmp_path / f"copy{number}")
        assert [
            m for m in found if not m.startswith("index.json")
        ] == []  # that one is skopeo's own
    shown = json.loads(
        run("skopeo", "inspect", "--config", f"docker-archive:{folder}/{name}.docker.tar")
    )
    assert shown["rootfs"]["type"] == "layers"


@pytest.mark.parametrize("name", ["all", "zstd", "plain"])
def test_podman_loads_and_runs_what_we_build(built, podman, name):
    folder, _ = built
    limits = ("--ulimit", "nofile=512:512", "--ulimit", "nproc=512:512")
    options = ("--rm", "--network", "none", *limits)
    for form in ("oci.tar", "docker.tar"):
        assert f"shop/{name}:1" in podman("load", "-q", "-i", folder / f"{name}.{form}")
        assert podman("run", *options, f"shop/{name}:1") == SAID
        paths = [line.split()[-1] for line in MODES.splitlines()]
        script = "".join(f"stat -c '%a %u:%g %F %n' {path};" for path in paths)
        assert podman("run", *options, f"shop/{name}:1", script) == MODES
        assert podman("run", *options, f"shop/{name}:1", "ls /opt/d; pwd") == "mine\ntwo\n/app\n"
    inspected = json.loads(podman("inspect", f"shop/{name}:1"))[0]
    assert inspected["Config"]["Labels"]["a.b"] == "ü"

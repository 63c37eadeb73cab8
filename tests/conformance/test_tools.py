"""Do umoci, skopeo and podman accept our images and see in them what we see; and do we accept theirs?"""

import json
import os
import stat
from pathlib import Path

import pytest
from support import foreign
from support.capability import require, require_root
from support.imagespec import mistakes
from support.packed import AMD, BUSYBOX, PackedImage, directory, file, gone, hard, link, root

from buildgraph.image.archive import ImageArchive, write_archive
from buildgraph.image.layout import Layout, write_layout
from buildgraph.image.rootfs import write_local, write_tar
from buildgraph.image.validate import validate
from buildgraph.oci.config import Config, Healthcheck

CONFIG = Config(
    "amd64",
    "linux",
    env=(("PATH", "/usr/bin"), ("WORD", "two words")),
    workdir="/srv",
    entrypoint=("/bin/sh", "-c"),
    cmd=('cat /srv/hello && echo "$WORD"',),
    labels={"l": "ü"},
    exposed=("80/tcp",),
    volumes=("/data",),
    stop_signal="SIGINT",
    healthcheck=Healthcheck(("CMD", "true"), 5_000_000_000),
)

LAYERS = [
    root(),
    [
        directory("opt"),
        directory("opt/app"),
        file("opt/app/old", "old"),
        file("opt/app/kept", "kept", 0o600, 7, 8),
        hard("opt/app/kept2", "opt/app/kept"),
        directory("opt/gone"),
        file("opt/gone/x", "x"),
        file("opt/was-file", "x"),
        directory("srv"),
    ],
    [
        directory("opt"),
        directory("opt/app", 0o750),
        gone("opt/app/old"),
        file("opt/app/ünï \n name", "odd"),
        gone("opt/gone"),
        directory("opt/was-file"),
        file("opt/was-file/now", "folder"),
        directory("srv"),
        file("srv/hello", "hello\n"),
        link("srv/link", "/opt/app/kept"),
        file("srv/su", "#!/bin/sh\n", 0o4755),
        file("srv/" + "long" * 30, "long"),
    ],
]


@pytest.fixture
def run():
    require_root()
    require("umoci", "skopeo", "podman", "runc")
    if not BUSYBOX.exists():
        pytest.fail("busybox-static is missing")
    return foreign.said


@pytest.fixture(params=["gzip", "zstd", "none"])
def made(request, run, tmp_path):
    return PackedImage(tmp_path / "made", LAYERS, CONFIG, request.param)


@pytest.fixture
def gzipped(run, tmp_path):
    return PackedImage(tmp_path / "made", LAYERS, CONFIG)


@pytest.fixture
def podman(run):
    with foreign.podman() as podman:
        yield podman


def listing(folder: Path) -> dict[str, tuple]:
    """All that a container can see of each file; times too."""
    out = {}
    for path in folder.rglob("*"):
        found = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
        target = os.readlink(path) if path.is_symlink() else ""
        links = 0 if stat.S_ISDIR(found.st_mode) else found.st_nlink
        name = str(path.relative_to(folder))
        out[name] = (
            found.st_mode,
            found.st_uid,
            found.st_gid,
            links,
            int(found.st_mtime),
            content,
            target,
        )
    return out


def test_validate_and_schemas_agree(made, tmp_path):
    write_layout(tmp_path / "out", made.source, ["a/b:1"])
    assert mistakes(tmp_path / "out") == []
    layout = Layout(tmp_path / "out")
    assert validate(layout.open_blob, layout.index().manifests, "x") == ()


def test_umoci_unpacks_what_we_see(gzipped, run, tmp_path):
    write_layout(tmp_path / "out", gzipped.source, ["a/b:1"])
    run("umoci", "unpack", "--image", f"{tmp_path}/out:1", tmp_path / "bundle")
    write_local(tmp_path / "local", gzipped.stack)
    assert listing(tmp_path / "bundle/rootfs") == listing(tmp_path / "local")
    (tmp_path / "tar").mkdir()
    write_tar(tmp_path / "x.tar", gzipped.stack)
    run("tar", "-xpf", tmp_path / "x.tar", "-C", tmp_path / "tar", "--numeric-owner")
    assert listing(tmp_path / "tar") == listing(tmp_path / "local")
    assert (tmp_path / "local/bin").is_symlink()
    assert not (tmp_path / "local/opt/gone").exists()


def test_umoci_reads_the_config(gzipped, run, tmp_path):
    write_layout(tmp_path / "out", gzipped.source, ["a/b:1"])
    run("umoci", "unpack", "--image", f"{tmp_path}/out:1", tmp_path / "bundle")
    process = json.loads((tmp_path / "bundle/config.json").read_text())["process"]
    assert process["cwd"] == "/srv"
    assert "WORD=two words" in process["env"]
    assert process["args"] == [*CONFIG.entrypoint, *CONFIG.cmd]


def test_skopeo_copies_every_form_without_changing_it(made, run, tmp_path):
    write_layout(tmp_path / "out", made.source, ["a/b:1"])
    write_archive(tmp_path / "oci.tar", [(made.source, ["a/b:1"])], "oci")
    write_archive(tmp_path / "docker.tar", [(made.source, ["a/b:1"])], "docker")
    for number, place in enumerate((f"oci:{tmp_path}/out:1", f"oci-archive:{tmp_path}/oci.tar")):
        run("skopeo", "copy", "--preserve-digests", place, f"oci:{tmp_path}/copy{number}:1")
        copied = Layout(tmp_path / f"copy{number}")
        assert copied.image("1", AMD).manifest_bytes == made.source.manifest_bytes
        assert validate(copied.open_blob, copied.index().manifests, "x") == ()
    shown = json.loads(run("skopeo", "inspect", f"docker-archive:{tmp_path}/docker.tar:a/b:1"))
    assert shown["Layers"] == list(made.source.config.diff_ids)
    assert shown["Labels"] == {"l": "ü"}


def test_podman_loads_and_runs_every_form(made, podman, run, tmp_path, monkeypatch):
    write_archive(tmp_path / "oci.tar", [(made.source, ["shop/a:1"])], "oci")
    write_archive(tmp_path / "docker.tar", [(made.source, ["shop/b:1", "shop/b:2"])], "docker")
    write_layout(tmp_path / "out", made.source, ["shop/c:1"])
    assert "localhost/shop/a:1" in podman("load", "-q", "-i", tmp_path / "oci.tar")
    loaded = podman("load", "-q", "-i", tmp_path / "docker.tar")
    assert "localhost/shop/b:1" in loaded
    assert "localhost/shop/b:2" in loaded
    monkeypatch.chdir(tmp_path)  # podman names the image by the path: it must be a lower-case one
    podman("pull", "-q", "oci:out:1")
    options = (
        "--rm",
        "--network",
        "none",
        "--ulimit",
        "nofile=512:512",
        "--ulimit",
        "nproc=512:512",
    )
    assert podman("run", *options, "shop/b:1") == "hello\ntwo words\n"
    seen = podman(
        "run",
        *options,
        "shop/a:1",
        "stat -c '%a %u:%g %F' /bin /root /tmp /opt/app /opt/app/kept; ls /opt",
    )
    assert seen.splitlines() == [
        "777 0:0 symbolic link",
        "700 0:0 directory",
        "1777 0:0 directory",
        "750 0:0 directory",
        "600 7:8 regular file",
        "app",
        "was-file",
    ]


def test_we_read_what_podman_and_skopeo_save(gzipped, podman, run, tmp_path):
    write_archive(tmp_path / "docker.tar", [(gzipped.source, ["shop/a:1"])], "docker")
    podman("load", "-q", "-i", tmp_path / "docker.tar")
    podman("save", "-q", "--format", "docker-archive", "-o", tmp_path / "d.tar", "shop/a:1")
    podman("save", "-q", "--format", "oci-archive", "-o", tmp_path / "o.tar", "shop/a:1")
    run("skopeo", "copy", f"oci-archive:{tmp_path}/o.tar", f"docker-archive:{tmp_path}/s.tar:x/y:1")
    for name in ("d.tar", "o.tar", "s.tar"):
        with ImageArchive(tmp_path / name) as archive:
            found = archive.image("", AMD)
            assert found.config.diff_ids == gzipped.source.config.diff_ids
            assert found.config.env == CONFIG.env
            assert found.config.cmd == CONFIG.cmd
            assert validate(found.open_blob, [found.descriptor], name) == ()
    with ImageArchive(tmp_path / "s.tar") as archive:
        assert archive.image("x/y:1", AMD).config.workdir == "/srv"

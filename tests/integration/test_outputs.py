"""Outputs on a full and on a read-only disk, and beside the kernel's own merge of the same snapshots.

Mounts are made in a process of its own, with private mounts: this file, run as a program.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.capability import require, require_root
from support.layers import listing
from support.packed import PackedImage, directory, file, gone, hard, link, root

from buildgraph.errors import BuildgraphError
from buildgraph.image.archive import write_archive
from buildgraph.image.layout import write_layout
from buildgraph.image.rootfs import write_local, write_tar

LAYERS = [
    root(),
    [
        directory("opt"),
        directory("opt/gone"),
        file("opt/gone/x", "x"),
        file("opt/kept", "kept", 0o600, 7, 8),
        hard("opt/kept2", "opt/kept"),
        file("opt/was-file", "x"),
    ],
    [
        directory("opt", 0o750),
        gone("opt/gone"),
        gone("opt/kept"),
        link("opt/link", "/root"),
        directory("opt/was-file"),
        file("opt/was-file/now", os.urandom(1_500_000).hex()),
    ],
]

WRITERS: dict[str, Callable[[PackedImage, Path], None]] = {
    "layout": lambda image, place: write_layout(place / "x", image.source, ["a:1"]),
    "archive": lambda image, place: write_archive(place / "x", [(image.source, ["a:1"])], "docker"),
    "tar": lambda image, place: write_tar(place / "x", image.stack),
    "local": lambda image, place: write_local(place / "x", image.stack),
}


def apart(folder: Path, *arguments: str) -> str:
    """What this file prints as a program that shares no mounts with anybody."""
    require_root()
    require("unshare", "mount")
    argv = ["unshare", "--mount", sys.executable, __file__, str(folder), *arguments]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def main(folder: Path, options: str, writer: str) -> None:
    image = PackedImage(folder / "made", LAYERS)
    place = folder / "mounted"
    place.mkdir()
    lowers = ":".join(str(snapshot) for _, snapshot in reversed(image.stack))
    mount = options.replace("LOWERS", lowers).split()
    subprocess.run(["mount", *mount, "none", str(place)], check=True)
    if writer == "compare":
        write_local(folder / "local", image.stack)
        print(listing(place) == listing(folder / "local"))
        return
    try:
        WRITERS[writer](image, place)
    except BuildgraphError as error:
        print(error.code, sorted(p.name for p in place.rglob("*") if len(p.name) < 60))


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_said_and_nothing_half_done_stays(tmp_path, name):
    left = ["blobs", "oci-layout", "sha256", "x"] if name == "layout" else []
    assert apart(tmp_path, "-t tmpfs -o size=1m", name) == f"no-space {left}"


@pytest.mark.parametrize("name", WRITERS)
def test_a_read_only_disk_is_said(tmp_path, name):
    assert apart(tmp_path, "-t tmpfs -o ro", name) == "output-refused []"


def test_the_kernel_sees_what_we_see(tmp_path):
    assert apart(tmp_path, "-t overlay -o lowerdir=LOWERS", "compare") == "True"


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

"""The root filesystems below the workloads, made once into the cache folder.

debian.tar   Debian minbase of 126 MB, without documentation, by mmdebstrap from the machine's apt sources
busybox.tar  busybox (statically linked) with a link for each of the commands that W4 uses
busybox/     the same as a folder, for the yardstick
"""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

EXCLUDED = ("doc", "man", "locale")


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "buildgraph-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def debian() -> Path:
    target = cache() / "debian.tar"
    if not target.exists():
        fresh = target.with_name("debian.fresh.tar")
        options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED]
        made_as = ["--variant=minbase", "--mode=root", "--format=tar", "--quiet", *options]
        subprocess.run(
            ["mmdebstrap", *made_as, "bookworm", str(fresh)],
            check=True,
            env={**os.environ, "SOURCE_DATE_EPOCH": "315532800"},
        )
        fresh.rename(target)
    return target


def busybox() -> Path:
    """The folder; `busybox_tar` is its archive."""
    root = cache() / "busybox"
    if not root.exists():
        program = shutil.which("busybox")
        if program is None:
            raise FileNotFoundError("busybox is missing: apt-get install busybox-static")
        fresh = cache() / "busybox.fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        for name in ("bin", "dev", "etc", "proc", "tmp", "usr/bin"):
            (fresh / name).mkdir(parents=True)
        shutil.copy(program, fresh / "bin/busybox")
        for name in ("sh", "true", "sleep"):
            (fresh / "bin" / name).symlink_to("busybox")
        (fresh / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (fresh / "etc/group").write_text("root:x:0:\n")
        fresh.rename(root)
    return root


def busybox_tar() -> Path:
    target = cache() / "busybox.tar"
    if not target.exists():
        fresh = target.with_name("busybox.fresh.tar")
        with tarfile.open(fresh, "w") as out:
            out.add(busybox(), arcname=".")
        fresh.rename(target)
    return target

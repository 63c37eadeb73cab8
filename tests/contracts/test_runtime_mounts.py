"""What every runtime mounts, and where."""

import os
from pathlib import Path

import pytest
from support import sandboxes
from support.bed import Bed
from support.onruntime import OnRuntime

from buildgraph.errors import UsageError
from buildgraph.sandbox.points import secret_dir
from buildgraph.sandbox.runtime import (
    BindPoint,
    Bubblewrap,
    OciRuntime,
    Runtime,
    TmpfsPoint,
)


class MountContract(OnRuntime):
    def test_binds(self, bed: Bed, tmp_path: Path) -> None:
        for name in ("in", "cache"):
            (tmp_path / name).mkdir()
            (tmp_path / name).chmod(0o755)
        sandboxes.write(tmp_path / "in/x", "content")
        mounts = (
            BindPoint(tmp_path / "in", "/in/dir"),
            BindPoint(tmp_path / "in/x", "/etc/one"),
            BindPoint(tmp_path / "cache", "/root/.cache/pip", writable=True),
        )
        script = (
            "cat /in/dir/x /etc/one; touch /root/.cache/pip/made; ! touch /in/dir/y 2>/dev/null"
        )
        assert self.prepared(bed, mounts, script) == ("contentcontent", [])
        assert os.listdir(tmp_path / "cache") == ["made"]

    def test_tmpfs(self, bed: Bed) -> None:
        mounts = (TmpfsPoint("/tmp", 1 << 20, 0o1777, 5, 6), TmpfsPoint("/var/x"))
        script = (
            "stat -c '%a %u:%g' /tmp; ls /tmp; touch /var/x/a;"
            "! dd if=/dev/zero of=/tmp/big bs=1k count=1100 2>/dev/null"
        )
        assert self.prepared(bed, mounts, script) == ("1777 5:6\n", [])

    def test_a_mount_inside_a_mount(self, bed: Bed, tmp_path: Path) -> None:
        (tmp_path / "inner").mkdir()
        sandboxes.write(tmp_path / "inner/x", "inner")
        mounts = (BindPoint(tmp_path / "inner", "/a/b/c"), TmpfsPoint("/a"))
        assert self.prepared(bed, mounts, "cat /a/b/c/x; touch /a/new") == ("inner", [])

    def test_a_target_behind_the_images_links(self, bed: Bed, tmp_path: Path) -> None:
        """The image's links lead to places in the image, never to the machine's."""
        sandboxes.write(tmp_path / "x", "mounted")
        (bed.active.root / "etc/hosts").unlink(missing_ok=True)
        for link, target in (("out", "/oldroot/etc"), ("hosts", "../../../../hidden/hosts")):
            (bed.active.root / "etc" / link).symlink_to(target)
        (bed.active.root / "oldroot/etc").mkdir(parents=True)
        (bed.active.root / "hidden").mkdir()
        sandboxes.write(bed.active.root / "oldroot/etc/f", "")
        sandboxes.write(bed.active.root / "hidden/hosts", "")
        mounts = (BindPoint(tmp_path / "x", "/etc/out/f"),)
        assert bed.sh("cat /oldroot/etc/f", mounts=mounts) == "mounted"
        assert "localhost" in bed.sh("cat /hidden/hosts")

    @pytest.mark.parametrize("target", ["/", "/proc", "/proc/sys", "/sys/x", "relative", "/dev"])
    def test_bad_targets(self, bed: Bed, target: str) -> None:
        with pytest.raises(UsageError) as caught:
            bed.sh("true", mounts=(TmpfsPoint(target),))
        assert caught.value.code == "bad-mount-target"

    def test_a_missing_source(self, bed: Bed, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as caught:
            bed.sh("true", mounts=(BindPoint(tmp_path / "none", "/x"),))
        assert caught.value.code == "source-missing"

    def test_a_secret_is_in_memory_and_nowhere_else(self, bed: Bed) -> None:
        with secret_dir(bed.store.tmp) as folder:
            sandboxes.write(folder / "token", "hunter2")
            mounts = (BindPoint(folder / "token", "/run/secrets/token"),)
            script = "cat /run/secrets/token; grep /run/secrets/token /proc/mounts | grep -c tmpfs"
            output, changes = self.prepared(bed, mounts, script)
        assert (output, changes) == ("hunter21\n", [])

    def test_a_read_only_root(self, bed: Bed) -> None:
        assert bed.sh("! touch /x 2>/dev/null; echo ok", readonly_root=True) == "ok\n"


class TestBubblewrap(MountContract):
    def make(self, scratch: Path) -> Runtime:
        return Bubblewrap(scratch)


class TestRunc(MountContract):
    def make(self, scratch: Path) -> Runtime:
        return OciRuntime("runc", scratch)


class TestCrun(MountContract):
    def make(self, scratch: Path) -> Runtime:
        return OciRuntime("crun", scratch)

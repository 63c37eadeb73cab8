"""The place where rows are measured: a folder on disk, the command under test, workloads that rows share."""

import json
import os
import subprocess
from functools import cached_property
from pathlib import Path

import measure
import roots
import workloads
import yardsticks


class Bench:
    """FOLDER is the caller's to remove, after the last measurement.

    Each cold build has a store of its own (`home`), and none is removed in between: ext4 is slow after a mass removal.
    """

    def __init__(self, folder: Path, command: str, rounds: int, scale: float) -> None:
        self.folder = folder
        self.command = command
        self.rounds = rounds
        self.scale = scale
        self.homes = 0

    def scaled(self, count: int) -> int:
        return max(2, round(count * self.scale))

    def home(self, base: Path | None = None) -> Path:
        """A new store; with BASE, one in which a command has run on that root: the base is unpacked, nothing else."""
        self.homes += 1
        home = self.folder / f"home{self.homes}"
        if base is not None:
            primer = self.folder / f"primer-{base.stem}"
            if not primer.exists():
                workloads.primer(primer, base)
            self.build(primer, home)
        return home

    def build(self, workspace: Path, home: Path, *options: str, sync: bool = True) -> measure.Ran:
        argv = [self.command, "--progress", "quiet", "build", *options]
        return measure.timed(argv, workspace, self.env(home), sync=sync)

    def build_counted(
        self, workspace: Path, home: Path, executed: int, *options: str
    ) -> measure.Ran:
        """Build and see that exactly so many steps were executed: a row that measured less would be no row."""
        report = self.folder / "metadata.json"
        report.unlink(missing_ok=True)
        ran = self.build(workspace, home, "--metadata-file", str(report), *options)
        found = json.loads(report.read_text())["steps"]["executed"]
        if found != executed:
            raise measure.CommandError(
                f"{workspace.name}: {found} steps were executed, not {executed}"
            )
        return ran

    def peak(self, workspace: Path, home: Path) -> tuple[float, str]:
        argv = [self.command, "--progress", "quiet", "build"]
        return measure.peak(argv, workspace, self.env(home))

    def env(self, home: Path) -> dict[str, str]:
        return {**os.environ, "BUILDGRAPH_HOME": str(home)}

    @cached_property
    def small(self) -> tuple[Path, Path]:
        """W2 without its big files, uncompressed, and its folder of small files."""
        workspace = self.folder / "w2-none"
        files = workloads.w2(workspace, compression="none", big=False, scale=self.scale)
        return workspace, files

    @cached_property
    def small_gzip(self) -> tuple[Path, Path]:
        """The same files, with gzip: a second workspace over one tree, so that both sides meet warm pages."""
        workspace, files = self.small
        buildfile = (workspace / "Buildfile.toml").read_text().replace('"none"', '"gzip"')
        other = self.folder / "w2-gzip"
        other.mkdir()
        (other / "Buildfile.toml").write_text(buildfile)
        subprocess.run(["cp", "-a", str(files), str(other / "files")], check=True)
        return other, other / "files"

    @cached_property
    def shop(self) -> workloads.Shop:
        return workloads.w1(self.folder / "w1", roots.debian(), self.scale)

    @cached_property
    def committed_shop(self) -> tuple[Path, Path]:
        """W1 in git, built; and the store."""
        workspace = self.folder / "w1-git"
        workloads.w1(workspace, roots.debian(), self.scale)
        return self._built(workspace)

    @cached_property
    def committed_files(self) -> tuple[Path, Path]:
        """The 50,000 files in git, built; and the store."""
        workspace = self.folder / "w2-git"
        workloads.w2(workspace, compression="none", big=False, scale=self.scale)
        return self._built(workspace)

    @cached_property
    def committed_context(self) -> tuple[Path, Path]:
        """W5 in git, built; and the store."""
        box, workspace, home = self.folder / "box", self.folder / "w5-git", self.home()
        workloads.box(box, roots.busybox_tar())
        self.build(box, home)
        self.build_counted(workspace, home, workloads.w5(workspace, self.scale))
        return self._built(workspace, home)

    def _built(self, workspace: Path, home: Path | None = None) -> tuple[Path, Path]:
        home = home or self.home()
        self.build(workspace, home)
        yardsticks.commit(workspace)
        self.build(
            workspace, home
        )  # git has touched the folder: what was compiled may be compiled anew
        return workspace, home

"""What buildgraph is held against: other programs that do the same work, or the part of it that cannot be left out."""

import os
import subprocess
from pathlib import Path

import measure
import workloads

PACKED = "tar -cf - . | sha256sum"
COMPRESSED = 'tar -cf - . | pigz -1 > "$0"'
SANDBOX = (
    "bwrap --unshare-pid --unshare-net --unshare-ipc --unshare-uts --die-with-parent"
    ' --bind "$0" / --dev /dev --proc /proc true'
)
GIT_ENV = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "bench",
    "GIT_AUTHOR_EMAIL": "bench@localhost",
    "GIT_COMMITTER_NAME": "bench",
    "GIT_COMMITTER_EMAIL": "bench@localhost",
}


def git_env() -> dict[str, str]:
    return {**os.environ, **GIT_ENV}


def commit(folder: Path) -> None:
    """Make FOLDER a git repository with everything in it committed and the index fresh."""
    for argv in (
        ["init", "-q"],
        ["config", "gc.auto", "0"],
        ["add", "-A"],
        ["commit", "-qm", "all"],
    ):
        subprocess.run(["git", *argv], cwd=folder, check=True, env=git_env())
    subprocess.run(["git", "status"], cwd=folder, check=True, env=git_env(), capture_output=True)


def sandboxes(count: int) -> list[str]:
    """A shell that runs bwrap COUNT times, one after the other; the root is to follow as its last argument."""
    return ["sh", "-euc", f"for k in $(seq {count}); do {SANDBOX}; done"]


class Buildah:
    """A store of buildah's own with the base image in it: what "base unpacked" means there.

    `--layers` caches each instruction. Commands run in runc, without a network, as those of buildgraph do. The images
    are built one after the other by a shell script, since one `bud` knows one Dockerfile.
    """

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        store = ["--root", folder / "root", "--runroot", folder / "run"]
        self.command = ["buildah", *map(str, store), "--storage-driver", "overlay"]
        container = self._run("from", "scratch").strip()
        self._run("add", container, str(base), "/")
        self._run("commit", "-q", container, "localhost/bench/debian")
        self._run("rm", container)

    def build_all(self, shop: workloads.Shop) -> measure.Ran:
        script = self.folder / "build.sh"
        options = "--layers --runtime runc --isolation oci --network none --pull-never -q"
        lines = [
            f'{" ".join(self.command)} bud {options} -f "{file}" -t {name} "{shop.dir}"'
            for name, file in shop.dockerfiles
        ]
        script.write_text("\n".join(lines) + "\n")
        return measure.timed(["sh", "-eu", str(script)], shop.dir)

    def close(self) -> None:
        self._run("rm", "--all")

    def _run(self, *argv: str) -> str:
        done = subprocess.run(
            [*self.command, *argv],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise measure.CommandError(f"buildah {argv[0]}: {done.stderr[-1000:]}")
        return done.stdout

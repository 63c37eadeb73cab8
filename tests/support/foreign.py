"""Other people's tools, run for what they say."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def said(*argv: str | Path, cwd: Path | None = None) -> str:
    """What the command printed; it must succeed."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def podman(driver: str = "vfs") -> Iterator[Callable[..., str]]:
    """podman with storage of its own, of which nothing stays. Its path is short: podman wants at most 50 characters."""
    store = Path(tempfile.mkdtemp(prefix="pm", dir="/tmp"))
    places = ("--root", store / "r", "--runroot", store / "n", "--tmpdir", store / "t")

    def call(*argv: str | Path, cwd: Path | None = None) -> str:
        return said(
            "podman", *places, "--storage-driver", driver, "--runtime", "runc", *argv, cwd=cwd
        )

    try:
        yield call
        call("rmi", "--all", "--force")
    finally:
        shutil.rmtree(store, ignore_errors=True)

"""The benchmarks start with any Python; what they measure is measured by hand."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(script: Path) -> "subprocess.CompletedProcess[str]":
    """With the interpreter below the virtual environment, which does not know the checkout."""
    python = os.path.realpath(sys.executable)
    words = [python, "-E", str(script), "--list"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_they_start_with_any_python():
    done = start(ROOT / "benchmarks/run")
    assert done.returncode == 0, done.stderr
    assert "w1-no-op" in done.stdout


def test_a_checkout_that_is_not_set_up_says_how(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks/run", tmp_path / "benchmarks/run")
    done = start(tmp_path / "benchmarks/run")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "buildgraph is not installed in this checkout: run `make dev` first"
    ]

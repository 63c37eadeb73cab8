"""What a test needs of the machine: missing, it skips locally with its reason and fails in CI."""

import os
import shutil

import pytest


def require(*programs: str) -> None:
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        lack(f"needs {', '.join(missing)}")


def require_root() -> None:
    if os.geteuid() != 0:
        lack("needs root")


def lack(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"CI lacks a capability: {reason}")
    pytest.skip(reason)

"""The whole sandbox as an ordinary user with subordinate ids, in a user namespace."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import capability

PYTHON = "/usr/bin/python3"
HERE = Path(__file__).resolve().parents[2]


class Account:
    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.store = name, folder, folder

    def run(self, runtime: str, script: str, uid: int = 0) -> dict[str, object]:
        """The program's last line; run with nothing of ours but the package's files."""
        self.store = Path(tempfile.mkdtemp(dir=self.folder))
        shutil.chown(self.store, self.name, self.name)
        argv = [
            *("setpriv", "--reuid", self.name, "--regid", self.name, "--init-groups"),
            *("--reset-env", "env", f"PYTHONPATH={self.folder / 'code'}", PYTHON),
            *(str(self.folder / "code/sandboxed.py"), str(self.store), "/bin/busybox"),
            *(runtime, script, str(uid)),
        ]
        done = subprocess.run(
            argv, cwd="/", capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    capability.require_root()
    capability.require("useradd", "userdel", "usermod", "setpriv", "newuidmap", "busybox", PYTHON)
    name = f"bgtest{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix="rootless-"))
    subprocess.run(["useradd", "--no-create-home", "--user-group", name], check=True)
    try:
        folder.chmod(0o755)
        shutil.copytree(HERE / "buildgraph", folder / "code/buildgraph")
        shutil.copy(HERE / "tests/support/sandboxed.py", folder / "code")
        subprocess.run(["chmod", "-R", "a+rX", folder / "code"], check=True)
        yield Account(name, folder)
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)
        shutil.rmtree(folder)


@pytest.fixture
def with_ranges(account: Account) -> Account:
    subprocess.run(
        [
            "usermod",
            "--add-subuids",
            "700000-765535",
            "--add-subgids",
            "700000-765535",
            account.name,
        ],
        check=True,
    )
    return account


SCRIPT = (
    "id -u; rm -r /gone; mkdir /gone; touch /new /given; chown 33:44 /given; echo x > /etc/hosts"
)


@pytest.mark.parametrize("runtime", ["bwrap", "crun", "runc"])
def test_a_step(with_ranges: Account, runtime: str) -> None:
    capability.require(runtime)
    found = with_ranges.run(runtime, SCRIPT)
    assert found["code"] == 0, found
    assert found["output"] == "0\n"
    assert found["kind"] == "userns"
    assert str(found["mapping"]).startswith("0:")
    assert {"new", "given", "gone", "bin"} <= set(found["seen"])
    assert found["owners"]["given"] == [33, 44]
    assert found["tmp"] == []
    upper = with_ranges.store / "snapshots/step"
    assert list((upper / "gone").iterdir()) == []
    assert (upper / "given").stat().st_uid >= 100_000 - 1


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_step_as_another_user(with_ranges: Account, runtime: str) -> None:
    capability.require(runtime)
    found = with_ranges.run(runtime, "id -u; id -g", 1000)
    assert found["code"] == 0, found
    assert found["output"] == "1000\n1000\n"


def test_without_ranges_it_says_what_to_do(account: Account) -> None:
    name = account.name
    lines = [line for line in Path("/etc/subuid").read_text().splitlines() if line.startswith(name)]
    for line in lines:
        _, start, count = line.split(":")
        span = f"{start}-{int(start) + int(count) - 1}"
        subprocess.run(["usermod", "--del-subuids", span, name], check=True)
    found = account.run("bwrap", "true")
    assert found["problem"] == "no-subuid"
    assert f"usermod --add-subuids 100000-165535 {name}" in str(found["hint"])

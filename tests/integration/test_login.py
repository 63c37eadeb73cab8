"""``login`` and ``logout`` with real registries: what is refused is not kept, and other tools read what is kept."""

import io
import json
import os
import pty
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from support import badauth
from support.badregistry import BadRegistry
from support.capability import require
from support.certificates import Authority
from support.distribution import fill, sample
from support.registry import running
from support.screen import Said, run

PASSWORD = badauth.PASSWORD


class Home:
    """A home of its own, with a registry's authority in it."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self.folder = folder
        self.file = folder / ".docker/config.json"
        self._monkeypatch = monkeypatch
        for name in ("XDG_CONFIG_HOME", "DOCKER_CONFIG", "BUILDGRAPH_CONFIG"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))

    def trust(self, host: str, authority: Authority) -> None:
        folder = self.folder / ".config/containers/certs.d" / host
        folder.mkdir(parents=True)
        (folder / "ca.crt").symlink_to(authority.ca)

    def login(self, host: str, password: str = PASSWORD) -> Said:
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(password))
        return run("login", "-u", badauth.USER, "--password-stdin", host)

    def auths(self) -> dict[str, dict[str, str]]:
        return json.loads(self.file.read_text())["auths"]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    return Home(tmp_path / "home", monkeypatch)


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    authority = Authority.make(folder)
    users = {badauth.USER: PASSWORD}
    with running(folder / "r", users=users, tls=authority.certify("server")) as registry:
        yield registry, authority


def test_in_and_out(home, secured):
    registry, authority = secured
    home.trust(registry.host, authority)
    said = home.login(registry.host)
    assert said.code == 0, said.err
    assert home.auths() == {
        registry.host: {"auth": b64encode(f"{badauth.USER}:{PASSWORD}".encode()).decode()}
    }
    assert home.file.stat().st_mode & 0o777 == 0o600
    assert run("logout", registry.host).err == f"logged out of {registry.host}\n"
    assert home.auths() == {}
    assert run("logout", registry.host).err == f"not logged in to {registry.host}\n"


def test_a_wrong_password_is_not_kept(home, secured):
    registry, authority = secured
    home.trust(registry.host, authority)
    said = home.login(registry.host, "wrong-word")
    assert said.code == 4
    assert said.err.startswith(f"error[login-refused]: {registry.host} does not let you in: 401")
    assert "wrong-word" not in said.err
    assert not home.file.exists()


def test_a_registry_whose_certificate_nobody_vouches_for(home, secured):
    said = home.login(secured[0].host)
    assert (said.code, "error[registry-tls]" in said.err) == (4, True)
    assert not home.file.exists()


def test_a_registry_that_is_not_there(home, secured, tmp_path):
    with running(tmp_path / "r") as registry:
        pass
    said = home.login(registry.host)
    assert (said.code, "error[registry-unreachable]" in said.err) == (4, True)


def test_an_open_registry(home, tmp_path):
    with running(tmp_path / "r") as registry:
        said = home.login(registry.host)
    assert said.code == 0
    assert "asks nobody who they are" in said.err


@pytest.mark.parametrize("mode", ["auth-basic", "auth-token", "auth-token-access"])
def test_ways_to_ask(home, mode):
    with BadRegistry() as registry:
        registry.misbehave(mode)
        assert home.login(registry.host).code == 0
        assert home.login(registry.host, "wrong-word").code == 4
        assert set(home.auths()) == {registry.host}


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("auth-loop", "login-refused"),
        ("auth-echo", "login-refused"),
        ("auth-bad-header", "registry-auth"),
        ("upgrade-426", "registry-refused"),
        ("drop-connection", "registry-unreachable"),
    ],
)
def test_registries_that_misbehave(home, mode, code):
    with BadRegistry() as registry:
        registry.misbehave(mode)
        said = home.login(registry.host)
    assert (said.code, f"error[{code}]" in said.err) == (4, True), said.err
    assert PASSWORD not in said.err
    assert not home.file.exists()


def test_other_tools_read_what_is_kept(home, secured):
    require("skopeo")
    registry, authority = secured
    home.trust(registry.host, authority)
    assert "unauthorized" in _listed(registry.host)
    home.login(registry.host)
    assert "404 (Not Found)" in _listed(registry.host)


def _listed(host: str) -> str:
    done = subprocess.run(
        ["skopeo", "list-tags", f"docker://{host}/nothing/here"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stderr


def test_what_others_keep_is_used(home, secured, tmp_path, monkeypatch):
    """podman's file, written by skopeo."""
    require("skopeo")
    registry, authority = secured
    home.trust(registry.host, authority)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    done = subprocess.run(
        ["skopeo", "login", "-u", badauth.USER, "--password-stdin", registry.host],
        input=PASSWORD,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said = run("pull", f"{registry.host}/nothing/here")
    assert "unknown-image" in said.err
    run("logout", registry.host)
    said = run("pull", f"{registry.host}/nothing/here")
    assert (said.code, "registry-denied" in said.err) == (4, True)
    assert f"buildgraph login {registry.host}" in said.err


def test_asked_at_a_terminal(home):
    """The password is not shown while it is typed."""
    with BadRegistry() as registry:
        fill(registry, sample())
        registry.misbehave("auth-basic")
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "buildgraph", "login", registry.host],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        shown = _until(ours, b"User name: ")
        os.write(ours, badauth.USER.encode() + b"\n")
        shown += _until(ours, b"Password: ")
        os.write(ours, PASSWORD.encode() + b"\n")
        shown += _until(ours, b"logged in to")
        assert process.wait(timeout=60) == 0
        os.close(ours)
    assert PASSWORD.encode() not in shown
    assert set(home.auths()) == {registry.host}


def _until(terminal: int, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        seen += os.read(terminal, 4096)
    return seen


def test_kept_in_a_credential_store(home, secured, tmp_path, monkeypatch):
    registry, authority = secured
    home.trust(registry.host, authority)
    program = tmp_path / "bin/docker-credential-test"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat > {tmp_path}/stored\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    home.file.parent.mkdir(parents=True)
    home.file.write_text('{"credsStore": "test"}')
    assert "kept in docker-credential-test\n" in home.login(registry.host).err
    stored = json.loads((tmp_path / "stored").read_text())
    assert stored == {"ServerURL": registry.host, "Username": badauth.USER, "Secret": PASSWORD}
    assert PASSWORD not in home.file.read_text()

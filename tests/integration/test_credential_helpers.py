"""Credential helpers and stores as programs of their own: what they are told, what they answer, how they fail."""

import json
from pathlib import Path

import pytest

from buildgraph.errors import MachineError
from buildgraph.registry.authfile import Credential
from buildgraph.registry.credentials import Credentials

# Keeps what it is told in a folder, one file a server, and notes every question.
_HELPER = """\
#!/bin/sh
read -r said
echo "$1 $(env | sort | grep -c .)" >> {kept}/log
name={kept}/$(printf %s "$said" | sed 's/.*"ServerURL": "\\([^"]*\\)".*/\\1/' | tr '/:' '__')
case "$1" in
get) cat "$name" 2>/dev/null || {{ echo "credentials not found in native keychain"; exit 1; }} ;;
store) printf '%s\\n' "$said" > "$name" ;;
erase) rm "$name" ;;
esac
"""


class Machine:
    def __init__(self, folder: Path) -> None:
        self.config = folder / "config.json"
        self.kept = folder / "kept"
        self.kept.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.environ = {
            "REGISTRY_AUTH_FILE": str(self.config),
            "PATH": f"{self.bin}:/usr/bin:/bin",
        }

    def helper(self, name: str, script: str = _HELPER) -> None:
        program = self.bin / f"docker-credential-{name}"
        program.write_text(
            script.replace("{kept}", str(self.kept)).replace("{{", "{").replace("}}", "}")
        )
        program.chmod(0o755)

    def configure(self, **document: object) -> None:
        self.config.write_text(json.dumps(document))

    def credentials(self) -> Credentials:
        return Credentials.load(self.environ)

    def asked(self) -> list[str]:
        log = self.kept / "log"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def stored(machine):
    machine.helper("keep")
    machine.configure(credsStore="keep", auths={"plain": {"username": "p", "password": "x"}})
    return machine


def test_a_credential_goes_to_the_store_and_comes_back(stored):
    assert stored.credentials().find("a") is None
    assert stored.credentials().store("a", Credential("me", "secret")) == "docker-credential-keep"
    assert stored.credentials().find("a") == Credential("me", "secret")
    assert json.loads(stored.config.read_text())["auths"]["a"] == {}
    assert "secret" not in stored.config.read_text()


def test_an_identity_token_is_a_user_of_its_own(stored):
    stored.credentials().store("a", Credential("", identity_token="token"))
    assert json.loads((stored.kept / "a").read_text())["Username"] == "<token>"
    assert stored.credentials().find("a") == Credential("", identity_token="token")


def test_docker_hub_has_dockers_name(stored):
    stored.credentials().store("docker.io", Credential("me", "x"))
    assert (stored.kept / "https___index.docker.io_v1_").exists()
    assert stored.credentials().find("") == Credential("me", "x")


def test_each_question_is_asked_once(stored):
    credentials = stored.credentials()
    assert [credentials.find("a"), credentials.find("A")] == [None, None]
    assert stored.asked() == ["get"]


def test_what_the_store_does_not_know_is_looked_for_in_the_file(stored):
    assert stored.credentials().find("plain") == Credential("p", "x")


def test_erased(stored):
    credentials = stored.credentials()
    credentials.store("a", Credential("me", "x"))
    assert (credentials.erase("a"), credentials.erase("a")) == (True, False)
    assert credentials.find("a") is None


def test_a_registrys_own_helper_wins(stored):
    stored.helper("own", '#!/bin/sh\necho \'{"Username": "own", "Secret": "x"}\'\n')
    stored.configure(credsStore="keep", credHelpers={"a": "own"})
    assert stored.credentials().find("a") == Credential("own", "x")
    assert stored.asked() == []


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("#!/bin/sh\necho the key ring is locked\nexit 1\n", "the key ring is locked"),
        ("#!/bin/sh\necho broken >&2\nexit 3\n", "broken"),
        ("#!/bin/sh\nexit 3\n", "exit code 3"),
        ('#!/bin/sh\necho \'{"Secret": "hidden"}\'\n', "no credential"),
        ("#!/bin/sh\necho hidden\n", "no credential"),
        ("#!/nowhere/sh\n", "cannot be run"),
    ],
)
def test_failures_say_which_helper_and_why(machine, script, says):
    machine.helper("bad", script)
    machine.configure(credsStore="bad")
    with pytest.raises(MachineError, match=says) as raised:
        machine.credentials().find("a")
    assert raised.value.code == "credential-helper"
    assert "docker-credential-bad" in raised.value.message
    assert "hidden" not in raised.value.render()


def test_a_failing_store_does_not_repeat_the_secret(machine):
    machine.helper("bad", "#!/bin/sh\ncat\nexit 1\n")
    machine.configure(credsStore="bad")
    with pytest.raises(MachineError) as raised:
        machine.credentials().store("a", Credential("me", "hidden"))
    assert "hidden" not in raised.value.render()

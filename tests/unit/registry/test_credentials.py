"""Auth files of docker and podman: which entry is found, and what writing one keeps."""

import base64
import json
from pathlib import Path

import pytest

from buildgraph.errors import MachineError, UsageError
from buildgraph.registry.authfile import Credential
from buildgraph.registry.credentials import Credentials

ME = Credential("me", "pass:word")


def encoded(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def auths(**entries):
    return {"auths": {key.replace("_", "."): encoded(*value) for key, value in entries.items()}}


class Home:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.docker = folder / ".docker/config.json"
        self.podman = folder / ".config/containers/auth.json"
        self.session = folder / "run/containers/auth.json"
        self.environ = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run"), "PATH": ""}

    def write(self, path: Path, document: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    def find(self, host: str, repository: str = "") -> Credential | None:
        return Credentials.load(self.environ).find(host, repository)

    def load(self) -> Credentials:
        return Credentials.load(self.environ)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def test_no_files(home):
    assert home.find("a.example") is None


@pytest.mark.parametrize("name", ["docker", "podman", "session"])
def test_every_usual_place(home, name):
    home.write(getattr(home, name), auths(a_example=("me", "pass:word")))
    assert home.find("a.example") == ME
    assert home.find("A.Example") == ME
    assert home.find("a.example:5000") is None


def test_this_sessions_file_wins_over_the_users_over_dockers(home):
    for name in ("docker", "podman", "session"):
        home.write(getattr(home, name), auths(a_example=(name, "x")))
        assert home.find("a.example") == Credential(name, "x")


def test_a_named_docker_folder_wins(home, tmp_path):
    home.write(home.session, auths(a=("session", "x"), b=("session", "x")))
    home.write(tmp_path / "mine/config.json", auths(a=("mine", "x")))
    home.environ["DOCKER_CONFIG"] = str(tmp_path / "mine")
    assert home.find("a") == Credential("mine", "x")
    assert home.find("b") == Credential("session", "x")


def test_a_named_auth_file_stands_alone(home, tmp_path):
    home.write(home.docker, auths(b=("docker", "x")))
    home.environ["REGISTRY_AUTH_FILE"] = str(home.write(tmp_path / "f", auths(a=("f", "x"))))
    assert (home.find("a"), home.find("b")) == (Credential("f", "x"), None)


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"]
)
@pytest.mark.parametrize("host", ["", "docker.io", "index.docker.io"])
def test_docker_hub_by_any_of_its_names(home, key, host):
    home.write(home.docker, {"auths": {key: encoded("me", "pass:word")}})
    assert home.find(host, "library/debian") == ME


@pytest.mark.parametrize("key", ["https://a.example", "http://a.example/v2/", "a.example/v1/"])
def test_keys_of_older_programs(home, key):
    home.write(home.docker, {"auths": {key: encoded("me", "pass:word")}})
    assert home.find("a.example") == ME


def test_podmans_keys_for_a_part_of_a_registry(home):
    keys = {"a/shop": ("shop", "x"), "a/shop/api": ("api", "x"), "a": ("all", "x")}
    home.write(home.podman, {"auths": {key: encoded(*value) for key, value in keys.items()}})
    names = {
        repository: (home.find("a", repository) or Credential("")).username
        for repository in ("", "other", "shop", "shop/web", "shop/api", "shop/api/deep", "shopping")
    }
    assert names == {
        "": "all",
        "other": "all",
        "shop": "shop",
        "shop/web": "shop",
        "shop/api": "api",
        "shop/api/deep": "api",
        "shopping": "all",
    }


def test_identity_tokens_and_plain_fields(home):
    home.write(
        home.docker,
        {
            "auths": {
                "a": {"identitytoken": "t"},
                "b": {"username": "u", "password": "p"},
                "c": encoded("00000000-0000-0000-0000-000000000000", "") | {"identitytoken": "t"},
                "d": {},
            }
        },
    )
    assert home.find("a") == Credential("", identity_token="t")
    assert home.find("b") == Credential("u", "p")
    assert home.find("c") == Credential("00000000-0000-0000-0000-000000000000", "", "t")
    assert home.find("d") is None


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        "[" * 100_000,
        {"auths": ["secret"]},
        {"auths": {"a": "secret"}},
        {"auths": {"a": {"auth": "secret!"}}},
        {"auths": {"a": {"auth": base64.b64encode(b"secret").decode()}}},
        {"auths": {"a": {"auth": base64.b64encode(b"\xff:secret").decode()}}},
        {"auths": {"a": {"auth": 5}}},
        {"credHelpers": "pass"},
        {"credsStore": ["pass"]},
        {"credsStore": "../../bin/sh"},
    ],
    ids=range(12),
)
def test_unusable_files_say_which_and_nothing_of_what_is_in_them(home, document):
    path = home.write(home.docker, document)
    with pytest.raises(UsageError) as raised:
        home.find("a")
    assert raised.value.code == "bad-auth-file"
    assert "secret" not in raised.value.render()
    assert str(path) in raised.value.message or "credential helper" in raised.value.message
    assert raised.value.__cause__ is None


def test_an_empty_file_is_no_mistake(home):
    home.write(home.docker, "\n")
    assert home.find("a") is None


def test_a_missing_helper_says_so(home):
    home.write(home.docker, {"credHelpers": {"a": "nowhere"}})
    assert home.find("b") is None
    with pytest.raises(MachineError, match="no docker-credential-nowhere") as raised:
        home.find("a")
    assert raised.value.code == "credential-helper"


def test_nothing_is_read_before_it_is_asked_for(home):
    home.write(home.docker, "{")
    assert "config.json" in repr(home.load())


def test_secrets_are_in_no_repr(home):
    home.write(home.docker, auths(a=("me", "hidden")))
    credentials = home.load()
    shown = repr((credentials, credentials.find("a"), Credential("u", "hidden", "hidden")))
    assert "hidden" not in shown


def test_stored_where_docker_has_it(home):
    home.write(home.docker, {"HttpHeaders": {"x": "y"}, **auths(b=("b", "x"))})
    credentials = home.load()
    assert credentials.find("a") is None
    assert credentials.store("a", ME) == str(home.docker)
    assert credentials.find("a") == ME
    assert home.find("a") == ME
    document = json.loads(home.docker.read_text())
    assert document["HttpHeaders"] == {"x": "y"}
    assert set(document["auths"]) == {"a", "b"}
    assert home.docker.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in home.docker.parent.iterdir()] == ["config.json"]


def test_stored_in_a_new_file(home):
    home.load().store("docker.io", ME)
    document = json.loads(home.docker.read_text())
    assert document == {"auths": {"https://index.docker.io/v1/": encoded("me", "pass:word")}}
    assert home.docker.parent.stat().st_mode & 0o777 == 0o700


def test_stored_where_the_registry_is_already_known(home):
    home.write(home.session, auths(a=("old", "x")))
    home.load().store("a", ME)
    assert home.find("a") == ME
    assert not home.docker.exists()


def test_stored_once_under_one_name(home):
    home.write(home.docker, {"auths": {"https://a/v2/": encoded("old", "x"), "a": {}, "a/b": {}}})
    home.load().store("a", ME)
    assert set(json.loads(home.docker.read_text())["auths"]) == {"a", "a/b"}


def test_an_identity_token_comes_back(home):
    home.load().store("a", Credential("", identity_token="t"))
    assert home.find("a") == Credential("", identity_token="t")


def test_a_link_stays_one(home, tmp_path):
    target = home.write(tmp_path / "dotfiles/docker.json", {})
    home.docker.parent.mkdir()
    home.docker.symlink_to(target)
    home.load().store("a", ME)
    assert home.docker.is_symlink()
    assert "auths" in json.loads(target.read_text())


def test_erased_everywhere(home):
    home.write(home.session, auths(a=("s", "x"), b=("s", "x")))
    home.write(home.docker, auths(a=("d", "x")))
    credentials = home.load()
    assert credentials.find("a")
    assert credentials.erase("a") is True
    assert credentials.find("a") is None
    assert credentials.erase("a") is False
    assert credentials.find("b") == Credential("s", "x")


def test_an_unwritable_place(home):
    home.write(home.folder / ".docker", "")
    with pytest.raises(MachineError) as raised:
        home.load().store("a", ME)
    assert raised.value.code == "auth-file-unwritable"

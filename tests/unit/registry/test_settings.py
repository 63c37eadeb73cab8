"""Where a registry's settings come from, and which of them win."""

from pathlib import Path

import pytest

from buildgraph.errors import ErrorGroup, UsageError
from buildgraph.registry.configfile import load_tables
from buildgraph.registry.configplaces import places
from buildgraph.registry.proxy import ProxyServer
from buildgraph.registry.settings import HostSettings, Settings


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


class Machine:
    """``etc`` and a home; files are written by their names below them."""

    def __init__(self, folder: Path) -> None:
        self.etc = folder / "etc"
        self.home = folder / "home"
        self.environ = {"HOME": str(self.home)}

    def write(self, path: Path, text: str = "") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def config(self, text: str) -> Path:
        return self.write(self.home / ".config/buildgraph/config.toml", text)

    def settings(self, ca: Path | None = None) -> Settings:
        return Settings.load(self.environ, ca, system=self.etc)

    def refused(self) -> list[UsageError]:
        with pytest.raises(ErrorGroup) as raised:
            self.settings()
        return [error for error in raised.value.errors if isinstance(error, UsageError)]


def test_nothing_is_said(machine):
    assert machine.settings().for_host("a.example") == HostSettings()


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1:5000", "[::1]:5000"])
def test_plain_http_on_this_machine(machine, host):
    assert machine.settings().for_host(host).plain_http


def test_tables_of_the_config_file(machine):
    file = machine.config(
        """
        [registry."docker.io"]
        mirrors = ["mirror.example", "cache.example:5000/hub"]
        [registry."a.example:5000"]
        plain-http = true
        ca = ["one.pem", "/two.pem"]
        client-cert = "me.pem"
        client-key = "me.key"
        """
    )
    settings = machine.settings()
    assert settings.for_host("").mirrors == ("mirror.example", "cache.example:5000/hub")
    assert settings.for_host("A.example:5000") == HostSettings(
        plain_http=True,
        ca=(file.parent / "one.pem", Path("/two.pem")),
        client_cert=file.parent / "me.pem",
        client_key=file.parent / "me.key",
    )
    assert settings.for_host("a.example") == HostSettings()


@pytest.mark.parametrize(
    ("said", "meant"),
    [('"host"', "host"), ('"/own.pem"', "/own.pem"), ('"own.pem"', "FOLDER/own.pem"), ('""', "")],
)
def test_whom_builds_trust(machine, said, meant):
    file = machine.config(f"[build]\nca = {said}\n")
    found = load_tables(places(machine.environ, machine.etc))
    assert found.ca == meant.replace("FOLDER", str(file.parent))


def test_the_users_file_wins_table_by_table(machine):
    machine.write(
        machine.etc / "buildgraph/config.toml",
        '[registry."a"]\nmirrors = ["m1"]\n[registry."b"]\nmirrors = ["m2"]\n',
    )
    machine.config('[registry."a"]\nplain-http = true\n')
    settings = machine.settings()
    assert settings.for_host("a") == HostSettings(plain_http=True)
    assert settings.for_host("b").mirrors == ("m2",)


def test_a_named_file_stands_alone_and_must_be_there(machine, tmp_path):
    machine.config('[registry."a"]\nplain-http = true\n')
    machine.environ["BUILDGRAPH_CONFIG"] = str(tmp_path / "mine.toml")
    with pytest.raises(UsageError) as raised:
        machine.settings()
    assert raised.value.code == "config-unreadable"
    assert raised.value.message.startswith(f"BUILDGRAPH_CONFIG names {tmp_path / 'mine.toml'}")
    machine.write(tmp_path / "mine.toml", '[registry."b"]\nplain-http = true\n')
    settings = machine.settings()
    assert (settings.for_host("a").plain_http, settings.for_host("b").plain_http) == (False, True)


def test_all_mistakes_are_told_with_their_lines(machine):
    file = machine.config(
        '[registri]\n[registry."a"]\nplain-htp = true\nmirrors = ["http://m"]\nca = 5\n'
        'client-cert = "x"\n[registry."b/c"]\n[build]\nca = 1\ncb = ""\n'
    )
    found = machine.refused()
    assert {error.code for error in found} == {"bad-config"}
    assert all(error.where.file == str(file) and error.hint for error in found)
    lines = {error.where.line: error.message for error in found if error.where}
    assert sorted(lines) == [1, 2, 3, 4, 5, 7, 9, 10]
    assert "did you mean" in next(e.hint for e in found if "plain-htp" in e.message)


def test_not_toml(machine):
    machine.config("[registry")
    with pytest.raises(UsageError) as raised:
        machine.settings()
    assert raised.value.code == "bad-toml"


@pytest.mark.parametrize("place", ["containers", "docker"])
def test_certificate_folders_of_other_tools(machine, place):
    folder = machine.etc / place / "certs.d" / "a.example:5000"
    for name in ("b.crt", "a.crt", "client.cert", "client.key", "notes.txt"):
        machine.write(folder / name)
    assert machine.settings().for_host("a.example:5000") == HostSettings(
        ca=(folder / "a.crt", folder / "b.crt"),
        client_cert=folder / "client.cert",
        client_key=folder / "client.key",
    )
    assert machine.settings().for_host("a.example") == HostSettings()


def test_the_users_certificates_come_before_the_machines(machine):
    mine = machine.write(machine.home / ".config/containers/certs.d/a/mine.crt")
    machine.write(machine.etc / "docker/certs.d/a/all.crt")
    assert machine.settings().for_host("a").ca == (mine,)


@pytest.mark.parametrize("name", ["client.cert", "client.key"])
def test_half_a_client_certificate(machine, name):
    machine.write(machine.etc / "docker/certs.d/a" / name)
    with pytest.raises(UsageError) as raised:
        machine.settings().for_host("a")
    assert raised.value.code == "bad-certificates"


def test_the_workspaces_authority_is_for_every_registry(machine):
    own = machine.write(machine.etc / "docker/certs.d/a/own.crt")
    settings = machine.settings(ca=Path("/ca.pem"))
    assert settings.for_host("a").ca == (own, Path("/ca.pem"))
    assert settings.for_host("b").ca == (Path("/ca.pem"),)


def test_a_certificate_for_this_machine_means_tls(machine):
    machine.write(machine.etc / "docker/certs.d/localhost:5000/ca.crt")
    settings = machine.settings(ca=Path("/ca.pem"))
    assert not settings.for_host("localhost:5000").plain_http
    assert settings.for_host("localhost:5001").plain_http


def test_plain_http_can_be_taken_away(machine):
    machine.config('[registry."localhost:5000"]\nplain-http = false\n')
    assert not machine.settings().for_host("localhost:5000").plain_http


def test_proxies_come_from_the_environment(machine):
    machine.environ["HTTPS_PROXY"] = "http://user:hidden@p:3128"
    settings = machine.settings()
    wanted = ProxyServer("http", "p", 3128, "user", "hidden")
    assert settings.proxy_for("https", "a.example") == wanted
    assert settings.proxy_for("http", "a.example") is None
    assert "hidden" not in repr(settings)

from contextlib import ExitStack

import pytest

from buildgraph.errors import MachineError, UsageError
from buildgraph.execute import authority
from buildgraph.execute.authority import Authority, proxies

PROXIES = {"http_proxy": "http://proxy:3128", "NO_PROXY": "localhost", "https_proxy": ""}


def granted(tmp_path, ca="", network="host", **environ):
    with ExitStack() as undo:
        grant = Authority(ca, tmp_path, environ, tmp_path).grant(network, undo)
        files = {
            file.name: file.read_text() for point in grant.points for file in point.source.iterdir()
        }
    return grant, files


def test_a_command_without_a_network_gets_nothing(tmp_path):
    grant, _ = granted(tmp_path, ca="host", network="none", **PROXIES)
    assert grant == ((), {})


def test_proxies_are_handed_on_as_they_are_set(tmp_path):
    grant, _ = granted(tmp_path, SECRET="x", **PROXIES)
    assert grant == ((), {"http_proxy": "http://proxy:3128", "NO_PROXY": "localhost"})
    assert proxies({}) == {}


@pytest.mark.parametrize("network", ["host", "private"])
def test_a_bundle_of_the_workspace_is_mounted_read_only_with_its_variables(tmp_path, network):
    (tmp_path / "ca.pem").write_text("certificates")
    (tmp_path / "ca.pem").chmod(0o600)
    grant, files = granted(tmp_path, ca="ca.pem", network=network)
    (point,) = grant.points
    assert (point.target, point.writable) == (authority.FOLDER, False)
    bundle = f"{authority.FOLDER}/bundle.pem"
    assert files["bundle.pem"] == "certificates"
    assert files["apt.conf"] == f'Acquire::https::CaInfo "{bundle}";\n'
    assert grant.env.pop("APT_CONFIG") == f"{authority.FOLDER}/apt.conf"
    assert set(grant.env.values()) == {bundle}
    assert {"SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"} <= set(grant.env)


def test_anybody_may_read_the_copy_and_it_is_gone_afterwards(tmp_path):
    (tmp_path / "ca.pem").write_text("certificates")
    (tmp_path / "ca.pem").chmod(0o600)
    with ExitStack() as undo:
        grant = Authority("ca.pem", tmp_path, {}, tmp_path).grant("host", undo)
        folder = grant.points[0].source
        assert folder.stat().st_mode & 0o777 == 0o755
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o444}
    assert not folder.exists()


def test_the_bundle_of_the_machine_is_the_one_that_it_names(tmp_path):
    (tmp_path / "named.pem").write_text("named")
    _, files = granted(tmp_path, ca="host", SSL_CERT_FILE=str(tmp_path / "named.pem"))
    assert files["bundle.pem"] == "named"


def test_a_machine_without_a_bundle_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(authority, "_USUAL", (str(tmp_path / "absent"),))
    with pytest.raises(MachineError) as caught:
        granted(tmp_path, ca="host")
    assert caught.value.code == "no-ca-bundle"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"ops/ca\.pem") as caught:
        granted(tmp_path, ca="ops/ca.pem")
    assert caught.value.code == "ca-unreadable"
    assert isinstance(caught.value.__cause__, FileNotFoundError)

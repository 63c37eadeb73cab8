"""A step with a network sees the workspace's CA bundle and the machine's proxies; no layer, key or other step does."""

import pytest
from support.capability import require_root
from support.dockerbuilds import Docker
from support.workspace import Workspace

from buildgraph.build.request import OutputSpec
from buildgraph.errors import StepFailedError

STEPS = """
[workspace]
name = "shop"
ca = "ca.pem"

[step.fetch]
on = ["box"]
network = "host"
env = { GIT_SSL_CAINFO = "/own.pem" }
run = 'cat "$SSL_CERT_FILE" "$APT_CONFIG"; env; test ! -w "$SSL_CERT_FILE" || echo x > "$SSL_CERT_FILE"'

[step.quiet]
on = ["box"]
run = "env; test ! -e /run/buildgraph-ca"

[image.app]
on = ["box", "fetch", "quiet"]
"""


@pytest.fixture
def space(tmp_path):
    require_root()
    space = Workspace.make(tmp_path).base()
    space.buildfile(STEPS)
    space.write("ca.pem", "certificates\n", 0o600)
    space.environ = {"https_proxy": "http://proxy:3128", "OTHER": "1"}
    return space


def test_a_step_with_a_network_sees_both_and_its_own_variables_win(space):
    assert space.attempt("fetch").failures  # the bundle cannot be written, not even by root
    said = space.output("fetch")
    assert said[0] == "certificates"
    assert said[1].startswith("Acquire::https::CaInfo ")
    assert "https_proxy=http://proxy:3128" in said
    assert "GIT_SSL_CAINFO=/own.pem" in said
    assert not [line for line in said if line.startswith("OTHER=")]
    space.build("quiet")
    assert not [
        line for line in space.output("quiet") if "proxy" in line or "buildgraph-ca" in line
    ]


def test_they_are_in_no_layer_and_in_no_key(space, tmp_path):
    space.buildfile(STEPS.replace('; test ! -w "$SSL_CERT_FILE" || echo x > "$SSL_CERT_FILE"', ""))
    space.build(outputs=(OutputSpec("local", str(tmp_path / "out")),))
    assert not (tmp_path / "out/run/buildgraph-ca").exists()
    space.write("ca.pem", "others\n")
    space.environ = {}
    space.build()
    assert space.ran() == set()


def test_a_dockerfile_trusts_whom_the_machine_trusts(tmp_path):
    require_root()
    docker = Docker.make(tmp_path)
    (tmp_path / "own.pem").write_text("certificates\n")
    (tmp_path / "config.toml").write_text('[build]\nca = "own.pem"\n')
    text = 'FROM box\nRUN cat "$SSL_CERT_FILE" 2>/dev/null || echo nothing\n'
    assert docker.said(text, network="host") == ["nothing"]
    docker.workspace.environ = {"BUILDGRAPH_CONFIG": str(tmp_path / "config.toml")}
    assert docker.said(text, network="host", no_cache=True) == ["certificates"]
    docker.workspace.environ = {}
    docker.build(text, network="host")
    assert docker.counts() == {"reused": 1}


@pytest.mark.parametrize(
    "said", ["SSL certificate problem: self-signed", "x: CERTIFICATE_VERIFY_FAILED"]
)
def test_a_command_that_trusts_nobody_is_told_how(tmp_path, said):
    docker = Docker.make(tmp_path)
    with pytest.raises(StepFailedError) as caught:
        docker.build(f"FROM box\nRUN echo '{said}'; exit 60\n", network="host")
    assert "config.toml" in caught.value.hint

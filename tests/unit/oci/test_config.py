import json

import pytest

from buildgraph.errors import ContentError
from buildgraph.names import Platform
from buildgraph.oci.config import Config, Healthcheck, History

A = "sha256:" + "a" * 64


def test_full_config_reads_and_writes_the_same():
    content = json.dumps(
        {
            "created": "2020-01-01T00:00:00Z",
            "author": "Ann",
            "architecture": "arm64",
            "os": "linux",
            "variant": "v8",
            "config": {
                "User": "1000:1000",
                "ExposedPorts": {"53/udp": {}, "80/tcp": {}},
                "Env": ["PATH=/bin", "A=b=c"],
                "Entrypoint": ["/bin/x"],
                "Cmd": [],
                "Volumes": {"/data": {}},
                "WorkingDir": "/w",
                "Labels": {"l": "ü"},
                "StopSignal": "SIGINT",
                "Healthcheck": {"Test": ["NONE"], "Interval": 5_000_000_000, "Retries": 3, "X": 1},
                "OnBuild": ["RUN x"],
                "Shell": ["/bin/bash", "-c"],
                "ArgsEscaped": True,
            },
            "rootfs": {"type": "layers", "diff_ids": [A]},
            "history": [
                {"created": "2020-01-01T00:00:00Z", "created_by": "x"},
                {"empty_layer": True},
            ],
            "docker_version": "1",
            "os.version": "2",
        },
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()
    config = Config.parse(content)
    assert config.env == (("PATH", "/bin"), ("A", "b=c"))
    assert config.cmd == ()
    assert config.exposed == ("53/udp", "80/tcp")
    assert config.healthcheck == Healthcheck(("NONE",), 5_000_000_000, retries=3, extra={"X": 1})
    assert config.history[1] == History(empty_layer=True)
    assert config.extra == {"docker_version": "1", "os.version": "2"}
    assert config.to_bytes() == content


def test_nulls_of_go_read_as_absent():
    content = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": None, "Cmd": None, "Volumes": None, "Labels": None, "OnBuild": None},
            "rootfs": {"type": "layers", "diff_ids": None},
            "history": None,
        }
    ).encode()
    assert Config.parse(content) == Config.empty(Platform("linux", "amd64"))


def test_empty_config_is_small_and_readable():
    content = Config.empty(Platform("linux", "amd64")).to_bytes()
    assert content == (
        b'{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}'
    )


def test_last_value_of_a_variable_counts():
    config = Config("amd64", "linux", env=(("A", "1"), ("A", "2")))
    assert config.environment == {"A": "2"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rootfs": None}, "has no rootfs"),
        ({"rootfs": {"type": "files"}}, "not of type 'layers'"),
        ({"rootfs": {"type": "layers", "diff_ids": ["sha256:../x"]}}, "diff_ids"),
        ({"os": ""}, "names no os"),
        ({"architecture": None}, "names no os or no architecture"),
        ({"config": {"Env": "A=1"}}, "Env"),
        ({"config": {"ExposedPorts": ["80"]}}, "ExposedPorts"),
        ({"config": []}, "config"),
        ({"history": {}}, "history"),
        ({"config": {"Healthcheck": {"Interval": -1}}}, "Interval"),
    ],
)
def test_bad_configs_are_refused(changes, said):
    whole = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    with pytest.raises(ContentError, match=said):
        Config.parse(json.dumps(whole | changes).encode())

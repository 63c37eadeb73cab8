"""Do the documents that we write follow the specification, and would the schemas notice if they did not?"""

import json

import pytest
from support.images import AMD, image
from support.imagespec import document_mistakes, mistakes

from buildgraph.digest import Digest
from buildgraph.image.assemble import LayerBlob, assemble
from buildgraph.image.layout import write_layout
from buildgraph.oci.config import Config, Healthcheck

FULL = Config(
    "amd64",
    "linux",
    author="Ann",
    env=(("PATH", "/bin"),),
    user="1000:1000",
    workdir="/srv",
    entrypoint=("/bin/x",),
    cmd=(),
    exposed=("53/udp", "80/tcp"),
    volumes=("/data",),
    labels={"a": "b"},
    stop_signal="SIGINT",
    shell=("/bin/sh", "-c"),
    onbuild=("RUN x",),
    healthcheck=Healthcheck(("CMD", "true"), 1, 2, 3, 4, 5),
)


@pytest.mark.parametrize("config", [Config.empty(AMD), FULL])
def test_layouts_follow_the_specification(tmp_path, config):
    write_layout(tmp_path, image([{"a": "1"}, {"b": "2"}], config), ["x:1", "x:2"])
    write_layout(tmp_path, image([], config), ["empty:1"])
    assert mistakes(tmp_path) == []


def test_empty_history_entries_follow_the_specification():
    made = assemble(FULL, [LayerBlob(Digest.sha256(b""), None, "nothing", empty=True)])
    assert document_mistakes("config", json.loads(made.config_bytes)) == []


GOOD = {"mediaType": "a/b", "digest": "sha256:" + "a" * 64, "size": 1}


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        ("layout", {}),
        ("layout", {"imageLayoutVersion": "2.0.0"}),
        ("descriptor", {**GOOD, "size": -1}),
        ("descriptor", {**GOOD, "digest": "sha256:../x"}),
        ("descriptor", {**GOOD, "digest": "sha256:" + "A" * 64}),
        ("descriptor", {**GOOD, "mediaType": "nothing"}),
        ("descriptor", {**GOOD, "annotations": {"a": 1}}),
        ("descriptor", {**GOOD, "platform": {"os": "linux"}}),
        ("index", {"schemaVersion": 2, "manifests": []}),
        (
            "index",
            {
                "schemaVersion": 1,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [],
            },
        ),
        (
            "manifest",
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": GOOD,
                "layers": [],
            },
        ),
        ("config", {"architecture": "amd64", "os": "linux"}),
        (
            "config",
            {"architecture": "amd64", "os": "linux", "rootfs": {"type": "files", "diff_ids": []}},
        ),
        (
            "config",
            {
                "architecture": "amd64",
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": []},
                "created": "now",
            },
        ),
        (
            "config",
            {
                "architecture": "amd64",
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": []},
                "config": {"Env": ["A"]},
            },
        ),
    ],
)
def test_the_schemas_notice(schema, document):
    assert document_mistakes(schema, document)

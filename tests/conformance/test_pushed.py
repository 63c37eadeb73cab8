"""skopeo and podman read what we push, and we read what they push: the same bytes on every way."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from support import foreign
from support.capability import require, require_root
from support.foreign import said
from support.images import AMD, blobs_of, image
from support.program import Program
from support.registry import running
from support.workspace import Workspace

from buildgraph.image.content import Content
from buildgraph.image.layout import Layout, write_layout
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.oci.descriptor import INDEX, Descriptor
from buildgraph.oci.manifest import Index

ARM = Platform("linux", "arm64")


@pytest.fixture
def registry(tmp_path):
    require_root()
    require("skopeo", "podman", "runc")
    with running(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def program(tmp_path):
    program = Program.of(Workspace.make(tmp_path))
    yield program
    program.end()


def raw(reference):
    return said("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")


def digest_of(content):
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


def two_platforms(folder):
    """A layout with an index of two images; the index's digest."""
    sources = [image([{"a": "shared"}, {"b": str(p)}], Config.empty(p)) for p in (AMD, ARM)]
    blobs = blobs_of(sources[0])
    blobs.update(blobs_of(sources[1]))
    index = Index(tuple(source.descriptor for source in sources)).to_bytes()
    root = Descriptor(INDEX, blobs.add(index), len(index))
    write_layout(folder, Content.load(blobs.open, root, "two"), [":1"])
    return root.digest


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_podman_runs_what_a_build_pushed(tmp_path, registry, compression):
    space = Workspace.make(tmp_path, "own").base()
    space.buildfile(
        f'[step.made]\non = ["box"]\nrun = "echo made > /made"\n[image.app]\non = ["made"]\n'
        f'compression = "{compression}"\ncmd = ["cat", "/made"]\ntags = ["{registry.host}/app:1"]\n'
    )
    summary = space.build(push="all")
    digest = summary.metadata["targets"]["app"]["digest"]
    assert digest_of(raw(f"{registry.host}/app:1")) == digest
    said("skopeo", "copy", "--preserve-digests", "--src-tls-verify=false",
        f"docker://{registry.host}/app:1", f"oci:{tmp_path}/copied:1")  # fmt: skip
    assert Layout(tmp_path / "copied").image("1", AMD).descriptor.digest == digest
    with foreign.podman() as podman:
        podman("pull", "-q", "--tls-verify=false", f"{registry.host}/app:1")
        shown = podman("run", "--rm", "--network", "none", "--ulimit", "nofile=512:512",
                    "--ulimit", "nproc=512:512", f"{registry.host}/app:1")  # fmt: skip
        assert shown == "made\n"


def test_all_platforms_go_every_way_with_one_digest(tmp_path, registry, program):
    digest = two_platforms(tmp_path / "two")
    host = registry.host
    program.run("copy", f"oci:{tmp_path}/two:1", f"docker://{host}/a/two:1")
    assert digest_of(raw(f"{host}/a/two:1")) == digest
    program.run("copy", f"docker://{host}/a/two:1", f"docker://{host}/b/two:2")
    assert digest_of(raw(f"{host}/b/two:2")) == digest
    assert [a for a in registry.accesses() if a.method == "PATCH"] == []
    pulled = program.run("pull", f"{host}/b/two:2")
    assert pulled.stdout == f"{host}/b/two:2@{digest}\n"
    program.run("push", f"{host}/b/two:2", f"{host}/c/two:3")
    assert digest_of(raw(f"{host}/c/two:3")) == digest
    program.run("copy", f"store:{host}/b/two:2", f"oci-archive:{tmp_path}/two.tar:4")
    said("skopeo", "copy", "--all", "--preserve-digests",
        f"oci-archive:{tmp_path}/two.tar:4", f"oci:{tmp_path}/back:4")  # fmt: skip
    (entry,) = Layout(tmp_path / "back").index().manifests
    assert entry.digest == digest
    shutil.rmtree(program.home)
    program.run("load", "-i", tmp_path / "two.tar")
    assert digest in program.run("images", "--json").stdout


def test_one_platform_can_be_chosen(tmp_path, registry, program):
    two_platforms(tmp_path / "two")
    program.run("copy", f"oci:{tmp_path}/two:1", f"docker://{registry.host}/two:1")
    program.run("pull", "--platform", "linux/arm64", f"{registry.host}/two:1")
    shown = json.loads(program.run("inspect", f"{registry.host}/two:1").stdout)
    assert shown["config"]["architecture"] == "arm64"


@pytest.mark.parametrize("form", ["oci", "v2s2"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_we_read_what_skopeo_pushes(tmp_path, registry, program, form, compression):
    if (form, compression) == ("v2s2", "zstd"):
        compression = "gzip"  # docker's own manifests have no type for zstd
    two_platforms(tmp_path / "two")
    name = f"{registry.host}/their/{form}-{compression}:1"
    said("skopeo", "copy", "--dest-tls-verify=false", "--format", form, "--dest-compress-format",
        compression, "--override-arch", "amd64", f"oci:{tmp_path}/two:1", f"docker://{name}")  # fmt: skip
    digest = digest_of(raw(name))
    assert program.run("pull", name).stdout == f"{name}@{digest}\n"
    program.run("validate", name)
    program.run("push", name, f"{registry.host}/ours:1")
    assert digest_of(raw(f"{registry.host}/ours:1")) == digest


def test_save_writes_what_podman_loads(tmp_path, registry, program):
    two_platforms(tmp_path / "two")
    program.run("copy", "--platform", "linux/amd64", f"oci:{tmp_path}/two:1", "store:shop/two:1")
    program.run("save", "-o", tmp_path / "saved.tar", "shop/two:1")
    shown = json.loads(said("skopeo", "inspect", f"docker-archive:{Path(tmp_path)}/saved.tar"))
    assert shown["Architecture"] == "amd64"

"""Dockerfiles for several platforms at once: what is shared, what each has of its own, and the one index of all."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from support import capability, foreign
from support.dockerbuilds import Docker
from support.platforms import BOTH, write_base, write_foreign
from support.registry import running
from support.remotebase import HERE, OTHER

from buildgraph.build.images import list_images
from buildgraph.build.looking import inspect, validate
from buildgraph.build.request import Annotation, OutputSpec
from buildgraph.build.store import cache_gc
from buildgraph.errors import MachineError, UsageError

CROSS = (
    "FROM --platform=$BUILDPLATFORM box AS build\nRUN echo -n once > /made\n"
    "FROM --platform=$BUILDPLATFORM build AS cross\nARG TARGETARCH\nRUN echo -n $TARGETARCH > /arch\n"
    "FROM box\nARG TARGETPLATFORM BUILDPLATFORM\nCOPY --from=build /made /\nCOPY --from=cross /arch /\n"
    "COPY f /f\nRUN echo -n $TARGETPLATFORM on $BUILDPLATFORM > /told\nENV FOR=$TARGETPLATFORM\n"
)
NAMES = [str(HERE).replace("/", "_"), str(OTHER).replace("/", "_")]


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    made = Docker.make(tmp_path)
    made.write("f", "context\n")
    box = made.workspace.folder / "box"
    subprocess.run(["rm", "-r", str(box)], check=True)
    write_base(tmp_path / "bases", box, HERE, OTHER)
    return made


def layout_of(docker: Docker, text: str | None = None, **asked: object) -> tuple[Path, dict]:
    """Where it was written, and the index that it holds."""
    place = docker.workspace.folder.parent / "layout"
    docker.build(text, platform=BOTH, outputs=(OutputSpec("oci", str(place)),), **asked)
    entries = json.loads((place / "index.json").read_text())["manifests"]
    return place, read(place, entries[-1]["digest"])


def read(place: Path, digest: str) -> dict:
    return json.loads((place / "blobs/sha256" / digest.removeprefix("sha256:")).read_text())


def test_one_index_holds_an_image_for_each(docker: Docker) -> None:
    place, index = layout_of(docker, CROSS)
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    listed = {one["platform"]["architecture"]: one for one in index["manifests"]}
    assert list(listed) == [HERE.arch, OTHER.arch]
    for platform in (HERE, OTHER):
        manifest = read(place, listed[platform.arch]["digest"])
        config = read(place, manifest["config"]["digest"])
        assert (config["os"], config["architecture"]) == ("linux", platform.arch)
        assert f"FOR={platform}" in config["config"]["Env"]
    assert validate(docker.workspace.home, str(place)) == []


def test_annotations_go_where_they_say(docker: Docker) -> None:
    told = (
        Annotation("manifest", str(OTHER), "one", "1"),
        Annotation("index", "", "whole", "2"),
        Annotation("manifest-descriptor", "", "listed", "3"),
        Annotation("index-descriptor", "", "named", "4"),
    )
    place, index = layout_of(docker, CROSS, annotations={"all": "0"}, placed=told)
    assert index["annotations"] == {"whole": "2"}
    [named] = json.loads((place / "index.json").read_bytes())["manifests"]
    assert (named["annotations"]["named"], "listed" in named["annotations"]) == ("4", False)
    assert [one["annotations"] for one in index["manifests"]] == [{"listed": "3"}] * 2
    here, other = (read(place, one["digest"])["annotations"] for one in index["manifests"])
    assert (here["all"], other["all"], other["one"], "one" in here) == ("0", "0", "1", False)
    for each in (told[1], told[3]):
        with pytest.raises(UsageError) as caught:
            docker.build(placed=(each,))
        assert caught.value.code == "no-index"


def test_the_descriptor_of_an_only_image_is_annotated(docker: Docker, tmp_path: Path) -> None:
    told = (
        Annotation("manifest-descriptor", "", "listed", "3"),
        Annotation("manifest-descriptor", str(OTHER), "elsewhere", "4"),
    )
    for kind in ("oci", "oci-archive"):
        docker.build(CROSS, placed=told, outputs=(OutputSpec(kind, str(tmp_path / kind)),))
    with tarfile.open(tmp_path / "oci-archive") as archive:
        packed = archive.extractfile("index.json").read()
    assert packed == (tmp_path / "oci/index.json").read_bytes()
    [entry] = json.loads(packed)["manifests"]
    assert (entry["annotations"]["listed"], "elsewhere" in entry["annotations"]) == ("3", False)
    assert read(tmp_path / "oci", entry["digest"]).get("annotations", {}) == {}


def test_an_index_for_one_platform(docker: Docker, tmp_path: Path) -> None:
    alone = docker.build(CROSS).images[0].digest
    out, files = tmp_path / "one", tmp_path / "files"
    outputs = (OutputSpec("oci", str(out)), OutputSpec("local", str(files)))
    told = (Annotation("index", "", "whole", "2"),)
    args = {"BUILDKIT_MULTI_PLATFORM": "true"}
    docker.build(args=args, outputs=outputs, placed=told)
    [listed] = json.loads((out / "index.json").read_bytes())["manifests"]
    index = read(out, listed["digest"])
    assert index["annotations"] == {"whole": "2"}
    assert [one["digest"] for one in index["manifests"]] == [alone]
    assert [path.name for path in files.iterdir()] == NAMES[:1]
    assert docker.workspace.ran() == set()
    docker.build(args={"BUILDKIT_MULTI_PLATFORM": "0"})
    for value, platform in (("0", BOTH), ("many", str(HERE))):
        with pytest.raises(UsageError) as caught:
            docker.build(args={"BUILDKIT_MULTI_PLATFORM": value}, platform=platform)
        assert caught.value.code == "bad-build-arg"


def test_what_is_equal_is_made_once(docker: Docker) -> None:
    docker.build(CROSS, platform=BOTH)
    ran = docker.workspace.ran()
    shared = {step.partition("/")[2] for step in ran if "@" not in step}
    assert shared == {"build/2-run", "stage-2/2-copy", "stage-2/4-copy"}
    own = {
        f"{step}@{platform}"
        for step in ("cross/1-run", "stage-2/5-run")
        for platform in (HERE, OTHER)
    }
    assert {step.partition("/")[2] for step in ran if "run@" in step} == own
    docker.build(platform=BOTH)
    assert docker.workspace.ran() == set()
    docker.build(platform=str(OTHER))  # alone it is the same image, from the same records
    assert docker.workspace.ran() == set()


def test_alone_each_is_the_image_of_the_index(docker: Docker) -> None:
    _, index = layout_of(docker, CROSS)
    together = [one["digest"] for one in index["manifests"]]
    alone = [docker.build(platform=str(p)).images[0].digest for p in (HERE, OTHER)]
    assert alone == together


def test_files_lie_in_a_folder_for_each(docker: Docker, tmp_path: Path) -> None:
    out, archive = tmp_path / "files", tmp_path / "files.tar"
    outputs = (OutputSpec("local", str(out)), OutputSpec("tar", str(archive)))
    docker.build(CROSS, platform=BOTH, outputs=outputs)
    assert sorted(p.name for p in out.iterdir()) == sorted(NAMES)
    with tarfile.open(archive) as members:
        linked = members.getmember(f"{NAMES[0]}/usr/bin/sh")
        assert linked.linkname == f"{NAMES[0]}/usr/bin/busybox"
        found = {name: members.extractfile(f"{name}/told").read().decode() for name in NAMES}
    for name, platform in zip(NAMES, (HERE, OTHER), strict=True):
        told = f"{platform} on {HERE}"
        assert (out / name / "told").read_text() == found[name] == told
        assert (out / name / "arch").read_text() == platform.arch
        assert (out / name / "made").read_text() == "once"


def test_the_store_has_it_under_one_name(docker: Docker) -> None:
    digest = docker.build(CROSS, platform=BOTH, tags=("app:1",)).images[0].digest
    home = docker.workspace.home
    [entry] = list_images(home)
    assert (entry.tag, entry.digest) == ("app:1", digest)
    seen = inspect(home, "app:1", {})
    assert seen["config"]["architecture"] == HERE.arch
    assert seen["index"]["digest"] == digest
    assert len(seen["index"]["manifests"]) == 2
    assert validate(home, "app:1") == []
    cache_gc(home, max_size=0, max_age=None, dry_run=False)
    assert validate(home, "app:1") == []


def test_an_index_without_this_machine_s_platform_is_no_damage(docker: Docker) -> None:
    others = "linux/s390x,linux/arm/v7" if HERE.arch != "arm" else "linux/s390x,linux/386"
    docker.build("FROM scratch\nCOPY f /\n", platform=others, tags=("app:1",))
    [entry] = list_images(docker.workspace.home)
    assert entry.size > 0
    assert inspect(docker.workspace.home, "app:1", {})["config"]["architecture"] == "s390x"


def test_documents_tell_of_all(docker: Docker, tmp_path: Path) -> None:
    docker.write("Dockerfile", CROSS)
    files = {"metadata_file": tmp_path / "m.json", "iidfile": tmp_path / "iid"}
    summary = docker.workspace.build(**docker.request(platform=BOTH), **files)
    told = json.loads((tmp_path / "m.json").read_text())["targets"]["ctx"]
    assert told["digest"] == summary.images[0].digest == (tmp_path / "iid").read_text()
    assert (told["platforms"], told["config_digest"]) == ([str(HERE), str(OTHER)], "")
    assert list(told["images"]) == told["platforms"]
    layers = [layer for one in told["images"].values() for layer in one["layers"]]
    assert told["layers"] == list(dict.fromkeys(layers))


def test_a_failure_for_one_platform_fails_all(docker: Docker, tmp_path: Path) -> None:
    text = f'FROM box\nARG TARGETARCH\nRUN test "$TARGETARCH" != {OTHER.arch}\n'
    docker.write("Dockerfile", text)
    place = tmp_path / "layout"
    asked = docker.request(platform=BOTH, outputs=(OutputSpec("oci", str(place)),), tags=("app:1",))
    summary = docker.workspace.attempt(**asked, keep_going=True)
    [failure] = summary.failures
    assert (failure.code, str(failure.where)) == ("step-failed", "ctx/Dockerfile:3")
    assert not place.exists()
    assert list_images(docker.workspace.home) == []


def test_a_copy_needs_no_machine_of_that_kind(docker: Docker) -> None:
    """Nothing of it can be executed here, and nothing has to be."""
    docker.build(
        "FROM scratch\nARG TARGETARCH\nCOPY f /$TARGETARCH\nWORKDIR /w\n",
        platform="linux/s390x,linux/arm64",
    )
    assert len(docker.workspace.ran()) == 3  # the folder is made once


def test_a_command_that_no_kernel_here_executes_says_so(docker: Docker, tmp_path: Path) -> None:
    platform = write_foreign(tmp_path / "foreign", docker.workspace.folder / "far")
    docker.write("Dockerfile", "FROM far\nRUN echo 1 > /x\n")
    asked = docker.request(platform=str(platform), contexts={"far": "oci-layout://far:latest"})
    with pytest.raises(MachineError) as caught:
        docker.workspace.build(**asked)
    assert caught.value.code == "foreign-platform"
    assert str(platform) in caught.value.message
    assert "qemu-user-static" in caught.value.hint
    assert str(caught.value.where) == "ctx/Dockerfile:2"


def test_what_docker_load_reads_holds_one(docker: Docker, tmp_path: Path) -> None:
    outputs = (OutputSpec("docker", str(tmp_path / "x.tar")),)
    with pytest.raises(UsageError) as caught:
        docker.build("FROM box\n", platform=BOTH, outputs=outputs)
    assert caught.value.code == "output-several-platforms"


def test_a_context_can_be_another_for_each(docker: Docker) -> None:
    """``name::platform``: of its own files, and of its own steps."""
    docker.workspace.write("one/g", "one")
    docker.workspace.write("two/g", "two")
    contexts = {"src": "one", f"src::{OTHER}": "two"}
    out = docker.workspace.folder.parent / "files"
    text = "FROM src AS given\nFROM scratch\nCOPY --from=given /g /\n"
    docker.build(text, platform=BOTH, contexts=contexts, outputs=(OutputSpec("local", str(out)),))
    assert [(out / name / "g").read_text() for name in NAMES] == ["one", "two"]


def test_it_is_pushed_with_all_platforms(docker: Docker, tmp_path: Path) -> None:
    capability.require("skopeo")
    with running(tmp_path / "registry") as registry:
        name = f"{registry.host}/shop/app:1"
        summary = docker.build(CROSS, platform=BOTH, tags=(name,), push="all")
        raw = foreign.said("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}")
        assert [one["platform"]["architecture"] for one in json.loads(raw)["manifests"]] == [
            HERE.arch,
            OTHER.arch,
        ]
        assert summary.pushed is not None
        assert dict(summary.pushed.named)[name] == summary.images[0].digest
        assert validate(docker.workspace.home, f"docker://{name}") == []


def test_other_tools_read_it(docker: Docker, tmp_path: Path) -> None:
    capability.require("skopeo", "umoci", "podman")
    place, index = layout_of(docker, CROSS, tags=("app:1",))
    for platform in (HERE, OTHER):
        copied = tmp_path / platform.arch
        arch = f"--override-arch={platform.arch}"
        foreign.said("skopeo", "copy", arch, f"oci:{place}:1", f"oci:{copied}:1")
        unpacked = tmp_path / f"{platform.arch}-files"
        foreign.said("umoci", "unpack", "--image", f"{copied}:1", unpacked)
        assert (unpacked / "rootfs/arch").read_text() == platform.arch
    with foreign.podman() as podman:
        # From the layout's folder: podman names images by their paths, which must be lower-case.
        podman("pull", "-q", "--arch", OTHER.arch, f"oci:{place.name}:1", cwd=place.parent)
        image = podman("images", "-q").split()[0]
        shown = podman("image", "inspect", image, "--format", "{{.Architecture}}")
        assert shown.strip() == OTHER.arch
    assert len(index["manifests"]) == 2

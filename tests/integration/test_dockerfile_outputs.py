"""What building a Dockerfile leaves: outputs of every type, times, documents; one failure of several."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from support.dockerbuilds import Docker

from buildgraph.build.request import OutputSpec
from buildgraph.errors import UsageError

TEXT = "FROM box AS a\nRUN echo 1 > /x\nFROM box\nCOPY --from=a /x /\nENV A=1\n"


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker.make(tmp_path)


def test_several_outputs_at_once_hold_one_image(docker: Docker, tmp_path: Path) -> None:
    types = {"oci": "layout", "oci-archive": "a.tar", "docker": "d.tar", "tar": "t.tar"}
    outputs = [OutputSpec(kind, str(tmp_path / name)) for kind, name in types.items()]
    outputs.append(OutputSpec("local", str(tmp_path / "files")))
    summary = docker.build(TEXT, outputs=tuple(outputs))
    digest = summary.images[0].digest
    [entry] = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    assert entry["digest"] == digest
    with tarfile.open(tmp_path / "a.tar") as archive:
        stream = archive.extractfile("index.json")
        assert stream
        assert json.load(stream)["manifests"][0]["digest"] == digest
    with tarfile.open(tmp_path / "d.tar") as archive:
        stream = archive.extractfile("manifest.json")
        assert stream
        [described] = json.load(stream)
        assert described["Config"].endswith(summary.images[0].config_digest.split(":")[1])
    with tarfile.open(tmp_path / "t.tar") as archive:
        assert "x" in archive.getnames()
    assert (tmp_path / "files/x").read_text() == "1\n"


def test_files_of_new_layers_have_the_fixed_time(docker: Docker) -> None:
    tree = docker.tree(TEXT + "WORKDIR /w\nRUN touch -d 2001-02-03 /old\n")
    assert {tree[name].mtime for name in ("x", "w", "old")} == {315532800}


def test_the_documents_of_a_build(docker: Docker, tmp_path: Path) -> None:
    docker.write("Dockerfile", TEXT)
    request = docker.request(tags=("app:1",))
    files = {"metadata_file": tmp_path / "m.json", "iidfile": tmp_path / "iid"}
    summary = docker.workspace.build(**request, **files)
    [image] = summary.images
    told = json.loads((tmp_path / "m.json").read_text())["targets"]["ctx"]
    assert (told["digest"], told["tags"]) == (image.digest, ["app:1"])
    assert (tmp_path / "iid").read_text() == image.config_digest


def test_of_two_failing_stages_one_is_told(docker: Docker) -> None:
    text = "FROM box AS a\nRUN exit 3\nFROM box AS b\nRUN exit 4\n"
    text += "FROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n"
    docker.write("Dockerfile", text)
    summary = docker.workspace.attempt(**docker.request(jobs=1))
    assert len(summary.failures) == 1
    assert summary.failures[0].where is not None


@pytest.mark.parametrize(("more", "end"), [({}, "cancelled"), ({"keep_going": True}, "executed")])
def test_the_first_failure_stops_what_runs_beside_it(
    docker: Docker, more: dict[str, bool], end: str
) -> None:
    mount = "RUN --mount=type=cache,id=met,target=/met"
    long = "until test -e /met/never; do sleep 0.1; done" if not more else "true"
    text = f"FROM box AS a\n{mount} until test -e /met/b; do sleep 0.01; done; exit 3\n"
    text += f"FROM box AS b\n{mount} touch /met/b; {long}\n"
    text += "FROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n"
    docker.write("Dockerfile", text)
    summary = docker.workspace.attempt(**docker.request(jobs=2), **more)
    assert [str(failure.where) for failure in summary.failures] == ["ctx/Dockerfile:2"]
    assert docker.workspace.outcomes()["ctx/b/2-run"] == end


@pytest.mark.parametrize("kind", ["tar", "oci-archive", "docker"])
def test_an_output_can_be_the_standard_one(docker: Docker, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "same.tar"
    stdout = io.BytesIO()
    outputs = (OutputSpec(kind, "-"), OutputSpec(kind, str(file)))
    docker.build(TEXT, outputs=outputs, stdout=stdout)
    assert stdout.getvalue() == file.read_bytes()
    assert list((docker.workspace.home / "tmp").iterdir()) == []


def test_layers_are_compressed_as_an_output_asks(docker: Docker, tmp_path: Path) -> None:
    magics = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "none": b""}
    for name, magic in magics.items():
        place = tmp_path / name
        docker.build(TEXT, outputs=(OutputSpec("oci", str(place), name),))
        [entry] = json.loads((place / "index.json").read_text())["manifests"]
        manifest = json.loads((place / "blobs/sha256" / entry["digest"][7:]).read_text())
        own = manifest["layers"][-1]
        suffix = "" if name == "none" else f"+{name}"
        assert own["mediaType"] == f"application/vnd.oci.image.layer.v1.tar{suffix}"
        content = (place / "blobs/sha256" / own["digest"][7:]).read_bytes()
        assert content.startswith(magic)
        assert name != "none" or content[257:262] == b"ustar"
    several = (OutputSpec("oci", str(place), "zstd"), OutputSpec("tar", str(place), "none"))
    with pytest.raises(UsageError) as caught:
        docker.build(outputs=several)
    assert caught.value.code == "output-compressions"

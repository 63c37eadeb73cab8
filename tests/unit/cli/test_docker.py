"""``build`` of a Dockerfile: when it is meant, and what docker's options say."""

import io
import sys

import pytest
from support.screen import Asked, run

from buildgraph.build.request import Annotation, DockerRequest, ImageResult, OutputSpec, Summary
from buildgraph.spec.docker import Limits


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUILDGRAPH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BUILDGRAPH_CACHE", raising=False)
    return tmp_path


@pytest.fixture
def asked(monkeypatch):
    return Asked().replace(monkeypatch, build=Summary(True, {}, ()))


def docker(asked: Asked, *words: str) -> DockerRequest | None:
    said = run("build", *words)
    assert said.code == 0, said.err
    return asked.request.docker


def test_a_dockerfile_is_meant(asked, place):
    (place / "sub").mkdir()
    assert docker(asked, "-f", "any/File") == DockerRequest(file="any/File")
    assert asked.request.file is None
    assert docker(asked, "-f", "x.dockerfile", "sub") == DockerRequest("sub", "x.dockerfile")
    assert docker(asked, "target") is None
    assert asked.request.targets == ("target",)
    (place / "sub/dockerfile").touch()
    assert docker(asked, "sub") == DockerRequest("sub")
    assert docker(asked) is None
    (place / "Dockerfile").touch()
    assert docker(asked) == DockerRequest()
    assert asked.request.targets == ()


def test_a_folder_without_any_is_told(asked, place):
    (place / "sub").mkdir()
    said = run("build", "sub")
    assert (said.code, "error[no-dockerfile]" in said.err, "'sub'" in said.err) == (2, True, True)
    assert "error[several-contexts]" in run("build", ".", "sub").err
    (place / "Buildfile.toml").touch()
    assert docker(asked, "sub") is None
    assert asked.request.targets == ("sub",)


def test_flags_with_a_value_as_scripts_for_docker_write_them(asked):
    words = ("-f", "Dockerfile", ".")
    assert docker(asked, *words, "--pull=true").pull
    assert not docker(asked, *words, "--pull=false").pull
    docker(asked, *words, "--no-cache=True")
    assert asked.request.no_cache
    docker(asked, *words, "--push=true")
    assert asked.request.push == "all"
    docker(asked, *words, "--push=false")
    assert not asked.request.push
    assert run("build", *words, "--pull=maybe").code == 2


def test_a_buildfile_is_meant(asked, place):
    (place / "Dockerfile").touch()
    (place / "Buildfile.toml").touch()
    assert docker(asked) is None
    assert docker(asked, "-f", "other.toml") is None
    assert asked.request.file == place / "other.toml"
    assert docker(asked, "-f", str(place)) is None
    assert docker(asked, "a", "b") is None


def test_docker_s_options(asked, monkeypatch):
    words = """
    -f Dockerfile . --target b --build-arg A=1 --build-arg B= --build-arg HOME --build-arg C=x=y
    --build-context box=oci-layout://d:t --build-context f=../x --label l=1 --label m
    --annotation a=b --network none --add-host h:1.2.3.4 --add-host six=[::1] --allow network.host
    --pull --no-cache-filter a,b --no-cache-filter c --shm-size 64m --ulimit nofile=5
    --ulimit core=1:2
    """
    assert docker(asked, *words.split()) == DockerRequest(
        context=".",
        file="Dockerfile",
        target="b",
        args={"A": "1", "B": "", "C": "x=y"},
        inherited=("HOME",),
        contexts={"box": "oci-layout://d:t", "f": "../x"},
        labels={"l": "1", "m": ""},
        annotations={"a": "b"},
        network="none",
        hosts={"h": "1.2.3.4", "six": "::1"},
        allow=frozenset({"network.host"}),
        pull=True,
        no_cache_filter=("a", "b", "c"),
        shm_size=64 << 20,
        ulimits={"nofile": (5, 5), "core": (1, 2)},
    )


def test_an_output_may_be_a_path_alone(asked, place):
    docker(asked, "-f", "D", "-o", "out")
    assert asked.request.outputs == (OutputSpec("local", str(place / "out")),)


@pytest.mark.parametrize(("file", "context"), [("-", "."), ("", "-")])
def test_standard_input(asked, monkeypatch, file, context):
    stdin = io.TextIOWrapper(io.BytesIO(b"FROM x"))
    monkeypatch.setattr(sys, "stdin", stdin)
    words = ["-f", file] if file else []
    found = docker(asked, *words, context)
    assert found == DockerRequest(context, file)
    assert found.stdin is stdin.buffer


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-f", "Dockerfile", "a", "b"), "one context"),
        (("-f", "-", "-"), "cannot both be standard input"),
        (("--target", "x"), "--target is for Dockerfiles"),
        (("--pull",), "--pull is for Dockerfiles"),
        (("-f", "D", "--build-arg", "=x"), "--build-arg"),
        (("-f", "D", "--label", "=x"), "--label"),
        (("-f", "D", "--set", "a=b"), "--build-arg a=b gives an ARG its value"),
        (("-f", "D", "--annotation", "layer:a=b"), "'layer' is no place"),
        (("-f", "D", "--add-host", "x"), "--add-host"),
        (("-f", "D", "--ulimit", "nofile=x"), "--ulimit"),
        (("-f", "D", "--shm-size", "big"), "--shm-size"),
        (("-f", "D", "--network", "own"), "own"),
        (("-f", "D", "--build-context", "x"), "--build-context"),
    ],
)
def test_what_is_refused(asked, words, said):
    found = run("build", *words)
    assert found.code == 2
    assert said in found.err


@pytest.mark.parametrize("command", ["init", "lock"])
def test_other_commands_want_a_buildfile(command):
    said = run("-f", "Dockerfile", command)
    assert said.code == 2
    assert "error[not-a-buildfile]" in said.err


@pytest.mark.parametrize(
    ("word", "output"),
    [
        ("-", OutputSpec("tar", "-")),
        ("type=docker,dest=-", OutputSpec("docker", "-")),
        ("type=oci-archive,dest=-,compression=zstd", OutputSpec("oci-archive", "-", "zstd")),
        ("type=store,compression=uncompressed", OutputSpec("store", "", "none")),
        ("type=store,compression-level=9", OutputSpec("store", "", "gzip", 9)),
        ("type=store,compression=zstd,compression-level=5", OutputSpec("store", "", "zstd", 5)),
    ],
)
def test_outputs_as_docker_writes_them(asked, word, output):
    docker(asked, "-f", "Dockerfile", "-o", word, "--provenance=false", "--sbom=false")
    assert asked.request.outputs == (output,)
    assert (asked.request.stdout is not None) == (output.dest == "-")


@pytest.mark.parametrize(
    "words",
    [
        "-f D -o type=oci,dest=-",
        "-f D -o type=store,compression=estargz",
        "-f D -o type=store,compression=uncompressed,compression-level=1",
        "-f D -o type=store,compression=zstd,compression-level=99",
        "-o type=store,compression=zstd",
        "-f D --provenance=mode=max",
        "-f D --sbom=true",
    ],
)
def test_outputs_that_cannot_be(asked, words):
    said = run("build", *words.split())
    assert said.code == 2, words
    assert "error[bad-option-value]" in said.err or "error[unsupported]" in said.err


@pytest.mark.parametrize(
    "words", ["--platform linux/amd64,arm/v7", "--platform linux/amd64 --platform linux/arm64"]
)
def test_platforms_are_one_list(asked, words):
    said = run("build", "-f", "D", *words.split(), ".")
    assert said.code == 0
    assert asked.request.platform.startswith("linux/amd64,")


def test_images_and_registries_are_outputs_of_docker_s(asked):
    docker(asked, "-f", "D", "-o", "type=image,name=a/b:1,push=true")
    request = asked.request
    assert (request.outputs, request.tags, request.push) == (
        (OutputSpec("store"),),
        ("a/b:1",),
        "all",
    )
    docker(asked, "-f", "D", "-t", "x", "-o", 'type=image,"name=a,b",compression=zstd')
    request = asked.request
    assert (request.outputs, request.tags, request.push) == (
        (OutputSpec("store", "", "zstd"),),
        ("x", "a", "b"),
        "",
    )
    docker(asked, "-f", "D", "-o", "type=registry,name=a", "-o", "type=local,dest=/out")
    assert asked.request.outputs == (OutputSpec("store"), OutputSpec("local", "/out"))
    assert asked.request.push == "all"


def test_annotations_have_places(asked):
    found = docker(
        asked,
        *("-f", "D", "--annotation", "a=b", "--annotation", "manifest:com.x/c=d=e"),
        *("--annotation", "index,manifest[linux/arm64]:f=g", "--annotation", "org.x:y=z"),
        *("--annotation", "index-descriptor:h=i"),
    )
    assert found.annotations == {"a": "b", "com.x/c": "d=e", "org.x:y": "z"}
    assert found.placed == (
        Annotation("index", "linux/arm64", "f", "g"),
        Annotation("manifest", "linux/arm64", "f", "g"),
        Annotation("index-descriptor", "", "h", "i"),
    )


def test_what_docker_has_to_be_told_is_so_anyway(asked):
    assert docker(asked, "-f", "D", "--load", "--rm", "--force-rm") == DockerRequest(file="D")


def test_quiet_prints_the_image(monkeypatch):
    image = ImageResult("x", "sha256:m", "sha256:c", (), 1, 1)
    Asked().replace(monkeypatch, build=Summary(True, {}, (image,)))
    said = run("build", "-q", "-f", "D")
    assert (said.code, said.out, said.err) == (0, "sha256:c\n", "")


def test_times_are_kept_or_rewritten(asked):
    output = "type=oci,dest=x,rewrite-timestamp=true"
    assert run("build", "-f", "D", "-o", output, ".").code == 0
    assert not asked.request.docker.keep_times
    assert run("build", "-f", "D", "--timestamps", "keep", ".").code == 0
    assert asked.request.docker.keep_times
    for words in (("--timestamps", "keep", "-o", output), ("-o", f"{output}x")):
        assert "error[bad-option-value]" in run("build", "-f", "D", *words, ".").err


def test_limits_of_control_groups(asked):
    words = "--memory 64m --memory-swap -1 --cpu-period 100000 --cpu-quota 50000 --cpu-shares 512"
    words += " --cpuset-cpus 0-2,4 --cpuset-mems 0 --cgroup-parent /a/b"
    assert run("build", "-f", "D", *words.split(), ".").code == 0
    found = Limits(64 << 20, -1, 100000, 50000, 512, "0-2,4", "0", "/a/b")
    assert asked.request.docker.limits == found
    assert asked.request.memory is None


@pytest.mark.parametrize(
    "words",
    [
        "--memory big",
        "--cpu-quota 1s",
        "--cpuset-cpus 0-",
        "--cgroup-parent /a/../b",
        "--memory-swap x",
    ],
)
def test_limits_that_are_none(asked, words):
    assert "error[bad-option-value]" in run("build", "-f", "D", *words.split(), ".").err

"""Stages built: what they begin with, what they inherit, what is left alone."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from support.dockerbuilds import Docker
from support.registry import running

from buildgraph.build.baseimages import BaseImages
from buildgraph.build.request import OutputSpec
from buildgraph.errors import RemoteError, UsageError

_ADVICE = (
    "nor has the store an image of that name: build one with -t, load or pull one, or say with "
    "--build-context NAME=… what is meant"
)


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker.make(tmp_path)


def test_an_image_of_only_config_is_built_pushed_and_stood_on(
    docker: Docker, tmp_path: Path
) -> None:
    with running(tmp_path / "registry") as registry:
        name = f"{registry.host}/team/bare:1"
        text = "FROM scratch\nENV A=1\nLABEL l=2\n"
        summary = docker.build(text, tags=(name,), push="all")
        config = docker.config(summary)
        assert config["rootfs"] == {"type": "layers", "diff_ids": []}
        assert config["os"] == "linux"
        assert config["config"] == {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=1"],
            "WorkingDir": "/",
            "Labels": {"l": "2"},
        }
        assert [entry["created_by"] for entry in config["history"]] == ["ENV A=1", "LABEL l=2"]
        docker.write("f", "x")
        text = f"FROM {name} AS a\nCOPY f /${{A}}\nFROM box\nCOPY --from={name} / /bare\nCOPY --from=a / /\n"
        assert docker.files(text) == {"1": "x"}
        child = docker.config(docker.build(target="a"))
        assert [entry["created_by"] for entry in child["history"]] == [
            "ENV A=1",
            "LABEL l=2",
            "COPY f /1 # buildkit",
        ]


def test_images_by_tag_digest_and_both(docker: Docker, tmp_path: Path) -> None:
    with running(tmp_path / "registry") as registry:
        name = f"{registry.host}/team/thing"
        [image] = docker.build(
            "FROM box\nRUN echo 1 > /x\n", tags=(f"{name}:v1",), push="all"
        ).images
        for base in (f"{name}:v1", f"{name}@{image.digest}", f"{name}:v1@{image.digest}"):
            text = f"FROM {base}\nRUN cat /x > /y\n"
            assert docker.files(text) == {"x": "1\n", "y": "1\n"}
        text = f"FROM box\nRUN --mount=from={name}:v1,target=/m cat /m/x > /y\n"
        assert docker.files(text + f"COPY --from={name}:v1 /x /z\n") == {"y": "1\n", "z": "1\n"}


def test_all_of_a_stage_carries_over_and_nothing_to_its_siblings(docker: Docker) -> None:
    text = (
        "FROM box AS a\nRUN echo web:x:33: >> /etc/group\nARG V=v\nENV E=e\nUSER 33\nWORKDIR /w\n"
        "LABEL l=1\nRUN echo a > a\nFROM a AS b\nRUN echo $V$E $(pwd) $(id -u) > b; cat a\n"
        "FROM box\nCOPY --from=B /w /w\nCOPY --from=0 /w/a /z\nRUN echo .$V$E. $(pwd) $(id -u) > /c\n"
    )
    assert docker.files(text) == {"w/a": "a\n", "w/b": "ve /w 33\n", "z": "a\n", "c": ".. / 0\n"}


def test_what_is_not_needed_is_neither_built_nor_looked_up(docker: Docker) -> None:
    contexts = {"gone": "no/such/folder", "far": "docker-image://nowhere.example/x:1"}
    text = (
        "FROM broken.example/a AS notused\nRUN exit 1\nFROM far AS also\nFROM box AS alone\nRUN exit 1\n"
        "FROM box AS copies\nCOPY --from=gone / /\nCOPY missing /\n"
        "FROM box\nRUN echo 1 > /x\n"
    )
    assert docker.files(text, contexts=contexts) == {"x": "1\n"}
    assert docker.workspace.ran() == {"ctx/stage-4/2-run"}


def test_triggers_of_an_image_that_was_built(docker: Docker) -> None:
    layout = docker.workspace.folder / "made"
    text = (
        "FROM box\nONBUILD COPY --from=other /f /in/f\nONBUILD RUN --mount=type=cache,target=/c "
        "echo -n 1 >> /c/n && cat /c/n >> /in/f\n"
    )
    docker.build(text, outputs=(OutputSpec("oci", str(layout)),))
    assert docker.workspace.ran() == set()
    contexts = {"made": "oci-layout://made"}
    text = (
        "FROM box AS other\nRUN echo -n o > /f\nFROM made AS child\nRUN cat /in/f > /in/g\n"
        "FROM child AS grandchild\nRUN cat /in/f > /in/h\n"
    )
    want = {"in/f": "o1", "in/g": "o1", "in/h": "o1"}
    assert docker.files(text, contexts=contexts) == want
    config = docker.config(docker.build(contexts=contexts))
    assert "OnBuild" not in config["config"]


def test_an_image_for_another_platform(docker: Docker) -> None:
    docker.write("f", "$TARGETARCH")
    text = "FROM scratch AS a\nARG TARGETARCH BUILDARCH\nCOPY f /$TARGETARCH\nENV T=$TARGETARCH\n"
    config = docker.config(docker.build(text, platform="linux/arm/v7"))
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm", "v7")
    assert "T=arm" in config["config"]["Env"]
    assert docker.files(text, platform="linux/riscv64") == {"riscv64": "$TARGETARCH"}
    assert docker.config(docker.build("FROM box\n"))["architecture"] != "riscv64"


def test_a_missing_stage_is_told_with_its_line(docker: Docker) -> None:
    for text, line, code in (
        ("FROM box AS build\nFROM box\nCOPY --from=7 /a /\n", "3", "unknown-stage"),
        ("FROM box\nCOPY \\\n --from=later /a /\nFROM box AS later\n", "2-3", "stage-order"),
        ("FROM box AS a\nCOPY --from=A /a /\n", "2", "stage-order"),
    ):
        with pytest.raises(UsageError) as caught:
            docker.build(text, target="0" if "later" in text else "")
        assert (caught.value.code, str(caught.value.where)) == (code, f"ctx/Dockerfile:{line}")
    with pytest.raises(UsageError) as caught:
        docker.build("FROM box AS build\nFROM box\n", target="biuld")
    assert caught.value.hint == 'did you mean "build"?'


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("FROM biuld", '"build"'),
        ("FROM apline:3", '"alpine"'),
        ("FROM box\nCOPY --from=biuld /a /", '"build"'),
        ("FROM box\nRUN --mount=from=biuld,target=/a true", '"build"'),
        ("FROM registry.example/biuld", ""),
    ],
)
def test_an_image_that_is_not_there_may_be_a_stage_that_is(
    docker: Docker, monkeypatch: pytest.MonkeyPatch, line: str, meant: str
) -> None:
    def resolve(*_args: object) -> None:
        raise RemoteError("image-missing", "there is no such image")

    monkeypatch.setattr(BaseImages, "resolve", resolve)
    with pytest.raises(RemoteError) as caught:
        docker.build(f"FROM box AS build\n{line}\n")
    assert str(caught.value.where).startswith(f"ctx/Dockerfile:{1 + len(line.splitlines())}")
    assert caught.value.hint.partition("?")[0] == (f"did you mean {meant}" if meant else _ADVICE)
    assert caught.value.hint.endswith(_ADVICE)


def test_what_is_copied_to_and_fro_stays_as_it_was(docker: Docker) -> None:
    """Three layers of two trees, and each time some of them must be made again from the others."""
    text = (
        "FROM box AS a\nRUN mkdir /d && cd /d && echo 1 > f && ln f g && ln -s f l && mkdir -m 1770 s && "
        "busybox chown -h 7:8 f l s && chmod 4711 f\n"
        "FROM scratch AS a1\nCOPY --from=a /d /d\nFROM scratch AS b\nCOPY --from=a1 /d /e\n"
        "FROM scratch AS back\nCOPY --from=b /e /d\nFROM scratch AS whole\nCOPY --from=back / /\n"
    )
    want = {
        "d": (tarfile.DIRTYPE, 0o755, 0, ""),
        "d/f": (tarfile.REGTYPE, 0o4711, 7, ""),
        "d/g": (tarfile.LNKTYPE, 0o4711, 7, "d/f"),
        "d/l": (tarfile.SYMTYPE, 0o777, 7, "f"),
        "d/s": (tarfile.DIRTYPE, 0o1770, 7, ""),
    }

    def told(target: str) -> dict[str, tuple[bytes, int, int, str]]:
        found = docker.tree(text, target=target)
        found.pop(".", None)
        return {
            path: (one.type, one.mode, one.uid, one.linkname.removeprefix("./"))
            for path, one in found.items()
        }

    assert told("whole") == want
    for target in ("back", "whole", "a1", "back"):
        for snapshot in (docker.workspace.home / "snapshots").iterdir():
            if snapshot.name.startswith("tree-"):
                shutil.rmtree(snapshot)
        assert told(target) == want
        assert docker.workspace.ran() == set()


def test_a_long_chain(docker: Docker) -> None:
    docker.write("f", "x")
    copies = "".join(f"COPY f /d/c{n}\nENV E{n}={n}\n" for n in range(60))
    runs = "".join(f"RUN echo {n} > /r{n}\n" for n in range(10))
    text = f"FROM box\n{copies}{runs}{copies.replace('/d', '/e')}RUN ls /d /e | wc -l; ls / | grep -c ^r\n"
    config = docker.config(docker.build(text))
    assert len(config["rootfs"]["diff_ids"]) == 1 + 131
    assert docker.workspace.output("ctx/stage-0/132-run") == ["123", "11"]
    assert json.dumps(config).count("# buildkit") == 131

"""What a stage is built for, and what it can know of that."""

import pytest
from support.dockerfiles import Asked

from buildgraph.errors import UsageError
from buildgraph.names import Platform
from buildgraph.oci.config import Config

ARM = Platform("linux", "arm", "v7")
NAMES = ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")


@pytest.mark.parametrize(
    ("written", "platform"),
    [
        ("linux/arm64", "linux/arm64"),
        ("arm64", "linux/arm64"),
        ("$BUILDPLATFORM", "linux/amd64"),
        ("${TARGETPLATFORM}", "linux/arm/v7"),
        ("$TARGETOS/$BUILDARCH", "linux/amd64"),
        ("$P", "linux/s390x"),
        ("linux/${V:-ppc64le}", "linux/ppc64le"),
        ("LINUX/AMD64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/arm/5", "linux/arm/v5"),
        ("armel", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("x86-64", "linux/amd64"),
        ("macos/aarch64", "darwin/arm64"),
        ("wasi/wasm", "wasi/wasm"),
        ("linux", "linux/arm/v7"),
    ],
)
def test_the_platform_of_a_from(written: str, platform: str) -> None:
    text = f"ARG P=linux/s390x\nFROM --platform={written} box\nRUN 1\n"
    [base] = Asked(text, platform=ARM).found.bases.values()
    assert str(base.platform) == platform


def test_scratch_is_of_the_target_s_platform() -> None:
    config = Asked("FROM --platform=$BUILDPLATFORM scratch\n", platform=ARM).config
    assert (config.os, config.architecture, config.variant) == ("linux", "arm", "v7")


@pytest.mark.parametrize("written", ["$NONE", "linux/", "linux/z80", "$BUILDPLATFROM"])
def test_what_is_no_platform(written: str) -> None:
    with pytest.raises(UsageError) as caught:
        Asked(f"FROM a AS a\nFROM --platform={written} box\n")
    assert caught.value.code == "bad-platform"
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_a_platform_of_the_command_line_may_be_an_architecture() -> None:
    assert list(map(str, Platform.parse_all("arm64, linux/x86_64"))) == [
        "linux/arm64",
        "linux/amd64",
    ]
    with pytest.raises(UsageError):
        Platform.parse_all("arm64,z80")


def test_a_stage_knows_them_once_it_asks() -> None:
    names = [side + name for side in ("BUILD", "TARGET") for name in NAMES]
    text = f"FROM --platform=$TARGETPLATFORM box:$TARGETARCH-$BUILDOS\nRUN 1\nARG {' '.join(names)}\nRUN 2\n"
    made = Asked(text, platform=ARM)
    assert list(made.found.bases) == ["box:arm-linux"]
    assert made.env("stage-0/2-run") == {}
    build = dict(zip(NAMES, ("linux/amd64", "linux", "", "amd64", ""), strict=True))
    target = dict(zip(NAMES, ("linux/arm/v7", "linux", "", "arm", "v7"), strict=True))
    assert made.env("stage-0/3-run") == {
        **{f"BUILD{name}": value for name, value in build.items()},
        **{f"TARGET{name}": value for name, value in target.items()},
    }


def test_a_person_may_say_otherwise() -> None:
    text = "FROM box:$TARGETOS\nARG TARGETOS TARGETARCH=own BUILDOS\nRUN 1\n"
    made = Asked(text, args={"TARGETOS": "plan9", "BUILDOS": "dos"})
    assert list(made.found.bases) == ["box:plan9"]
    assert made.env("stage-0/2-run") == {"TARGETOS": "plan9", "TARGETARCH": "own", "BUILDOS": "dos"}


@pytest.mark.parametrize(
    ("last", "target", "seen"),
    [
        ("", "foo", "foo"),
        ("", "FOO", "FOO"),
        ("", "", "default"),
        ("AS final", "", "final"),
        ("AS final", "1", "1"),
    ],
)
def test_the_name_of_the_target(last: str, target: str, seen: str) -> None:
    text = "FROM box AS base\nRUN 1\nARG TARGETSTAGE\nRUN 2\n"
    text += (
        f"FROM scratch AS foo\nCOPY --from=base /a /\nFROM scratch {last}\nCOPY --from=base /a /\n"
    )
    made = Asked(text, target=target)
    assert made.env("base/2-run") == {}
    assert made.env("base/3-run") == {"TARGETSTAGE": seen}


def test_the_image_is_of_the_platform_that_was_asked_for() -> None:
    base = Config("arm64", "linux", "v8", extra={"os.version": "10"})
    bases = {"box:latest": base}
    kept = Asked("FROM box\n", bases).config
    assert (kept.architecture, kept.variant, kept.extra) == ("arm64", "v8", {"os.version": "10"})
    asked = Asked("FROM box\n", bases, platform=ARM, platform_asked=True).config
    assert (asked.architecture, asked.variant) == ("arm", "v7")
    same = Asked("FROM box\n", bases, platform=Platform("linux", "arm64"), platform_asked=True)
    assert (same.config.architecture, same.config.variant) == ("arm64", "v8")
    assert same.config.extra == {"os.version": "10"}

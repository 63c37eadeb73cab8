"""FROM, stages, targets: what a target needs and what each stage begins with."""

import pytest
from support.dockerfiles import Asked

from buildgraph.dockerfile.options import Folder, LayoutImage, RegistryImage
from buildgraph.errors import UsageError
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.spec.model import DockerSource, Ref, Text


def wrong(text: str, **options: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        Asked(text, **options)
    assert caught.value.where is not None or caught.value.code == "unknown-stage"
    return caught.value


def test_scratch_is_asked_of_nobody_and_has_a_path() -> None:
    made = Asked("FROM scratch\nENV A=1\n")
    assert made.asked == []
    assert made.config.env[0][0] == "PATH"
    assert made.config.workdir == "/"
    assert made.history == ["ENV A=1"]
    assert made.found.on == (Ref("base", "scratch linux/amd64"),)


@pytest.mark.parametrize(
    ("name", "ref"),
    [
        ("debian", "base:debian:latest"),
        ("reg.example:5000/a/b:1", "base:reg.example:5000/a/b:1"),
        ("debian:12@sha256:" + "a" * 64, "base:debian:12@sha256:" + "a" * 64),
        ("0", "base:0:latest"),
    ],
)
def test_references(name: str, ref: str) -> None:
    assert Asked(f"FROM {name}\n").asked == [ref]


def test_a_stage_wins_over_an_image_in_any_case() -> None:
    made = Asked("FROM box AS Debian\nRUN a\nFROM DEBIAN\nRUN b\n")
    assert made.asked == ["base:box:latest"]
    assert made.found.steps["stage-1/1-run"].on == (Ref("step", "debian/2-run"),)


def test_only_what_the_target_needs_is_asked_for() -> None:
    text = "FROM !broken AS notused\nFROM other AS a\nRUN a\nFROM box AS b\nCOPY --from=a /x /\n"
    text += "FROM third AS c\nRUN --mount=from=missing,target=/x c\n"
    made = Asked(text, target="B")
    assert sorted(made.asked) == ["base:box:latest", "base:other:latest"]
    assert list(made.found.bases) == ["other:latest", "box:latest"]
    assert made.steps == ["a/2-run", "b/2-copy"]


@pytest.mark.parametrize(("target", "step"), [("b", "b/2-run"), ("1", "b/2-run"), ("", "c/2-run")])
def test_targets(target: str, step: str) -> None:
    text = "FROM x AS a\nRUN a\nFROM x AS b\nRUN b\nFROM x AS c\nRUN c\n"
    assert Asked(text, target=target).found.on == (Ref("step", step),)


def test_an_unknown_target_is_told_with_a_near_one() -> None:
    error = wrong("FROM x AS build\n", target="biuld")
    assert (error.code, error.hint) == ("unknown-stage", 'did you mean "build"?')
    assert wrong("FROM x\n", target="9").code == "unknown-stage"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FROM x AS a\nCOPY --from=b /x /\nFROM x AS b\n", "stage-order"),
        ("FROM x AS a\nCOPY --from=a /x /\n", "stage-order"),
        ("FROM x\nCOPY --from=0 /x /\n", "stage-order"),
        ("FROM x\nFROM x\nCOPY --from=7 /x /\n", "unknown-stage"),
        ("FROM x AS a\nRUN --mount=from=b,target=/x y\nFROM x AS b\n", "stage-order"),
        ("ARG A\nFROM x\nCOPY --from=$A /x /\n", "variable-in-from"),
        ("ARG A\nFROM $A\n", "blank-base"),
        ("FROM --platform=$X box\n", "bad-platform"),
        ("FROM --platform=linux/z80 box\n", "bad-platform"),
        ("FROM BOX\n", "bad-base-name"),
        ("FROM ${A:?missing}\n", "variable-required"),
        ("ARG A=${B:?why}\nFROM x\n", "variable-required"),
    ],
)
def test_what_is_wrong_with_stages(text: str, code: str) -> None:
    error = wrong(text, target="0" if code == "stage-order" else "")
    assert error.code == code


def test_of_stages_of_one_name_the_last_before_counts() -> None:
    text = "FROM x AS a\nRUN 1\nFROM x AS a\nRUN 2\nFROM a\nCOPY --from=a /x /\nRUN x\nFROM x AS a\nRUN 3\n"
    made = Asked(text, target="2")
    assert made.found.steps["stage-2/2-run"].on[0] == Ref("step", "a-1/2-run")
    assert made.kind("stage-2/1-copy").sources == (DockerSource("/x", Ref("step", "a-1/2-run")),)


def test_stages_by_number_and_the_filesystem_of_a_stage() -> None:
    text = "FROM x\nRUN 1\nCOPY a /\nFROM y\nCOPY --from=0 /x /\nRUN --mount=from=0,target=/m z\n"
    made = Asked(text)
    filesystem = made.found.images["stage-0"]
    assert filesystem.on == (Ref("step", "stage-0/2-run"), Ref("step", "stage-0/3-copy"))
    assert made.kind("stage-1/2-copy").sources[0].ref == Ref("image", "stage-0")
    assert made.kind("stage-1/3-run").mounts[0].source.ref == Ref("image", "stage-0")


def test_an_image_can_be_copied_from_without_being_a_stage() -> None:
    made = Asked("FROM x\nCOPY --from=other:1 /a /\n")
    assert made.asked == ["base:x:latest"]
    assert list(made.found.bases) == ["x:latest", "other:1"]
    assert made.kind("stage-0/2-copy").sources == (DockerSource("/a", Ref("base", "other:1")),)


def test_titles_count_what_makes_layers() -> None:
    text = "FROM x AS a\nENV A=1\nRUN  a \\\n  b\nFROM a\nWORKDIR /x\nCOPY . .\nADD b /\n"
    assert Asked(text).titles == [
        "[a 2/2] RUN a b",
        "[stage-1 1/3] WORKDIR /x",
        "[stage-1 2/3] COPY . .",
        "[stage-1 3/3] ADD b /",
    ]
    assert Asked("FROM scratch\ncopy a b\n").titles == ["[1/1] COPY a b"]


def test_a_prefix_keeps_images_of_one_workspace_apart() -> None:
    made = Asked("FROM x AS a\nRUN a\nCOPY b /\nFROM x\nCOPY --from=a /x /\n", prefix="app/")
    assert made.steps == ["app/a/2-run", "app/a/3-copy", "app/stage-1/2-copy"]
    assert list(made.found.images) == ["app/a"]
    assert list(made.found.contexts) == ["app/context"]
    assert list(made.found.bases) == ["x:latest"]


def test_platforms_of_stages() -> None:
    arm = Platform("linux", "arm64")
    text = "FROM --platform=$BUILDPLATFORM x AS a\nRUN a\nFROM x\nCOPY --from=a /x /\n"
    made = Asked(text, platform=arm)
    assert made.asked == ["base:x:latest linux/amd64", "base:x:latest"]
    assert made.found.bases["x:latest"].platform == arm
    assert made.found.bases["x:latest linux/amd64"].platform == Platform("linux", "amd64")
    assert Asked("FROM --platform=arm64 x\n").found.bases["x:latest linux/arm64"]


def test_named_contexts_replace_images_and_stages() -> None:
    contexts = {"alpine": Folder("/files"), "build": RegistryImage("other:1")}
    text = "FROM x AS build\nRUN broken\nFROM y\nCOPY --from=build /a /\nCOPY --from=alpine b /\n"
    text += "RUN --mount=from=docker.io/library/alpine:latest,source=/d,target=/m c\n"
    made = Asked(text, contexts=contexts)
    assert sorted(made.asked) == ["base:build", "base:y:latest"]
    assert made.found.bases["build"].reference == "other:1"
    assert made.kind("stage-1/2-copy").sources == (DockerSource("/a", Ref("base", "build")),)
    assert made.kind("stage-1/3-copy").sources == (DockerSource("/b", context="alpine"),)
    assert made.kind("stage-1/4-run").mounts[0].source.path == "d"
    assert made.found.contexts["alpine"].root == "/files"


def test_scratch_and_the_context_are_replaced_by_nothing() -> None:
    contexts = {"scratch": RegistryImage("other:1"), "context": RegistryImage("other:1")}
    assert Asked("FROM scratch\nFROM scratch AS context\n", contexts=contexts).asked == []


def test_a_named_context_for_one_platform_and_one_from_a_layout() -> None:
    contexts = {
        "x::linux/arm64": LayoutImage("dir", "tag"),
        "x": RegistryImage("scratch"),
    }
    made = Asked("FROM --platform=linux/arm64 x\n", contexts=contexts)
    [base] = made.found.bases.values()
    assert (base.kind, base.path, base.reference) == ("layout", "dir", "tag")
    assert Asked("FROM x\n", contexts=contexts).asked == []


def test_a_folder_can_be_what_a_stage_begins_with() -> None:
    made = Asked("FROM files\nRUN a\n", contexts={"files": Folder("f")})
    assert made.kind("files/files").sources == (DockerSource("/", context="files"),)
    assert made.found.steps["stage-0/2-run"].on == (
        Ref("base", "scratch linux/amd64"),
        Ref("step", "files/files"),
    )


def test_a_tag_of_the_workspace_is_linked() -> None:
    made = Asked("FROM docker.io/library/app\nRUN a\n", images={"app": Ref("image", "app")})
    assert made.asked == ["image:app"]
    assert made.found.bases == {}
    assert made.found.steps["stage-0/2-run"].on == (Ref("image", "app"),)


def test_triggers_of_an_image_fire_first_and_once() -> None:
    base = Config("amd64", "linux", onbuild=("COPY --from=tools /t /", "RUN one"))
    text = "FROM other AS tools\nRUN t\nFROM x AS a\nRUN two\nFROM a\nRUN three\n"
    made = Asked(text, {"x:latest": base})
    assert sorted(made.asked) == ["base:other:latest", "base:x:latest"]
    assert made.titles == [
        "[tools 2/2] RUN t",
        "[a 2/4] ONBUILD COPY --from=tools /t /",
        "[a 3/4] ONBUILD RUN one",
        "[a 4/4] RUN two",
        "[stage-2 1/1] RUN three",
    ]
    assert made.config.onbuild == ()


def test_triggers_of_a_stage_fire_in_its_children_only() -> None:
    text = "FROM x AS a\nONBUILD RUN one\nONBUILD ENV A=1\nFROM a AS b\nFROM b\nRUN two\n"
    made = Asked(text)
    assert made.titles == ["[b 1/1] ONBUILD RUN one", "[stage-2 1/1] RUN two"]
    assert dict(made.config.env)["A"] == "1"
    assert Asked(text, target="a").config.onbuild == ("RUN one", "ENV A=1")
    assert "ONBUILD" not in " ".join(Asked(text, target="a").history)


def test_a_bad_trigger_is_told_at_the_from() -> None:
    base = Config("amd64", "linux", onbuild=("FROM x",))
    error = wrong("ARG A\nFROM x\nRUN a\n", bases={"x:latest": base})
    assert error.code == "bad-onbuild"


def test_many_stages_in_a_row() -> None:
    text = "FROM x AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\nRUN {n}\n" for n in range(1500))
    made = Asked(text)
    assert len(made.steps) == 1500
    assert made.found.on == (Ref("step", "s1500/1-run"),)


def test_an_image_may_have_a_stage_s_number_or_its_own_stage_s_name() -> None:
    made = Asked(
        "FROM box AS box\nRUN 1\nFROM 0\nCOPY --from=box /a /\nFROM box\nCOPY --from=1 / /b\nRUN x\n"
    )
    assert made.asked == ["base:box:latest", "base:0:latest"]
    assert made.found.steps["stage-2/2-run"].on[0] == Ref("step", "box/2-run")


def test_a_child_has_all_of_its_stage() -> None:
    head = (
        "ARG G=g\nFROM scratch AS a\nARG A=1 G\nENV E=2\nWORKDIR /w\nUSER u\nLABEL l=1\nEXPOSE 80\n"
        'SHELL ["sh", "-x"]\nVOLUME /v\nSTOPSIGNAL INT\nENTRYPOINT ["e"]\nCMD ["c"]\nHEALTHCHECK NONE\n'
    )
    parent, child = Asked(head), Asked(f"{head}FROM a\nRUN 1\n")
    assert child.config == parent.config
    assert child.history[:-1] == parent.history
    assert child.env("stage-1/1-run") == {"A": "1", "E": "2", "G": "g"}
    assert child.argv("stage-1/1-run") == ["sh", "-x", "1"]
    assert child.kind("stage-1/1-run").user == Text(("u",))
    other = Asked(f"{head}FROM box\nRUN 1\nCOPY --from=a / /\n")
    assert other.env("stage-1/2-run") == {}


def test_a_stage_s_name_beats_an_image_s() -> None:
    text = "FROM box AS tools\nRUN 1\nFROM box\nCOPY --from=TOOLS /a /\n"
    made = Asked(text + "RUN --mount=from=tools,target=/t 2\n", images={"tools": Ref("image", "t")})
    tools = Ref("step", "tools/2-run")
    assert made.kind("stage-1/2-copy").sources[0].ref == tools
    assert made.kind("stage-1/3-run").mounts[0].source.ref == tools


def test_progress_shows_what_is_written_and_no_value() -> None:
    text = (
        "FROM box\nARG T=value\nRUN --mount=type=secret,id=k,env=K echo $K $T\nRUN <<E\na\nb\nE\n"
    )
    assert Asked(text).titles == [
        "[2/3] RUN --mount=type=secret,id=k,env=K echo $K $T",
        "[3/3] RUN <<E (a...)",
    ]
    many = "FROM scratch\n" + "RUN 1\n" * 10
    assert Asked(many).titles[::9] == ["[ 1/10] RUN 1", "[10/10] RUN 1"]


def test_a_base_that_is_blank_or_nothing_is_named() -> None:
    for text, said in (
        ("ARG A\nFROM box$A\nFROM $A\n", "the base of a stage is blank: FROM $A"),
        ("ARG A=-x\nFROM box\nFROM ${A}\n", "'-x' is neither a stage nor an image reference"),
        ("FROM box\nFROM box:a:b\n", "'box:a:b' is neither"),
        ("ARG A=scratch\nFROM box\nFROM $A$A$A@sha256:12\n", "'scratchscratchscratch@sha256:12'"),
    ):
        error = wrong(text)
        assert error.message.startswith(said)
        assert error.where is not None
        assert error.where.line >= 2


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("FROM --platform=$BULIDPLATFORM box", '"BUILDPLATFORM"'),
        ("FROM $BSAE", '"BASE"'),
        ("FROM $QQ", ""),
    ],
)
def test_a_blank_that_was_meant_to_be_a_variable(line: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        Asked(f"ARG BASE=box\n{line}\n")
    assert caught.value.hint.partition("?")[0].startswith(
        f"did you mean {meant}" if meant else "give"
    )

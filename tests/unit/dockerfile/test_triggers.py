"""ONBUILD: what a config keeps, and what fires in a child."""

import pytest
from support.dockerfiles import Asked

from buildgraph.dockerfile.options import Folder, NamedContext, RegistryImage
from buildgraph.errors import UsageError
from buildgraph.oci.config import Config
from buildgraph.spec.model import CacheMount, DockerSource, Ref


def base(*triggers: str) -> dict[str, Config]:
    return {"x:latest": Config("amd64", "linux", onbuild=triggers)}


def test_they_are_kept_as_written_and_run_nothing() -> None:
    text = "FROM x\nARG A=1\nONBUILD run echo $A \\\n  b\nonbuild RUN <<E\none\nE\nONBUILD LABEL a=$A\n"
    made = Asked(text, base("RUN before"))
    assert made.steps == ["stage-0/2-run"]
    assert made.config.onbuild == ("run echo $A   b", "RUN <<E\none\nE", "LABEL a=$A")
    assert made.history[-1] == "ARG A=1"


@pytest.mark.parametrize("trigger", ["ONBUILD RUN x", "FROM x", "MAINTAINER me"])
def test_what_cannot_be_one(trigger: str) -> None:
    with pytest.raises(UsageError) as caught:
        Asked(f"FROM x\nONBUILD {trigger}\n")
    assert caught.value.code == "bad-onbuild"
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_those_of_an_image_fire_in_order_before_all_else_and_are_gone() -> None:
    triggers = ("ENV A=1", "RUN one $A", "WORKDIR /w", "COPY a .", "RUN <<E\ntwo\nE")
    made = Asked("FROM x\nENV A=2\nRUN last\n", base(*triggers))
    assert [made.argv(step)[-1] for step in made.steps if "run" in step] == [
        "one $A",
        "two\n",
        "last",
    ]
    assert made.env("stage-0/2-run")["A"] == "1"
    assert made.kind("stage-0/4-copy").to == "/w/"
    assert made.config.onbuild == ()
    assert made.history[0] == "ENV A=1"


def test_those_of_a_stage_fire_in_its_children_and_not_in_theirs() -> None:
    text = "FROM x AS a\nONBUILD RUN one\nRUN a\nFROM a AS b\nRUN b\nFROM b AS c\nRUN c\n"
    made = Asked(text + "FROM a\nCOPY --from=c / /c\n")
    assert [made.argv(step)[-1] for step in made.steps if "run" in step] == [
        "a",
        "one",
        "b",
        "c",
        "one",
    ]


def test_they_may_need_images_stages_and_contexts() -> None:
    triggers = (
        "COPY --from=other:1 /a /",
        "COPY --from=tools /b /",
        "COPY --from=files c /",
        "RUN --mount=from=tools,source=/d,target=/d --mount=type=cache,target=/k x",
        "COPY --from=named /e /",
    )
    contexts = {"files": Folder("/f"), "named": RegistryImage("n:1")}
    text = "FROM y AS tools\nRUN t\nFROM x\nRUN last\n"
    made = Asked(text, base(*triggers), contexts=contexts)
    assert made.asked == ["base:x:latest", "base:y:latest"]
    copies = [made.kind(step).sources[0] for step in made.steps if "copy" in step]
    assert copies == [
        DockerSource("/a", Ref("base", "other:1")),
        DockerSource("/b", Ref("step", "tools/2-run")),
        DockerSource("/c", context="files"),
        DockerSource("/e", Ref("base", "named")),
    ]
    bind, cache = made.kind("stage-1/5-run").mounts
    assert bind.source.ref == Ref("step", "tools/2-run")
    assert isinstance(cache, CacheMount)


def test_one_that_needs_an_image_with_triggers_of_its_own() -> None:
    text = "FROM x AS input\nRUN 1\nFROM y\nRUN 2\n"
    bases = {
        "y:latest": Config("amd64", "linux", onbuild=("RUN --mount=from=input,target=/i y",)),
        "x:latest": Config("amd64", "linux", onbuild=("COPY --from=deep:1 /a /",)),
    }
    made = Asked(text, bases)
    assert made.asked == ["base:y:latest", "base:x:latest"]
    assert list(made.found.bases) == ["x:latest", "deep:1", "y:latest"]


def test_those_of_a_stage_that_a_named_context_stands_for_do_not_fire() -> None:
    text = "FROM x AS a\nONBUILD RUN written\nFROM a\nRUN own\n"
    images: dict[str, NamedContext] = {"a": RegistryImage("x")}
    made = Asked(text, {"a": base("RUN of image")["x:latest"]}, contexts=images)
    assert [made.argv(step)[-1] for step in made.steps] == ["own"]
    made = Asked(text, contexts={"a": Folder("f")})
    assert [made.argv(step)[-1] for step in made.steps if "run" in step] == ["own"]


@pytest.mark.parametrize(
    ("trigger", "code"),
    [
        ("COPY --from=main /a /", "stage-order"),
        ("COPY --from=$A /a /", "variable-in-from"),
        ("RUN a\nRUN b", "bad-onbuild"),
        ("NOTHING", "unknown-instruction"),
        ("ENV", "bad-arguments"),
    ],
)
def test_a_mistake_in_one_stands_at_the_from(trigger: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        Asked("FROM y AS a\nFROM x AS main\n", base(trigger))
    assert caught.value.code == code
    assert caught.value.where is not None
    assert caught.value.where.line == 2

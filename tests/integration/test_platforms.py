"""Buildfiles for several platforms: variables, conditions, steps of the machine's own, images with their own platforms."""

from pathlib import Path

import pytest
from support.platforms import write_base
from support.registry import running
from support.remotebase import HERE, OTHER, base, push
from support.workspace import Workspace

from buildgraph.build.looking import inspect, validate
from buildgraph.build.request import OutputSpec
from buildgraph.build.survey import graph, list_targets, plan, query, why
from buildgraph.errors import ErrorGroup, UsageError

TEXT = f"""
[workspace]
platforms = ["{HERE}", "{OTHER}"]
[vars]
suffix = "for-${{platform.arch}}"
[step.gen]
platform = "build"
on = ["box"]
run = "mkdir /gen && echo -n ${{platform}} > /gen/made"
[step.src]
copy = [{{ from = "src", to = "/app/" }}, {{ from = "step:gen", path = "/gen", to = "/gen/" }}]
[step.deps]
on = ["box"]
run = "echo -n ${{suffix}} > /deps"
[step.only]
platforms = ["{OTHER}"]
write = {{ "/only" = "" }}
[image.app]
on = ["box", "deps", "src", "only"]
env = {{ FOR = "${{platform}}" }}
"""


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    made = Workspace.make(tmp_path)
    write_base(tmp_path / "bases", made.folder / "box", HERE, OTHER)
    made.write("src/f", "f\n")
    made.buildfile(TEXT)
    return made


def folders(place: Path) -> dict[str, dict[str, str]]:
    """What is in the files of each platform, but for the base's."""
    names = ("deps", "gen/made", "app/f", "only")
    return {
        one.name: {name: (one / name).read_text() for name in names if (one / name).exists()}
        for one in place.iterdir()
    }


def test_each_image_is_of_its_platform(ws, tmp_path):
    out = tmp_path / "out"
    summary = ws.build(outputs=(OutputSpec("local", str(out)),))
    shared = {"gen/made": str(HERE), "app/f": "f\n"}
    assert folders(out) == {
        str(HERE).replace("/", "_"): {"deps": f"for-{HERE.arch}", **shared},
        str(OTHER).replace("/", "_"): {"deps": f"for-{OTHER.arch}", **shared, "only": ""},
    }
    assert ws.ran() == {"gen", "src", f"deps@{HERE}", f"deps@{OTHER}", "only"}
    [image] = summary.images
    assert image.target == "app"
    seen = inspect(ws.home, "app", {})
    assert seen["index"]["digest"] == image.digest
    assert f"FOR={HERE}" in seen["config"]["config"]["Env"]
    assert validate(ws.home, "app") == []
    ws.build()
    assert ws.ran() == set()


def test_the_command_line_says_for_which(ws):
    both = ws.build()
    assert list(both.metadata["targets"]["app"]["platforms"]) == [str(HERE), str(OTHER)]
    alone = ws.build(platform=str(OTHER))
    assert ws.ran() == set()
    assert alone.metadata["targets"]["app"]["platforms"] == [str(OTHER)]
    described = both.metadata["targets"]["app"]["images"][str(OTHER)]
    assert described["digest"] == alone.images[0].digest
    turned = ws.build(platform=f"{OTHER},{HERE}")
    assert turned.images[0].digest != both.images[0].digest  # another order is another index


def test_one_platform_of_a_name(ws):
    ws.build(f"deps@{OTHER}")
    assert ws.ran() == {f"deps@{OTHER}"}
    ws.build(f"app@{HERE}")
    assert ws.ran() == {f"deps@{HERE}", "src", "gen"}
    ws.build("deps")
    assert ws.ran() == set()
    ws.build("deps", rebuild=("deps",))
    assert ws.ran() == {f"deps@{HERE}", f"deps@{OTHER}"}


def test_an_image_can_have_platforms_of_its_own(ws):
    text = TEXT.replace(f'platforms = ["{HERE}", "{OTHER}"]', f'platforms = ["{HERE}"]', 1)
    more = f'[image.far]\non = ["box", "deps"]\nplatforms = ["{OTHER}"]\n'
    ws.buildfile(text + more + f'[image.wide]\non = ["box"]\nplatforms = ["{OTHER}", "{HERE}"]\n')
    summary = ws.build()
    told = {name: one["platforms"] for name, one in summary.metadata["targets"].items()}
    assert told == {"app": [str(HERE)], "far": [str(OTHER)], "wide": [str(OTHER), str(HERE)]}
    assert ws.ran() == {"gen", "src", "deps", f"deps@{OTHER}"}
    assert set(ws.build(platform=str(HERE)).metadata["targets"]) == {"app", "wide"}
    with pytest.raises(UsageError) as caught:
        ws.build("far", platform=str(HERE))
    assert caught.value.code == "image-platform"


def test_a_condition_can_ask_for_the_platform(ws):
    more = f'[image.far]\non = ["box"]\nwhen = "platform.arch == \'{OTHER.arch}\'"\n'
    ws.buildfile(TEXT + more)
    summary = ws.build("far")
    assert summary.metadata["targets"]["far"]["platforms"] == [str(OTHER)]


def test_a_dockerfile_in_a_buildfile(ws, tmp_path):
    ws.write(
        "src/Dockerfile",
        "FROM base AS made\nARG TARGETARCH\nRUN echo -n $TARGETARCH > /deps\nFROM scratch\n"
        "COPY --from=made /deps /deps\nCOPY f /app/f\n",
    )
    ws.buildfile(
        TEXT + '[image.docked]\ndockerfile = "Dockerfile"\ncontext = "src"\n'
        'contexts = { base = "image:app" }\n[image.on-it]\non = ["docked"]\nenv = { X = "1" }\n'
    )
    out = tmp_path / "out"
    summary = ws.build("on-it", outputs=(OutputSpec("local", str(out)),))
    want = {HERE: {"deps": HERE.arch, "app/f": "f\n"}, OTHER: {"deps": OTHER.arch, "app/f": "f\n"}}
    assert folders(out) == {str(p).replace("/", "_"): files for p, files in want.items()}
    assert summary.metadata["targets"]["on-it"]["platforms"] == [str(HERE), str(OTHER)]
    assert {step for step in ws.ran() if "copy" in step} >= {"docked/stage-1/2-copy"}


def test_questions_know_both_names(ws):
    request = ws.request()
    planned = {step["id"] for step in plan(request)["steps"]}
    assert {"gen", "src", f"deps@{HERE}", f"deps@{OTHER}", "only"} == planned
    assert [t.name for t in list_targets(request) if t.kind in ("image", "run")] == [
        "app",
        "gen",
        "deps",
    ]
    assert len(why(request, "deps", None)["steps"]) >= 2
    assert why(request, f"deps@{OTHER}", None)["step"] == f"deps@{OTHER}"
    assert f"deps@{OTHER}" in query(request, "deps", ("app",), direct=False)
    edges = graph(request).edges
    assert (f"app@{OTHER}", "app") in edges


def test_tags_can_be_of_one_platform(ws, tmp_path):
    more = 'repository = "x.example/app"\ntags = [":1", ":1-${platform.arch}"]\n'
    ws.buildfile(TEXT + more)
    summary = ws.build()
    assert summary.images[0].tags == ("x.example/app:1",)
    for platform in (HERE, OTHER):
        alone = inspect(ws.home, f"x.example/app:1-{platform.arch}", {})
        assert alone["config"]["architecture"] == platform.arch
        assert "index" not in alone


def test_checks_run_on_every_platform(ws):
    ws.buildfile(TEXT + 'checks = ["test"]\n[step.test]\non = ["app"]\nrun = "test -e /only"\n')
    summary = ws.attempt(keep_going=True)
    assert [failure.code for failure in summary.failures] == ["step-failed"]
    assert f"test@{HERE}" in summary.failures[0].message
    assert summary.images == ()


def test_a_lock_has_a_pin_for_each(ws, tmp_path):
    with running(tmp_path / "registry") as registry:
        images = [base(tmp_path / p.arch, p) for p in (HERE, OTHER)]
        push(registry, "base/os", "1", *images, index=True)
        ws.write(
            "Buildfile.toml",
            f'buildfile = 1\n[workspace]\nplatforms = ["{HERE}", "{OTHER}"]\n'
            f'[base.os]\nimage = "{registry.host}/base/os:1"\n[image.app]\non = ["os"]\n',
        )
        first = ws.build().images[0].digest
        lock = (ws.folder / "Buildfile.lock").read_text()
        assert lock.count(f'."{HERE}"]') == lock.count(f'."{OTHER}"]') == 1
        assert ws.build(frozen=True).images[0].digest == first
    manifest = inspect(ws.home, "app", {})["index"]["manifests"]
    assert [one["platform"]["architecture"] for one in manifest] == [HERE.arch, OTHER.arch]


def test_an_image_that_is_of_another_platform_than_its_base(ws):
    ws.buildfile(
        TEXT + '[base.mine]\nlayout = "box"\nplatform = "build"\n[image.odd]\non = ["mine"]\n'
    )
    with pytest.raises(ErrorGroup) as caught:
        ws.build("odd")
    [error] = caught.value.errors
    assert error.code == "image-platform"

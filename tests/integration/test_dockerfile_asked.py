"""Questions about a Dockerfile run nothing, and are answered as for a Buildfile."""

from pathlib import Path

import pytest
from support.dockerbuilds import Docker

from buildgraph.build.request import Request
from buildgraph.build.survey import graph, list_targets, plan, query, why
from buildgraph.errors import UsageError

TEXT = """\
FROM box AS build
ARG V=1
COPY a /a
RUN cat /a > /b
FROM box
COPY --from=build /b /r/
COPY c /c
"""


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    made = Docker.make(tmp_path)
    for name in ("a", "c"):
        made.write(name, name)
    made.write("Dockerfile", TEXT)
    return made


def request(docker: Docker, **asked: object) -> Request:
    return docker.workspace.request(**docker.request(**asked))


def decisions(docker: Docker, **asked: object) -> dict[str, str]:
    return {s["id"]: s["decision"] for s in plan(request(docker, **asked))["steps"]}


def test_a_plan_says_what_a_build_does(docker: Docker) -> None:
    first = {
        "ctx/build/2-copy": "execute",
        "ctx/build/3-run": "wait",
        "ctx/stage-1/2-copy": "wait",
        "ctx/stage-1/3-copy": "execute",
    }
    assert decisions(docker) == first
    docker.build()
    assert decisions(docker) == dict.fromkeys(first, "reuse")
    docker.write("c", "changed")
    again = plan(request(docker))
    assert [s["id"] for s in again["steps"] if s["decision"] != "reuse"] == ["ctx/stage-1/3-copy"]
    assert again["steps"][-1]["title"] == "[stage-1 3/3] COPY c /c"
    assert again["steps"][-1]["reason"].startswith("/c content: ")
    assert again["targets"] == ["ctx"]


def test_times_that_are_kept_are_planned_with(docker: Docker) -> None:
    docker.build(keep_times=True)
    assert set(decisions(docker, keep_times=True).values()) == {"reuse"}
    (docker.workspace.folder / "ctx/c").touch()
    planned = decisions(docker, keep_times=True)
    assert [name for name, what in planned.items() if what != "reuse"] == ["ctx/stage-1/3-copy"]
    docker.build(keep_times=True)
    assert docker.workspace.ran() == {"ctx/stage-1/3-copy"}


def test_options_count_as_for_a_build(docker: Docker) -> None:
    docker.build()
    assert decisions(docker, args={"V": "2"})["ctx/build/3-run"] == "execute"
    assert decisions(docker, target="build").keys() == {"ctx/build/2-copy", "ctx/build/3-run"}
    assert decisions(docker, no_cache_filter=("build",))["ctx/build/2-copy"] == "execute"
    docker.build(args={"V": "2"})
    assert set(decisions(docker, args={"V": "2"}).values()) == {"reuse"}


def test_why(docker: Docker) -> None:
    docker.build()
    docker.write("a", "new")
    docker.build()
    told = why(request(docker), "ctx/build/3-run", None)
    assert told["text"][0] == "ctx/build/3-run ([build 3/3] RUN cat /a > /b): reuse"
    assert "input ctx/build/2-copy" in told["last"]["reason"]
    with pytest.raises(UsageError) as caught:
        why(request(docker), "ctx/build/3-rum", None)
    assert caught.value.hint == "did you mean ctx/build/3-run or ctx/build/2-copy?"


def test_the_graph(docker: Docker) -> None:
    view = graph(request(docker))
    assert [(n.id, n.state) for n in view.nodes if n.kind == "run"] == [("ctx/build/3-run", "wait")]
    assert ("ctx/build/3-run", "ctx/stage-1/2-copy") in view.edges
    need = query(request(docker), "rdeps", ("ctx/build/2-copy",), direct=False)
    assert need == ("ctx/build/3-run", "ctx/stage-1/2-copy", "ctx")
    way = query(request(docker), "path", ("ctx", "ctx/build/3-run"), direct=False)
    assert way == ("ctx", "ctx/stage-1/2-copy", "ctx/build/3-run")


def test_a_list_asks_no_registry(docker: Docker) -> None:
    found = {each.name: each.description for each in list_targets(request(docker))}
    assert found["ctx/stage-1/2-copy"] == "[stage-1 2/3] COPY --from=build /b /r/"
    docker.write("Dockerfile", "FROM registry.invalid/x\nRUN x\n")
    assert "ctx" in {each.name for each in list_targets(request(docker))}

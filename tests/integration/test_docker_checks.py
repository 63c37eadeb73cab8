"""What a build says of questionable lines: what it knows of their bases, what it calls the file."""

from pathlib import Path

import pytest
from support.dockerbuilds import Docker

from buildgraph.errors import StepFailedError, UsageError
from buildgraph.events import Warned


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker.make(tmp_path)


def warned(docker: Docker) -> list[str]:
    return [event.message for event in docker.workspace.events if isinstance(event, Warned)]


def test_variables_of_a_base_that_is_called_otherwise_are_known(docker: Docker) -> None:
    docker.write("open", "1")
    docker.build("FROM box\nENV P=$PATH\nCOPY open $PATH2 /d/\nFROM scratch\n", target="0")
    assert warned(docker) == [
        "ctx/Dockerfile:3: UndefinedVar: Usage of undefined variable '$PATH2' (did you mean $PATH?)"
    ]


def test_what_is_excluded_is_also_warned_of(docker: Docker) -> None:
    docker.write(".dockerignore", "secret*\n")
    docker.write("secret1", "1")
    with pytest.raises(UsageError, match="secret1"):
        docker.build("FROM box\nCOPY secret1 /\n")
    excluded = 'Attempting to Copy file "secret1" that is excluded by .dockerignore'
    assert warned(docker) == [f"ctx/Dockerfile:2: CopyIgnoredFile: {excluded}"]


def test_comments_and_arguments_say_which_checks_count(docker: Docker) -> None:
    text = "FROM box AS Big\n# check=skip=JSONArgsRecommended\nCMD x\n"
    docker.build(text, args={"BUILDKIT_DOCKERFILE_CHECK": "skip=StageNameCasing"})
    assert warned(docker) == []
    with pytest.raises(UsageError) as caught:
        docker.build(text, args={"BUILDKIT_DOCKERFILE_CHECK": "skp=all"})
    assert caught.value.code == "bad-check-option"


def test_a_file_is_called_what_the_user_calls_it(docker: Docker) -> None:
    docker.write("Dockerfile", "FROM box\nRUN <<EOT\necho before\nexit 7\nEOT\n")
    folder = docker.workspace.folder
    for file in (str(folder / "ctx/Dockerfile"), "./ctx/../ctx/Dockerfile", "ctx/Dockerfile"):
        with pytest.raises(StepFailedError) as caught:
            docker.build(file=file)
        shown = caught.value.render()
        assert shown.startswith(f"{file}:2-5:")
        assert shown.count("| >>> exit 7") == 1
        assert "before" in shown

"""From a Buildfile's text to the graph: stacks, inherited configs, and the mistakes that only bases can show."""

from dataclasses import replace
from pathlib import Path

import pytest

from buildgraph.build.choosing import check_rebuild, choose
from buildgraph.digest import Digest
from buildgraph.errors import ErrorGroup, UsageError
from buildgraph.graph.graph import BaseFacts
from buildgraph.graph.lower import lower
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.spec.load import load

AMD = Platform("linux", "amd64")
BASE = replace(
    Config.empty(AMD), env=(("PATH", "/base/bin"), ("LANG", "C")), user="7", workdir="/base"
)


def graph(text: str):
    head = 'buildfile = 1\n[base.box]\nlayout = "box"\n'
    loaded = load(
        Path("Buildfile.toml"),
        (head + text).encode(),
        environ={},
        machine=AMD,
        exists=lambda _: True,
    )
    facts = BaseFacts((Digest("sha256:" + "0" * 64),), BASE)
    return lower(loaded.model, dict.fromkeys(loaded.model.bases, facts), {}, AMD)


def run(name: str, *on: str, more: str = "") -> str:
    stack = ", ".join(f'"{entry}"' for entry in on)
    return f'[step.{name}]\non = [{stack}]\nrun = "true"\n{more}'


def stack(made, name: str) -> list[str]:
    return [step.partition(":")[2] for step in made.images[name].stack]


def test_what_is_met_twice_counts_once_at_its_first_place():
    made = graph(
        run("tools", "box") + run("deps", "box") + '[image.i]\non = ["box", "tools", "deps"]\n'
    )
    assert stack(made, "i") == ["box", "tools", "deps"]


def test_a_run_step_brings_its_own_stack():
    made = graph(
        run("tools", "box")
        + '[step.src]\ncopy = [{ from = "src", to = "/src/" }]\n'
        + run("built", "tools", "src")
        + '[image.i]\non = ["built"]\n[image.j]\non = ["i"]\n'
    )
    assert stack(made, "i") == ["box", "tools", "src", "built"]
    assert stack(made, "j") == stack(made, "i")


def test_steps_stand_after_their_inputs_whatever_the_order_of_tables():
    made = graph(run("b", "a") + run("a", "box") + '[image.i]\non = ["b"]\n')
    assert list(made.steps) == ["base:box", "step:a", "step:b"]


def test_a_run_step_inherits_the_config_and_keeps_its_own_to_itself():
    made = graph(
        run("a", "box", more='env = { PATH = "/own:${env.PATH}" }\nworkdir = "/sub"\n')
        + run("b", "a")
    )
    first, second = made.steps["step:a"], made.steps["step:b"]
    assert dict(first.env)["PATH"] == "/own:/base/bin"
    assert first.workdir == "/sub"
    assert first.user == "7"
    assert dict(second.env)["PATH"] == "/base/bin"
    assert second.workdir == "/base"


def test_steps_get_the_fixed_time_and_no_bytecode_unless_they_set_them():
    env = dict(graph(run("a", "box")).steps["step:a"].env)
    assert env["SOURCE_DATE_EPOCH"] == "315532800"
    assert env["PYTHONDONTWRITEBYTECODE"] == "1"
    own = dict(
        graph(run("a", "box", more='env = { SOURCE_DATE_EPOCH = "5" }\n')).steps["step:a"].env
    )
    assert own["SOURCE_DATE_EPOCH"] == "5"


def test_an_image_hands_its_config_on():
    made = graph('[image.a]\non = ["box"]\nenv = { A = "1" }\nuser = "9"\n' + run("s", "a"))
    step = made.steps["step:s"]
    assert dict(step.env)["A"] == "1"
    assert step.user == "9"


def test_an_unknown_variable_of_the_environment_is_named_with_what_there_is():
    with pytest.raises(ErrorGroup) as caught:
        graph(run("a", "box", more='env = { A = "${env.NOPE}" }\n'))
    [error] = caught.value.errors
    assert error.code == "unknown-env"
    assert "NOPE" in error.message
    assert "LANG" in error.hint


def test_layers_that_would_swap_places_under_a_run_step_are_an_error():
    text = (
        run("one", "box")
        + run("two", "box")
        + run("both", "box", "one", "two")
        + '[image.i]\non = ["box", "two", "both"]\n'
    )
    with pytest.raises(ErrorGroup) as caught:
        graph(text)
    [error] = caught.value.errors
    assert error.code == "stack-order"
    assert "one" in error.message
    assert "two" in error.message


def test_a_step_for_another_platform_takes_no_part():
    made = graph(
        run("here", "box")
        + run("there", "here", more='platforms = ["linux/arm64"]\n')
        + '[image.i]\non = ["here"]\n'
    )
    assert "step:there" not in made.steps


def test_groups_leave_out_a_step_for_another_platform_and_who_names_it_is_told():
    made = graph(
        '[group.all]\ntargets = ["here", "there"]\n'
        + run("here", "box")
        + run("there", "here", more='platforms = ["linux/arm64"]\n')
    )
    assert choose(made, ["all"]) == ("step:here",)
    assert made.needed(choose(made, ["all"])) == ("base:box", "step:here")
    check_rebuild(made, ["there"])
    for name in ("there", "step:there", "the*"):
        with pytest.raises(UsageError, match="step there is only for linux/arm64") as caught:
            choose(made, [name])
        assert caught.value.code == "step-platform"
        assert "arm64" in caught.value.where.excerpt


def test_checks_may_stand_on_the_image_that_they_check():
    made = graph('[image.i]\non = ["box"]\nchecks = ["test"]\n' + run("test", "i"))
    assert made.images["i"].checks == ("step:test",)
    assert made.needed(["image:i"]) == ("base:box", "step:test")
    assert made.needed(["image:i"], checks=False) == ("base:box",)


def test_what_a_change_affects():
    made = graph(run("a", "box") + run("b", "a") + run("c", "box") + '[image.i]\non = ["b"]\n')
    assert made.affected(["step:b"]) == {"step:b", "image:i"}


def test_a_mistake_is_told_once_not_by_all_that_stand_on_it():
    text = '[image.a]\non = ["box"]\nenv = { B = "${env.NOPE}" }\n'
    for number in range(4):
        text += f'[image.i{number}]\non = ["{f"i{number - 1}" if number else "a"}"]\n'
    with pytest.raises(ErrorGroup) as caught:
        graph(text + run("s", "i3"))
    assert [error.code for error in caught.value.errors] == ["unknown-env"]


@pytest.mark.parametrize(
    ("on", "tools", "expected"),
    [
        ("made", '"src"', ("base:box", "step:src")),
        ("made", '"box", "src"', ("base:box", "step:src")),
        ("made", '"made", "src"', ("base:box", "step:made", "step:src")),
        ("src", '"made"', ("base:box", "step:made")),
    ],
)
def test_tools_lie_over_the_one_root(on, tools, expected):
    text = '[step.src]\ncopy = [{ from = "src", to = "/src/" }]\n' + run("made", "box")
    step = run("use", on, more=f'with = [{tools}]\noutputs = ["/out"]\n')
    assert graph(text + step).steps["step:use"].tools == expected

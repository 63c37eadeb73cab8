"""Where values come from, and what is remembered of the asking."""

import pytest
from support.buildfile import GIT, codes, mistakes, read

from buildgraph.errors import UsageError
from buildgraph.spec.model import Text

VARS = """
[vars]
python = { default = "3.12", env = "CI_PYTHON", choices = ["3.11", "3.12"] }
fixed-name = "x"
image = "py${python}-${target.name}"
[image.api]
on = ["box"]
labels = { v = "%s" }
"""


def label(value, **given):
    loaded = read(VARS % value, **given)
    return loaded.model.images["api"].config.labels["v"].fill({}), loaded


@pytest.mark.parametrize(
    ("environ", "sets", "expected"),
    [
        ({}, {}, "3.12"),
        ({"CI_PYTHON": "3.11"}, {}, "3.11"),
        ({"CI_PYTHON": "3.12", "BUILDGRAPH_VAR_PYTHON": "3.11"}, {}, "3.11"),
        ({"BUILDGRAPH_VAR_PYTHON": "3.12", "BUILDGRAPH_VAR_python": "3.11"}, {}, "3.11"),
        ({"BUILDGRAPH_VAR_PYTHON": "3.12"}, {"python": "3.11"}, "3.11"),
    ],
)
def test_who_wins(environ, sets, expected):
    assert label("${python}", environ=environ, sets=sets)[0] == expected


def test_what_was_consulted_is_remembered_absent_or_not():
    value, loaded = label("${python} ${fixed-name}")
    assert value == "3.12 x"
    assert set(loaded.consulted_env) == {
        "BUILDGRAPH_VAR_python",
        "BUILDGRAPH_VAR_PYTHON",
        "CI_PYTHON",
        "BUILDGRAPH_VAR_fixed-name",
        "BUILDGRAPH_VAR_FIXED_NAME",
    }
    assert loaded.model.variables == {"python": "3.12", "fixed-name": "x"}
    assert label("no variable")[1].consulted_env == ()


def test_what_decided_before_the_environment_was_not_consulted():
    assert label("${python}", sets={"python": "3.11"})[1].consulted_env == ()


def test_a_default_is_filled_in_for_each_target():
    assert label("${image}")[0] == "py3.12-api"


def test_a_value_from_outside_is_taken_as_it_is():
    assert label("${fixed-name}", sets={"fixed-name": "${python} $$"})[0] == "${python} $$"


def test_an_empty_value_is_a_value():
    assert label("[${fixed-name}]", environ={"BUILDGRAPH_VAR_FIXED_NAME": ""})[0] == "[]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("git.commit", GIT.commit),
        ("git.short", "0123456"),
        ("git.branch", "main"),
        ("git.tag", "v1"),
        ("git.dirty", "true"),
        ("platform", "linux/amd64"),
        ("platform.os", "linux"),
        ("platform.arch", "amd64"),
        ("platform.uname", "x86_64"),
        ("build.platform", "linux/amd64"),
        ("target.name", "api"),
        ("target.dir", "."),
        ("target.dirname", "shop"),
        ("epoch", "315532800"),
    ],
)
def test_built_ins(name, value):
    found, loaded = label(f"${{{name}}}")
    assert found == value
    assert loaded.used_git == ({name[4:]} if name.startswith("git.") else set())


def test_git_is_not_asked_when_nobody_mentions_it():
    def git():
        raise AssertionError

    assert label("x", git=git)[0] == "x"


def test_git_is_asked_once_and_its_absence_is_one_mistake():
    asked = []

    def git():
        asked.append(1)
        raise UsageError("no-git", "nothing known")

    text = VARS % "${git.commit} ${git.short}" + 'tags = ["a:${git.tag}"]\n'
    assert mistakes(text, git=git) == ["no-git: nothing known"]
    assert len(asked) == 1


def test_choices_hold_for_values_from_anywhere():
    text = VARS % "${python}"
    assert codes(text, sets={"python": "3.9"}) == ["bad-choice"]
    assert codes(VARS % "x", sets={"python": "3.9"}) == ["bad-choice"]
    assert "CI_PYTHON" in mistakes(text, environ={"CI_PYTHON": "3.9"})[0]
    assert codes(VARS % "x", environ={"CI_PYTHON": "3.9"}) == [], "nobody asked"


def test_a_variable_of_the_stack_travels_through_a_default():
    text = VARS.replace('fixed-name = "x"', 'fixed-name = "/bin:${env.PATH}"') % "${fixed-name}"
    found = read(text).model.images["api"].config.labels["v"]
    assert isinstance(found, Text)
    assert found.fill({"PATH": "/usr"}) == "/bin:/usr"


def test_keys_are_filled_in_too():
    text = VARS % "x" + '[step.w]\nwrite = { "/etc/${python}" = "a$" }\n'
    assert read(text).model.steps["w"].kind.items[0].path == "/etc/3.12"
    both = VARS % "x" + '[step.w]\nwrite = { "/etc/${python}" = "a", "/etc/3.12" = "b" }\n'
    assert codes(both) == ["duplicate-key"]


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("vars.python == '3.12'", True),
        ("vars.python != '3.12'", False),
        ("vars.python in ['3.11', '3.12',]", True),
        ("vars.python not in ['3.11']", True),
        ("not vars.python in ['3.11']", True),
        ("git.dirty", True),
        ("not git.dirty and git.tag == 'v1'", False),
        ("git.branch == 'x' or git.tag == 'v1' and platform.arch == 'amd64'", True),
        ("(git.branch == 'x' or git.tag == 'v1') and platform == 'windows/amd64'", False),
        ('git.tag == "v1"', True),
        ("'v1' == git.tag", True),
        ("not not git.dirty", True),
        ("(git.dirty) == 'true'", True),
    ],
)
def test_conditions(when, holds):
    quoted = when.replace('"', '\\"')
    text = VARS % "x" + f'[image.b]\non = ["box"]\nwhen = "{quoted}"\n'
    assert ("b" in read(text).model.images) == holds


def test_what_decides_first_is_all_that_is_asked():
    text = VARS % "x" + '[image.b]\non = ["box"]\nwhen = "vars.python == \'3.12\' or git.dirty"\n'
    assert read(text).used_git == frozenset()


@pytest.mark.parametrize(
    "when",
    [
        "",
        "vars.python ==",
        "== '3'",
        "(vars.python",
        "vars.python in",
        "vars.python in ['a' 'b']",
        "['a'",
        "vars.python = 'x'",
        "vars.python == '3' '4'",
        "'open",
        "in ['a']",
        "(" * 200 + "git.dirty" + ")" * 200,
        "vars.python == ${python}",
        "[['a']]",
    ],
)
def test_conditions_that_cannot_be_read(when):
    text = VARS % "x" + f'[image.b]\non = ["box"]\nwhen = "{when}"\n'
    assert codes(text) == ["bad-condition"]


def test_what_is_switched_off_is_as_if_not_written():
    text = VARS % "x" + '[step.b]\nwhen = "not git.dirty"\nrun = 5\nnonsense = "${nope}"\n'
    assert codes(text) == []


@pytest.mark.parametrize("given", range(16))
def test_the_nearest_value_of_a_variable_counts(given):
    default, env, own, option = (bool(given & bit) for bit in (1, 2, 4, 8))
    text = f"""
    [vars]
    branch = {{ env = "CI_BRANCH"{', default = "of the file"' if default else ""} }}
    [image.api]
    on = ["box"]
    labels = {{ branch = "${{branch}}" }}
    """
    environ = {"CI_BRANCH": "of its variable"} if env else {}
    environ |= {"BUILDGRAPH_VAR_BRANCH": "of the environment"} if own else {}
    sets = {"branch": "of the command line"} if option else {}
    order = (
        (option, "of the command line"),
        (own, "of the environment"),
        (env, "of its variable"),
        (default, "of the file"),
    )
    expected = next((value for there, value in order if there), None)
    if expected is None:
        assert codes(text) == ["unset-variable"]
    else:
        assert read(text, environ=environ, sets=sets).model.variables == {"branch": expected}

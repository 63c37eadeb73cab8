"""Whatever a Buildfile says, it is a model or a list of mistakes with places."""

import json
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.buildfile import GIT, HEAD

from buildgraph.errors import ErrorGroup, UsageError
from buildgraph.names import Platform
from buildgraph.spec import defaults, shape
from buildgraph.spec.load import load

WORDS = st.sampled_from(
    [
        *(
            "",
            "a",
            "b",
            "box",
            "/",
            "/x/",
            "../y",
            "step:a",
            "image:b",
            "base:box",
            "//:a",
            "*",
            "~",
        ),
        *(
            "${v}",
            "${env.PATH}",
            "$$",
            "${",
            "${git.tag}",
            "${nope}",
            "${key}",
            ":1",
            "x:${key}",
            "1s",
        ),
        *(
            "build",
            "linux/amd64",
            "0755",
            "root",
            "git",
            "keep",
            "strict",
            "always",
            "none",
            "1m",
            "8080",
        ),
        *(
            "vars.v == 'x'",
            "not git.dirty",
            "vars.v in ['x']",
            "==",
            "**/x",
            "/x/**",
            "direct",
            "CMD",
        ),
    ]
)
SCALARS = st.one_of(
    WORDS, st.integers(-2, 70000), st.booleans(), st.floats(allow_nan=False, width=16)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)


def shaped(wanted):
    """Values of a shape of the language: what the loader decodes, and then looks at."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted is bool:
        return st.booleans()
    if wanted in (int, float):
        return st.integers(-1, 900) | st.sampled_from([8080, 0o755])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(shaped(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(WORDS, shaped(arguments[1]), max_size=2)
    if origin in (Union, UnionType):
        return st.one_of([shaped(argument) for argument in arguments])
    if origin is not None:
        return shaped(arguments[0])
    if hasattr(wanted, "__annotations__") and wanted is not str:
        return table(wanted)
    return WORDS


@st.composite
def table(draw, wanted, **fixed):
    """Some of the keys; now and then one that does not exist, or a value of another shape."""
    shapes = wanted.__annotations__
    names = st.lists(st.sampled_from([*sorted(shapes), "nonsense"]), max_size=6, unique=True)
    drawn = {}
    for name in draw(names):
        odd = name == "nonsense" or draw(st.integers(0, 15)) == 0
        drawn[name] = draw(
            ANYTHING if odd else fixed[name] if name in fixed else shaped(shapes[name])
        )
    return drawn


ON = st.just(["box"]) | st.lists(
    st.sampled_from(["a", "b", "box", "d", "image:d", "x"]), max_size=3
)
KINDS = st.sampled_from(["run", "copy", "write", "dirs", "packages"])


@st.composite
def steps(draw):
    kind = draw(KINDS)
    drawn = draw(table(shape.StepTable, on=ON))
    if draw(st.booleans()):
        others = {"run", "copy", "write", "dirs", "links", "packages", "nonsense", "platform"} - {
            kind
        }
        run = defaults.RUN_ONLY if kind != "run" else set()
        drawn = {key: value for key, value in drawn.items() if key not in others | run}
        drawn[kind] = draw(shaped(shape.StepTable.__annotations__[kind]))
    return drawn


DOCUMENTS = st.fixed_dictionaries(
    {"step": st.dictionaries(st.sampled_from(["a", "b", "c"]), steps(), max_size=3)},
    optional={
        "vars": st.dictionaries(
            st.sampled_from(["v", "w"]), shaped(shape.VariableValue), max_size=2
        ),
        "image": st.dictionaries(
            st.sampled_from(["d", "b"]), table(shape.ImageTable, on=ON), max_size=2
        ),
        "group": st.dictionaries(st.just("e"), table(shape.GroupTable), max_size=1),
        "secret": st.dictionaries(
            st.sampled_from(["a", "s"]), table(shape.SecretTable), max_size=1
        ),
    },
)


def toml(value):
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value).replace("Infinity", "inf")


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(DOCUMENTS, table(shape.StepTable) | st.just({}))
def test_a_model_or_mistakes(document, inherited):
    text = HEAD + f"[workspace.defaults]\nstep = {toml(inherited)}\n"
    for kind, tables in document.items():
        for name, table in tables.items():
            text += f"[{kind}]\n" if not text.count(f"[{kind}]\n") else ""
            text += f"{name} = {toml(table)}\n"
    try:
        loaded = load(
            Path("/shop/Buildfile.toml"),
            text.encode(),
            environ={},
            git=GIT,
            machine=Platform("linux", "amd64"),
            exists=lambda path: path == "a",
        )
    except ErrorGroup as group:
        for error in group.errors:
            assert isinstance(error, UsageError)
            assert error.message
            assert error.where is not None
            assert error.where.line >= 0
    else:
        assert set(loaded.model.steps) <= {"a", "b", "c"}

"""What plainly has its shape, pydantic would have left as it is; and it is pydantic that says no."""

import datetime as dt
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from buildgraph.spec import shape
from buildgraph.spec.expand import Holed
from buildgraph.spec.fits import fits

TEXT = st.sampled_from(["", "a", "always", "git", "none", "1", "${x}"])
SCALARS = st.one_of(
    TEXT,
    TEXT.map(Holed),
    st.integers(-1, 2),
    st.booleans(),
    st.just(1.5),
    st.none(),
    st.just(dt.date(2000, 1, 1)),
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2)
)


def near(wanted: Any) -> st.SearchStrategy[Any]:
    """Values that have the shape ``wanted``, and now and then something else in their place."""
    return st.integers(0, 19).flatmap(lambda n: exact(wanted) if n else ANYTHING)


def exact(wanted: Any) -> st.SearchStrategy[Any]:
    arguments = get_args(wanted)
    origin = get_origin(wanted)
    if origin is Annotated:
        return exact(arguments[0])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, UnionType):
        return st.one_of([near(each) for each in arguments])
    if origin is list:
        return st.lists(near(arguments[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(TEXT, near(arguments[1]), max_size=2)
    if hasattr(wanted, "__total__"):
        fields = {key: near(each) for key, each in wanted.__annotations__.items()}
        chosen = st.sets(st.sampled_from(sorted(fields)), max_size=4)
        return chosen.flatmap(lambda keys: st.fixed_dictionaries({k: fields[k] for k in keys}))
    scalars = {str: TEXT, int: st.integers(0, 3), bool: st.booleans(), float: st.just(1.5)}
    return scalars.get(wanted, ANYTHING)


@pytest.mark.parametrize("kind", sorted(shape.SHAPES))
@given(data=st.data())
def test_what_fits_is_what_pydantic_returns_unchanged(kind: str, data: st.DataObject) -> None:
    value = data.draw(near(shape.SHAPES[kind]))
    try:
        decoded = shape.adapter(kind).validate_python(value)
    except ValidationError:
        assert not fits(shape.SHAPES[kind], value)
        return
    if fits(shape.SHAPES[kind], value):
        assert told(decoded) == told(value)


def told(value: object) -> object:
    """With types, so that True is not 1; a table's keys in any order."""
    if isinstance(value, dict):
        return {key: told(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [told(inner) for inner in value]
    return type(value), value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("step", {"run": "true", "on": ["base"], "env": {"A": Holed("${env.B}")}}),
        ("step", {"run": ["true"], "mounts": [{"cache": "pip", "target": "/c", "mode": 0o755}]}),
        ("step", {"run": {"file": "x"}, "reuse": "never", "retry": {"on": [1, "network"]}}),
        (
            "image",
            {"on": ["a"], "cmd": ["x"], "expose": [80, "81/udp"], "tags": ["a", {"tag": "b"}]},
        ),
        ("workspace", {"name": "x", "defaults": {"step": {"env": {}}}}),
        ("vars", {"A": "1", "B": {"default": "2"}}),
    ],
)
def test_what_people_write_fits(kind: str, value: dict[str, Any]) -> None:
    assert fits(shape.SHAPES[kind], value)
    assert told(shape.adapter(kind).validate_python(value)) == told(value)

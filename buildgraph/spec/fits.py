"""Does a value plainly have a shape, so that nothing has to be said about it?

Nearly every table that people write is in order, and pydantic, which knows how to say what is not, takes longer to
start than most builds take to run. So it is asked only where this module does not say yes. A yes means that strict
decoding by pydantic would return an equal value; a no means nothing but that pydantic has to look.
"""

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from buildgraph.spec.shape import AsItIs

Check = Callable[[Any], bool]


def fits(shape: Any, value: object) -> bool:
    """``shape`` is a table of ``shape.SHAPES`` or a part of one."""
    return _check(shape)(value)


@cache
def _check(shape: Any) -> Check:
    arguments = get_args(shape)
    match get_origin(shape):
        case None if shape is Any:
            return lambda _: True
        case None if hasattr(shape, "__total__"):
            return _table(shape.__annotations__)
        case None:
            return lambda value: type(value) is shape
        case origin if origin is list:
            return _list(_check(arguments[0]))
        case origin if origin is dict:
            return _map(_check(arguments[1]))
        case origin if origin is Literal:
            return lambda value: type(value) is str and value in arguments
        case origin if origin is Annotated and AsItIs in arguments:
            return lambda value: isinstance(value, str)
        case origin if origin is Annotated:
            return _check(arguments[0])
        case origin if origin in (Union, UnionType):
            return _union([_check(argument) for argument in arguments])
        case _:
            return lambda _: False


def _table(fields: dict[str, Any]) -> Check:
    def check(value: Any) -> bool:
        return type(value) is dict and all(
            key in fields and _check(fields[key])(inner) for key, inner in value.items()
        )

    return check


def _list(item: Check) -> Check:
    return lambda value: type(value) is list and all(map(item, value))


def _map(item: Check) -> Check:
    def check(value: Any) -> bool:
        return type(value) is dict and all(
            type(key) is str and item(inner) for key, inner in value.items()
        )

    return check


def _union(members: list[Check]) -> Check:
    return lambda value: any(member(value) for member in members)

"""Values: classes that are their fields, at a tenth of what the standard library's dataclasses cost a start.

``dataclasses`` writes and compiles six methods for every class when it is imported, which was a quarter of a whole
build's own time. Here a class gets its slots and small shared methods at once, and an ``__init__`` of its own once it
has some instances; most commands make any of a tenth of the classes that they import, and of most of these a few.

What is written means what it means there, and type checkers are told so: ``dataclass`` with ``frozen``, ``slots`` and
``order``, ``field`` with ``default``, ``default_factory`` and ``compare``, ``__post_init__``, ``replace``. There is no
inheritance of fields, no ``ClassVar``, no ``InitVar``. ``dataclasses.fields``, ``asdict`` and ``replace`` take these
values as their own.
"""

import operator
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

__all__ = ["dataclass", "field", "replace"]

_ABSENT: Final = object()
"""No default; as a parameter's default: call the factory."""

if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:

    def dataclass(
        *, frozen: bool = False, slots: bool = False, order: bool = False
    ) -> Callable[[type], type]:
        return lambda cls: _made(cls, frozen=frozen, slots=slots, order=order)

    def field(
        *, default: Any = _ABSENT, default_factory: Any = _ABSENT, compare: bool = True
    ) -> Any:
        return _Field(default, default_factory, compare)

    def replace(value: Any, /, **changes: Any) -> Any:
        cls = type(value)
        for name in cls.__match_args__:
            if name not in changes:
                changes[name] = getattr(value, name)
        return cls(**changes)


class _Field:
    __slots__ = ("compare", "default", "factory")

    def __init__(self, default: Any, factory: Any, compare: bool) -> None:  # noqa: FBT001
        self.default = default
        self.factory = factory
        self.compare = compare


def _made(cls: type, *, frozen: bool, slots: bool, order: bool) -> type:
    namespace = dict(cls.__dict__)
    fields = {name: _field(namespace.pop(name, _ABSENT)) for name in _annotated(cls)}
    names = tuple(fields)
    key = _key([name for name, described in fields.items() if described.compare])
    given: dict[str, Any] = {
        "__match_args__": names,
        "__dataclass_fields__": _Described(fields, frozen=frozen),
        "__repr__": _repr,
        "__eq__": _equal(key),
        "__reduce__": _reduce,
    }
    if frozen:
        given |= {"__hash__": _hash(key), "__setattr__": _refuse, "__delattr__": _refuse}
    if order:
        given |= {f"__{name}__": _compare(key, getattr(operator, name)) for name in _ORDER}

    count = 0

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it becomes the class's
        nonlocal count
        count += 1
        if count <= _FEW and _assigned(self, fields, args, kwargs, frozen=frozen):
            return
        made.__init__ = init = _init(made, fields, frozen=frozen, slots=slots)  # type: ignore[misc]
        init(self, *args, **kwargs)

    given["__init__"] = __init__
    if not frozen and "__hash__" not in namespace:
        given["__hash__"] = None
    for name, method in given.items():
        if name not in namespace or (name == "__hash__" and namespace[name] is None):
            namespace[name] = method
    made = _recreated(cls, namespace, names if slots else None)
    return made


_FEW: Final = 16
"""To compile an ``__init__`` takes as long as to make about so many instances without one of their own."""


def _assigned(
    made: Any,
    fields: dict[str, _Field],
    args: tuple[Any, ...],
    named: dict[str, Any],
    *,
    frozen: bool,
) -> bool:
    """False, and nothing assigned, for arguments that do not fit: a compiled ``__init__`` says what is wrong."""
    given = dict(zip(fields, args, strict=False))
    if len(given) < len(args) or not named.keys() <= fields.keys() - given.keys():
        return False
    given |= named
    for name, described in fields.items():
        if name not in given:
            if described.factory is not _ABSENT:
                given[name] = described.factory()
            elif described.default is not _ABSENT:
                given[name] = described.default
            else:
                return False
    assign = object.__setattr__ if frozen else setattr
    for name, value in given.items():
        assign(made, name, value)
    if hasattr(made, "__post_init__"):
        made.__post_init__()
    return True


def _recreated(cls: type, namespace: dict[str, Any], slots: tuple[str, ...] | None) -> type:
    """Slots can only be given to a class when it is made."""
    for name in ("__dict__", "__weakref__"):
        namespace.pop(name, None)
    if slots is not None:
        namespace["__slots__"] = slots
    made = type(cls)(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    return made


def _annotated(cls: type) -> tuple[str, ...]:
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        return tuple(get_annotations(cls, format=Format.FORWARDREF))
    return tuple(cls.__annotations__)


def _field(written: object) -> _Field:
    return written if isinstance(written, _Field) else _Field(written, _ABSENT, compare=True)


def _init(cls: Any, fields: dict[str, _Field], *, frozen: bool, slots: bool) -> Callable[..., None]:
    """Compiled like a hand-written one, so that making a value costs no more."""
    scope: dict[str, Any] = {"_absent": _ABSENT, "_set": object.__setattr__}
    parameters, lines = ["self"], []
    for name, described in fields.items():
        value = name
        if described.factory is not _ABSENT:
            scope[f"_new_{name}"] = described.factory
            value = f"_new_{name}() if {name} is _absent else {name}"
            parameters.append(f"{name}=_absent")
        elif described.default is not _ABSENT:
            scope[f"_is_{name}"] = described.default
            parameters.append(f"{name}=_is_{name}")
        else:
            parameters.append(name)
        if not frozen:
            lines.append(f"self.{name} = {value}")
        elif slots:
            scope[f"_set_{name}"] = cls.__dict__[name].__set__
            lines.append(f"_set_{name}(self, {value})")
        else:
            lines.append(f"_set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "\n ".join(lines or ["pass"])
    exec(f"def __init__({', '.join(parameters)}):\n {body}", scope)  # noqa: S102 - our own text
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _key(names: list[str]) -> Callable[[Any], object]:
    """What a value is compared by."""
    return operator.attrgetter(*names) if names else lambda _: ()


_ORDER: Final = ("lt", "le", "gt", "ge")


def _equal(key: Callable[[Any], object]) -> Callable[[Any, object], bool]:
    return _compare(key, operator.eq)


def _compare(
    key: Callable[[Any], object], holds: Callable[[Any, Any], Any]
) -> Callable[[Any, object], bool]:
    def compare(self: Any, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented  # type: ignore[no-any-return]
        return bool(holds(key(self), key(other)))

    return compare


def _hash(key: Callable[[Any], object]) -> Callable[[Any], int]:
    return lambda self: hash(key(self))


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({fields})"


def _reduce(self: Any) -> tuple[type, tuple[object, ...]]:
    """For pickle and copy."""
    return type(self), tuple(getattr(self, name) for name in self.__match_args__)


def _refuse(_self: object, name: str, _value: object = None) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"{name!r} of a frozen value stays as it is")


class _Described:
    """``__dataclass_fields__``, made when somebody asks for it."""

    __slots__ = ("_fields", "_frozen")

    def __init__(self, fields: dict[str, _Field], *, frozen: bool) -> None:
        self._fields = fields
        self._frozen = frozen

    def __get__(self, _value: object, cls: type) -> dict[str, Any]:
        import dataclasses

        rows: list[Any] = []
        for name, described in self._fields.items():
            told: dict[str, Any] = {"compare": described.compare}
            if described.factory is not _ABSENT:
                told["default_factory"] = described.factory
            elif described.default is not _ABSENT:
                told["default"] = described.default
            rows.append((name, cls.__annotations__[name], dataclasses.field(**told)))
        twin = dataclasses.make_dataclass("_Twin", rows, frozen=self._frozen)
        return {each.name: each for each in dataclasses.fields(twin)}

import copy
import dataclasses
import pickle
from functools import cached_property

import pytest

from buildgraph import values


@values.dataclass(frozen=True, slots=True)
class Point:
    """A place."""

    x: int
    y: int = 2
    seen: list[str] = values.field(default_factory=list)
    note: str = values.field(default="", compare=False)

    @property
    def far(self) -> bool:
        return self.x > 9


@values.dataclass(slots=True)
class Counter:
    total: int = 0


@values.dataclass(frozen=True)
class Open:
    name: str

    @cached_property
    def long(self) -> str:
        return self.name * 2


@values.dataclass(frozen=True, slots=True, order=True)
class Version:
    major: int
    minor: int = 0


@values.dataclass(frozen=True, slots=True)
class Checked:
    level: int

    def __post_init__(self) -> None:
        if self.level > 9:
            raise ValueError(self.level)


@values.dataclass(frozen=True, slots=True)
class Nothing:
    pass


@values.dataclass(frozen=True, slots=True)
class Plain:
    x: tuple[int, ...]
    y: str = "y"


Twin = dataclasses.make_dataclass("Plain", [("x", tuple), ("y", str, "y")], frozen=True, slots=True)


def test_a_value_is_made_by_position_and_by_name_with_its_defaults() -> None:
    assert Point(1) == Point(x=1, y=2, seen=[], note="other")
    assert Point(1, 3) != Point(1)
    assert Point(1).seen is not Point(1).seen
    assert Point(10).far


@pytest.mark.parametrize("arguments", [(), (1, 2, [], "", 5)])
def test_a_wrong_number_of_arguments_is_refused_at_the_first_and_at_every_instance(
    arguments: tuple[object, ...],
) -> None:
    @values.dataclass(frozen=True, slots=True)
    class Fresh:
        x: int
        y: int = 1

    for _ in range(2):
        with pytest.raises(TypeError, match=r"Fresh\.__init__"):
            Fresh(*arguments)
    assert Fresh(1).y == 1


@pytest.mark.parametrize(
    "named", [{"z": 1}, {"x": 1, "z": 1}, {"y": 1}], ids=["unknown", "one unknown", "one missing"]
)
def test_wrong_names_are_refused_at_the_first_instance(named: dict[str, int]) -> None:
    @values.dataclass(frozen=True, slots=True)
    class Fresh:
        x: int
        y: int = 1

    with pytest.raises(TypeError, match=r"Fresh\.__init__"):
        Fresh(**named)
    with pytest.raises(TypeError, match=r"Fresh\.__init__.* multiple values for argument 'x'"):
        Fresh(1, x=1)  # type: ignore[misc]


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("slots", [True, False])
def test_the_many_are_made_as_the_first(*, frozen: bool, slots: bool) -> None:
    @values.dataclass(frozen=frozen, slots=slots)
    class Fresh:
        x: int
        y: list[int] = values.field(default_factory=list)
        z: str = "z"

        def __post_init__(self) -> None:
            self.y.append(self.x)

    many = [Fresh(number) for number in range(50)]
    assert [(one.x, one.y, one.z) for one in many] == [(n, [n], "z") for n in range(50)]
    assert [Fresh(7, [], z="z") for _ in range(50)] == [many[7]] * 50


def test_a_frozen_value_stays_as_it_is() -> None:
    for value in (Point(1), Open("a")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.x = 2  # type: ignore[attr-defined]
        with pytest.raises(dataclasses.FrozenInstanceError):
            del value.x  # type: ignore[attr-defined]


def test_an_open_value_changes_and_has_no_hash() -> None:
    counter = Counter()
    counter.total += 1
    assert counter == Counter(1)
    with pytest.raises(TypeError):
        hash(counter)


def test_slots_leave_no_room_for_more() -> None:
    assert not hasattr(Point(1), "__dict__")
    with pytest.raises(AttributeError):
        Counter().more = 1  # type: ignore[attr-defined]


def test_without_slots_an_answer_is_kept() -> None:
    assert Open("a").long == "aa"
    assert Open("a") == Open("a")


def test_values_of_two_classes_are_never_equal() -> None:
    assert Nothing() == Nothing()
    assert Nothing() != Counter()
    assert Plain((1,)) != Twin((1,))


def test_values_are_sorted_by_their_fields_in_order() -> None:
    assert sorted([Version(2), Version(1, 5), Version(1)]) == [
        *(Version(1), Version(1, 5)),
        Version(2),
    ]
    with pytest.raises(TypeError):
        assert Version(1) < 2  # type: ignore[operator]


def test_a_value_checks_itself_when_it_is_made() -> None:
    assert Checked(9).level == 9
    with pytest.raises(ValueError, match="10"):
        Checked(10)


def test_text_hash_and_patterns_are_those_of_the_standard_library() -> None:
    ours, theirs = Plain((1, 2)), Twin((1, 2))
    assert repr(ours) == repr(theirs)
    assert hash(ours) == hash(theirs)
    match ours:
        case Plain(x, y):
            assert (x, y) == ((1, 2), "y")


def test_the_standard_library_takes_a_value_as_its_own() -> None:
    point = Point(1, note="n")
    assert dataclasses.is_dataclass(point)
    assert [field.name for field in dataclasses.fields(point)] == ["x", "y", "seen", "note"]
    assert dataclasses.asdict(point) == {"x": 1, "y": 2, "seen": [], "note": "n"}
    assert dataclasses.replace(point, x=5) == Point(5)


def test_replace_changes_what_is_named() -> None:
    changed = values.replace(Point(1, 7, ["a"], "n"), x=2)
    assert (changed.x, changed.y, changed.seen, changed.note) == (2, 7, ["a"], "n")
    with pytest.raises(TypeError):
        values.replace(Point(1), z=1)  # type: ignore[call-arg]


def test_a_value_survives_pickle_and_copy() -> None:
    point = Point(1, 2, ["a"], "n")
    for other in (pickle.loads(pickle.dumps(point)), copy.copy(point), copy.deepcopy(point)):
        assert repr(other) == repr(point)


def test_a_class_keeps_what_it_defines_itself() -> None:
    @values.dataclass(frozen=True, slots=True)
    class Own:
        x: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own)

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return "own"

    assert Own(1) == Own(2)
    assert (hash(Own(1)), repr(Own(1))) == (7, "own")

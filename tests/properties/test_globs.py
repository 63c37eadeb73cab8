"""The glob matcher against a naive one that backtracks over whole paths."""

from functools import cache

from hypothesis import example, given
from hypothesis import strategies as st

from buildgraph.fs.ignore import Globs

NAMES = st.sampled_from(["a", "b", "ab", "aab", "a.b", ".a"])
PARTS = st.sampled_from(
    ["a", "b", "ab", "*", "**", "a*", "*b", "?", "[ab]", "[!a]?", "*a*b", "{a,ab}"]
)
PATTERNS = st.builds(
    lambda parts, tail: "/".join(parts) + tail,
    st.lists(PARTS, min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
)
LISTS = st.lists(PATTERNS, max_size=3)
PATHS = st.lists(NAMES, min_size=1, max_size=5)


def name_matches(pattern: str, name: str) -> bool:
    if pattern == "":
        return name == ""
    if pattern[0] == "*":
        return name_matches(pattern[1:], name) or (name != "" and name_matches(pattern, name[1:]))
    if pattern[0] == "{":
        inner, _, rest = pattern[1:].partition("}")
        return any(name_matches(option + rest, name) for option in inner.split(","))
    if name == "":
        return False
    if pattern[0] == "?":
        return name_matches(pattern[1:], name[1:])
    if pattern[0] == "[":
        inner, _, rest = pattern[1:].partition("]")
        negated = inner.startswith("!")
        return ((name[0] in inner.lstrip("!")) != negated) and name_matches(rest, name[1:])
    return pattern[0] == name[0] and name_matches(pattern[1:], name[1:])


@cache
def parts_match(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return len(path) > 0
        return parts_match(pattern[1:], path) or (bool(path) and parts_match(pattern, path[1:]))
    return bool(path) and name_matches(pattern[0], path[0]) and parts_match(pattern[1:], path[1:])


def one_matches(pattern: str, path: list[str], is_dir: bool) -> bool:
    """``path`` itself or a folder above it."""
    parts = tuple(pattern.rstrip("/").split("/"))
    for end in range(1, len(path) + 1):
        folder = end < len(path) or is_dir
        if (folder or not pattern.endswith("/")) and parts_match(parts, tuple(path[:end])):
            return True
    return False


def naive(include: list[str], exclude: list[str], path: list[str], is_dir: bool) -> bool:
    return (not include or any(one_matches(p, path, is_dir) for p in include)) and not any(
        one_matches(p, path, is_dir) for p in exclude
    )


@given(LISTS, LISTS, PATHS, st.booleans())
@example([], ["**/"], ["a"], False)
@example(["a/**/"], [], ["a", "b"], False)
@example(["a/**/"], [], ["a", "b", "a"], False)
def test_matches_as_the_naive_one(
    include: list[str], exclude: list[str], path: list[str], is_dir: bool
) -> None:
    globs = Globs.compile(include, exclude)
    assert globs.matches("/".join(path).encode(), is_dir) == naive(include, exclude, path, is_dir)


@given(LISTS, LISTS, PATHS, st.booleans())
def test_folders_above_a_match_may_contain_it(
    include: list[str], exclude: list[str], path: list[str], is_dir: bool
) -> None:
    globs = Globs.compile(include, exclude)
    if globs.matches("/".join(path).encode(), is_dir):
        for end in range(len(path)):
            assert globs.may_contain("/".join(path[:end]).encode())


@given(LISTS, LISTS, PATHS, st.lists(NAMES, unique=True))
def test_a_folder_at_once_is_as_name_by_name(
    include: list[str], exclude: list[str], folder: list[str], names: list[str]
) -> None:
    node = Globs.compile(include, exclude).at("/".join(folder).encode())
    raw = [name.encode() for name in names]
    assert node.files(raw) == [name for name in raw if node.takes(name)]
    if node.whole:
        assert node.files(raw) == raw
    if node.dead:
        assert not any(node.takes(name) for name in raw)

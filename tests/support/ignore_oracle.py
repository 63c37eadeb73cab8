"""Ignore files as a port of moby's matcher sees them, and patterns and paths to compare on."""

from e2b_dockerfile_utils import PatternMatcher
from hypothesis import strategies as st

from buildgraph.errors import UsageError
from buildgraph.fs.moby import Patterns
from buildgraph.fs.mobypattern import clean

_PIECES = st.sampled_from(
    ["a", "b", "ab", ".", "..", "*", "**", "?", "/", "/", "[ab]", "[^a]", "\\*", ".a", "***", "é"]
)
_PATTERN = st.builds(
    lambda bang, pieces: bang + "".join(pieces),
    st.sampled_from(["", "", "!", "! "]),
    st.lists(_PIECES, min_size=1, max_size=6),
)
_NAMES = st.sampled_from(["a", "b", "ab", "aab", ".a", "*", "é"])
_PATH = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)

PATTERNS = st.lists(_PATTERN, max_size=5)
PATHS = st.lists(_PATH, min_size=1, max_size=6)


def differs(patterns: list[str]) -> bool:
    """The port takes ``!/`` for nothing; moby cleans it to ``!`` and refuses that."""
    taken_back = (pattern[1:].strip() for pattern in patterns if pattern.startswith("!"))
    return any(rest.startswith("/") and not clean(rest) for rest in taken_back)


def ours(patterns: list[str], paths: list[str]) -> list[bool] | None:
    """None for patterns that cannot be used."""
    try:
        return list(map(Patterns(patterns).matches, paths))
    except UsageError:
        return None


def theirs(patterns: list[str], paths: list[str]) -> list[bool] | None:
    try:
        return list(map(PatternMatcher(patterns).matches, paths))
    except ValueError:
        return None

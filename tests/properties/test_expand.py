"""Strings with variables: against an expansion written down character by character."""

from hypothesis import given
from hypothesis import strategies as st

from buildgraph.spec.expand import Holed, Use, escape, expand, expand_all, join, parse, text_of
from buildgraph.spec.model import EnvName

TEXT = st.text(alphabet="$ab{}.-\n'é", max_size=30)
NAMES = st.sampled_from(["a", "git.commit", "env.PATH", "env.X", "x-y"])


def fill(use, path):
    if use.name is None:
        return ("?",)
    if use.name.startswith("env."):
        return (EnvName(use.name[4:]),)
    return (f"<{use.name}>",)


@given(TEXT)
def test_an_escaped_text_means_itself(text):
    assert expand(escape(text), (), fill) == text


@given(st.lists(st.one_of(TEXT, NAMES.map(lambda name: Use(name, f"${{{name}}}"))), max_size=8))
def test_texts_and_variables_in_turn(parts):
    template = "".join(escape(part) if isinstance(part, str) else part.written for part in parts)
    expected = "".join(
        part
        if isinstance(part, str)
        else (f"[{part.name[4:]}]" if part.name.startswith("env.") else f"<{part.name}>")
        for part in parts
    )
    found = expand(template, (), fill)
    assert text_of(found).fill({"PATH": "[PATH]", "X": "[X]"}) == expected
    holes = [part.name[4:] for part in parts if isinstance(part, Use) and part.name[:4] == "env."]
    assert list(text_of(found).names()) == holes
    assert isinstance(found, Holed) == bool(holes)
    if holes:
        assert str(found) == template, "what was written is what messages show"


@given(TEXT)
def test_every_character_is_accounted_for(template):
    pieces = list(parse(template))
    rebuilt = "".join(piece.written if isinstance(piece, Use) else piece for piece in pieces)
    assert rebuilt.replace("$", "") == template.replace("$", "")
    for piece in pieces:
        assert not isinstance(piece, Use) or piece.written.startswith("${")


@given(TEXT)
def test_a_lone_dollar_is_itself(text):
    plain = text.replace("$", "")
    assert expand(f"$x {plain} $", (), fill) == f"$x {plain} $"


@given(st.lists(st.one_of(st.text(max_size=3), st.sampled_from([EnvName("A"), EnvName("B")]))))
def test_joined_parts_alternate(parts):
    found = text_of(join(tuple(parts)))
    for first, second in zip(found.parts, found.parts[1:], strict=False):
        assert not (isinstance(first, str) and isinstance(second, str))
    environ = {"A": "é", "B": "ü"}
    expected = "".join(environ[part.name] if isinstance(part, EnvName) else part for part in parts)
    assert found.fill(environ) == expected


VALUES = st.recursive(
    st.one_of(st.integers(), st.booleans(), TEXT.map(escape)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3)
    ),
)


@given(VALUES)
def test_shapes_stay_as_they_are(value):
    def unescape(item):
        if isinstance(item, str):
            return item.replace("$$", "$")
        if isinstance(item, list):
            return [unescape(each) for each in item]
        if isinstance(item, dict):
            return {key: unescape(each) for key, each in item.items()}
        return item

    refused = []
    found = expand_all(value, (), fill, lambda key, path: refused.append(path))
    assert found == unescape(value)
    assert not refused

"""Lines: documents written down with the line of every value known."""

import json

import tomli
from hypothesis import given
from hypothesis import strategies as st

from buildgraph.spec.position import Positions, skip

KEYS = st.one_of(
    st.text("abz-_9", min_size=1, max_size=4),
    st.text("a.é\"\\ #[]={}'\n", min_size=1, max_size=5),
)
STRINGS = st.text("a\"'\\#[]{}=,\n $", max_size=12)
SCALARS = st.one_of(st.integers(), st.booleans(), STRINGS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
TABLES = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4)


class Writer:
    """``lines`` maps each path to the line where its key or item begins."""

    def __init__(self, draw):
        self.text = ""
        self.lines = {}
        self.draw = draw

    @property
    def line(self):
        return self.text.count("\n") + 1

    def key(self, key):
        if key and all(char.isascii() and (char.isalnum() or char in "-_") for char in key):
            return key
        if "'" not in key and "\n" not in key and self.draw(st.booleans()):
            return f"'{key}'"
        return json.dumps(key)

    def string(self, text):
        if self.draw(st.booleans()):
            return json.dumps(text)
        safe = text.replace("\\", "\\\\").replace('"', '\\"')
        if self.draw(st.booleans()):
            return f'"""\n{safe}"""'
        if "'" not in text:
            return f"'''\n{text}'''"
        return f'"""{safe[:0]}{chr(92)}\n{safe}"""' if not safe[:1].isspace() else json.dumps(text)

    def value(self, value, path):
        if isinstance(value, str):
            self.text += self.string(value)
        elif isinstance(value, bool):
            self.text += str(value).lower()
        elif isinstance(value, int):
            self.text += str(value)
        elif isinstance(value, list):
            self.text += "["
            for at, item in enumerate(value):
                self.text += self.draw(st.sampled_from(["", " ", "\n  ", " # ] , [\n"]))
                self.lines[(*path, at)] = self.line
                self.value(item, (*path, at))
                self.text += ","
            self.text += "]"
        else:
            self.text += "{"
            for at, (key, item) in enumerate(value.items()):
                self.text += ", " if at else " "
                self.lines[(*path, key)] = self.line
                self.text += f"{self.key(key)} = "
                self.value(item, (*path, key))
            self.text += " }"


@given(TABLES, st.data())
def test_every_path_is_found_in_its_line(document, data):
    writer = Writer(data.draw)
    for name, table in document.items():
        writer.text += data.draw(st.sampled_from(["", "\n", "# [x]\n", "  "]))
        writer.lines[(name,)] = writer.line
        writer.text += f"[{writer.key(name)}]{data.draw(st.sampled_from(['', ' # x = 1']))}\n"
        for key, value in table.items():
            writer.lines[(name, key)] = writer.line
            writer.text += f"{writer.key(key)} = "
            writer.value(value, (name, key))
            writer.text += data.draw(st.sampled_from(["\n", " # it's \"\n"]))
    try:
        assert tomli.loads(writer.text) == document
    except tomli.TOMLDecodeError:
        # Older parsers know no newline inside an inline table; then there is nothing to find.
        return
    positions = Positions("f", writer.text)
    assert {path: positions.location(path).line for path in writer.lines} == writer.lines


@given(VALUES, st.data())
def test_a_value_is_skipped_whole(value, data):
    writer = Writer(data.draw)
    writer.value(value, ())
    assert skip(writer.text + "\n", 0) >= len(writer.text.rstrip())
    assert skip(f"{writer.text}, 1]", 0) == len(writer.text)

"""JSON documents that others wrote: decoded with limits, read field by field, written in one way.

A document has at most 4 MiB (what registries accept as a manifest), is UTF-8, nests at most 64 deep, names no key
twice in one object and holds no NaN. What is not understood is kept (:meth:`Fields.rest`), so that writing a
document again loses nothing. Every mistake is a ContentError (``bad-document``) that names the document and the field.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Never

from buildgraph.digest import Digest
from buildgraph.errors import ContentError

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

LARGEST: Final = 4 << 20
_DEEPEST: Final = 64
_LARGEST_NUMBER: Final = (1 << 63) - 1
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # never backtracks, whatever is unclosed
_SURROGATES: Final = "[\ud800-\udfff]"
_BRACKETS = re.compile(rb"[\[\]{}]")


def decode(content: bytes, name: str) -> "Fields":
    """The top object of the document that messages call ``name``."""
    return Fields(_decode(content, name), name)


def decode_list(content: bytes, name: str) -> list["Fields"]:
    """The same for a document whose top is a list of objects."""
    value = _decode(content, name)
    if not isinstance(value, list):
        raise _bad(name, f"must be a JSON list, not {_shown(value)}")
    return [Fields(item, f"{name}, [{at}],") for at, item in enumerate(value)]


def _decode(content: bytes, name: str) -> object:
    if len(content) > LARGEST:
        raise _bad(name, f"has {len(content)} bytes; at most {LARGEST} are read")
    _check_depth(content, name)
    try:
        value: object = json.loads(
            content.decode(),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
        )
        if b"\\u" in content:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no text
    except (ValueError, RecursionError) as error:
        raise _bad(name, f"is not JSON: {_reason(error)}") from error
    return value


def encode(value: Json) -> bytes:
    """Compact UTF-8, keys in the order in which ``value`` has them.

    A byte of a variable or an argument that is no UTF-8 becomes U+FFFD, as in what docker writes.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return re.sub(_SURROGATES, "\ufffd", text).encode()


def ordered(value: Mapping[str, Json]) -> dict[str, Json]:
    """Sorted by key, as every map of ours is written."""
    return {key: value[key] for key in sorted(value)}


def _check_depth(content: bytes, name: str) -> None:
    """Before decoding, because a decoder recurses; strings cut out so that their brackets do not count."""
    depth = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub(b"", content)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > _DEEPEST:
            raise _bad(name, f"nests deeper than {_DEEPEST} levels")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        message = f"key {twice[:60]!r} stands twice in one object"
        raise ValueError(message)
    return found


def _constant(text: str) -> Never:
    message = f"{text} is no number"
    raise ValueError(message)


def _float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _constant(text[:60])


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    return str(error)[:120]


def _bad(name: str, why: str) -> ContentError:
    return ContentError("bad-document", f"{name} {why}")


class Fields:
    """One object of a document. A field that is absent and one that is null are the same, as in Go's decoder."""

    def __init__(self, value: object, name: str) -> None:
        if not isinstance(value, dict):
            raise _bad(name, f"must be a JSON object, not {_shown(value)}")
        self.name = name
        self._values: dict[str, Json] = value
        self._known: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def _take(self, key: str) -> Json:
        self._known.add(key)
        return self._values.get(key)

    def _wrong(self, key: str, expected: str, value: object) -> ContentError:
        return _bad(self.name, f"has {_shown(value)} as {key!r}, which must be {expected}")

    def fail(self, why: str) -> ContentError:
        return _bad(self.name, why)

    def text(self, key: str, default: str = "") -> str:
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(key, "a string", value)
        return value

    def flag(self, key: str) -> bool:
        value = self._take(key)
        if not isinstance(value, bool | None):
            raise self._wrong(key, "true or false", value)
        return bool(value)

    def number(self, key: str, default: int | None = None) -> int:
        value = self._take(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "a whole number", value)
        if not 0 <= value <= _LARGEST_NUMBER:
            raise self._wrong(key, "between 0 and 2^63-1", value)
        return value

    def digest(self, key: str) -> Digest:
        value = self._take(key)
        try:
            return Digest.parse(value)
        except ContentError as error:
            raise self._wrong(key, "a digest such as sha256:<64 hex digits>", value) from error

    def digests(self, key: str) -> tuple[Digest, ...]:
        texts = self.texts(key) or ()
        try:
            return tuple(Digest.parse(text) for text in texts)
        except ContentError as error:
            raise self.fail(f"has an unusable digest in {key!r}: {error.message}") from error

    def texts(self, key: str) -> tuple[str, ...] | None:
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "a list of strings", value)
        return tuple(str(item) for item in value)

    def mapping(self, key: str) -> dict[str, str]:
        value = self._take(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise self._wrong(key, "a map of strings", value)
        return {name: str(text) for name, text in value.items()}

    def names(self, key: str) -> tuple[str, ...]:
        """The keys of a Go set (``{"80/tcp": {}}``), sorted."""
        value = self._take(key)
        if value is None:
            return ()
        if not isinstance(value, dict):
            raise self._wrong(key, "a map", value)
        return tuple(sorted(value))

    def child(self, key: str) -> "Fields | None":
        value = self._take(key)
        return None if value is None else Fields(value, f"{self.name}, {key!r},")

    def children(self, key: str) -> Iterator["Fields"]:
        value = self._take(key)
        if value is None:
            return
        if not isinstance(value, list):
            raise self._wrong(key, "a list", value)
        for at, item in enumerate(value):
            yield Fields(item, f"{self.name}, {key}[{at}],")

    def rest(self) -> dict[str, Json]:
        """What no call asked for, to be written back."""
        return {key: value for key, value in self._values.items() if key not in self._known}


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            text = repr(value)
            return text if len(text) <= 60 else text[:60] + "…"

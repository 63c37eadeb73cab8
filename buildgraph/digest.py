"""Names of content: sha256 for every blob that crosses OCI, BLAKE3 for keys, trees and the stat cache.

The canonical encoding (:func:`encode`) turns a document of plain values into bytes in exactly one way; keys are
BLAKE3 over it. It is typed and length-prefixed, so no two different documents share an encoding:

    n            none                     t / f          true / false
    i<decimal>;  integer                  s<len>:<utf8>  text
    b<len>:<raw> bytes                    l<count>:…     list, items in order
    d<count>:…   mapping, items by the utf-8 bytes of their key, key and value in turn
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NewType, Protocol, Self

from buildgraph.errors import ContentError

Document = None | bool | int | str | bytes | Sequence["Document"] | Mapping[str, "Document"]

StepKey = NewType("StepKey", str)
"""Hex BLAKE3 of a step's key document with its inputs' StepKeys; known before anything runs."""

ActionKey = NewType("ActionKey", str)
"""Hex BLAKE3 of a step's key document with the identities of its inputs' results."""

_LENGTHS = {"sha256": 64, "sha512": 128, "blake3": 64}
_PATTERN = re.compile(r"(sha256|sha512|blake3):([0-9a-f]+)")


class Digest(str):
    """``algorithm:hex``, checked once; a ``str`` so that it costs nothing to keep, compare and write."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: object) -> Self:
        """Check ``text`` (from a file or the network) against the grammar of image-spec, descriptor.md "Digests".

        Raises :class:`ContentError` for anything else, path separators included.
        """
        if isinstance(text, str):
            match = _PATTERN.fullmatch(text)
            if match and len(match[2]) == _LENGTHS[match[1]]:
                return cls(text)
        shown = repr(text)[:80]
        raise ContentError("bad-digest", f"{shown} is not a digest such as sha256:<64 hex digits>")

    @classmethod
    def of(cls, content: bytes, algorithm: str) -> Self:
        state = hasher(algorithm, len(content))
        state.update(content)
        return cls(f"{algorithm}:{state.hexdigest()}")

    @classmethod
    def sha256(cls, content: bytes) -> Self:
        return cls.of(content, "sha256")

    @classmethod
    def blake3(cls, content: bytes) -> Self:
        return cls("blake3:" + blake3_hex(content))

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """Twelve hex digits, for people."""
        return self.hex[:12]


class Hasher(Protocol):
    def update(self, data: bytes | memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


def hasher(algorithm: str, size: int = sys.maxsize) -> Hasher:
    """For about ``size`` bytes: hashlib loads OpenSSL, which takes longer than to hash a document without it."""
    if algorithm == "blake3":
        from blake3 import blake3

        return blake3()
    if algorithm == "sha256" and size <= _SMALL and "hashlib" not in sys.modules:
        return _builtin_sha256()
    import hashlib

    return hashlib.new(algorithm)


_SMALL: Final = 1 << 16


def _builtin_sha256() -> Hasher:
    """The interpreter's own, which distributions may leave out."""
    try:
        if sys.version_info >= (3, 12):
            from _sha2 import sha256
        else:
            from _sha256 import sha256
    except ImportError:
        from hashlib import sha256
    made: Hasher = sha256()
    return made


def blake3_hex(content: bytes) -> str:
    from blake3 import blake3

    return blake3(content).hexdigest()


def encode(document: Document) -> bytes:
    """The one canonical encoding of ``document``; raises ``TypeError`` for a value that has none."""
    out: list[bytes] = []
    _encode(document, out)
    return b"".join(out)


def _encode(value: Document, out: list[bytes]) -> None:
    match value:
        case str():  # first, because nearly everything is text
            raw = value.encode("utf-8", "surrogateescape")
            out.append(b"s%d:%b" % (len(raw), raw))
        case None:
            out.append(b"n")
        case bool():
            out.append(b"t" if value else b"f")
        case int():
            out.append(b"i%d;" % value)
        case list() | tuple():
            out.append(b"l%d:" % len(value))
            for item in value:
                _encode(item, out)
        case bytes():
            out.append(b"b%d:" % len(value) + value)
        case Mapping():
            out.append(b"d%d:" % len(value))
            for key in sorted(value, key=lambda k: k.encode("utf-8", "surrogateescape")):
                _encode(key, out)
                _encode(value[key], out)
        case Sequence():
            out.append(b"l%d:" % len(value))
            for item in value:
                _encode(item, out)
        case _:
            message = f"no canonical encoding for {type(value).__name__}"
            raise TypeError(message)


def key_of(document: Document) -> str:
    """Hex BLAKE3 of the canonical encoding."""
    return blake3_hex(encode(document))

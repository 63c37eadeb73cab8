"""One digest, whatever computes it."""

import hashlib
import sys

import pytest
from blake3 import blake3

from buildgraph.digest import Digest, hasher

SIZES = (0, 1, 1 << 16, (1 << 16) + 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("loaded", [True, False])
def test_documents_and_blobs_have_the_digest_that_hashlib_says(monkeypatch, size, loaded):
    content = b"x" * size
    wanted = hashlib.sha256(content).hexdigest()
    if not loaded:
        monkeypatch.delitem(sys.modules, "hashlib")
    assert Digest.sha256(content) == f"sha256:{wanted}"
    assert Digest.of(content, "sha256").hex == wanted


def test_an_interpreter_without_its_own_sha256_has_that_of_hashlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "_sha256", None)
    monkeypatch.setitem(sys.modules, "_sha2", None)
    monkeypatch.delitem(sys.modules, "hashlib")
    assert Digest.sha256(b"x").hex == hashlib.sha256(b"x").hexdigest()


def test_other_algorithms():
    assert Digest.of(b"x", "sha512") == f"sha512:{hashlib.sha512(b'x').hexdigest()}"
    assert Digest.of(b"x", "blake3") == Digest.blake3(b"x") == f"blake3:{blake3(b'x').hexdigest()}"


def test_what_is_hashed_in_parts_has_the_same_digest():
    state = hasher("sha256", 2)
    state.update(b"a")
    state.update(memoryview(b"b"))
    assert state.hexdigest() == Digest.sha256(b"ab").hex

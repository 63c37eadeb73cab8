"""When bytes from a registry are a manifest, and what a HEAD may be believed."""

import hashlib
import io
from email.message import Message
from typing import Any

import pytest

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.oci.descriptor import CONFIG, DOCKER_MANIFEST, INDEX, LAYER, MANIFEST, Descriptor
from buildgraph.oci.manifest import Index, Manifest
from buildgraph.registry.documents import announced, check_answer, read_manifest
from buildgraph.registry.failure import RegistryError

BLOB = Digest.sha256(b"x")
MANIFEST_BYTES = Manifest(Descriptor(CONFIG, BLOB, 1), (Descriptor(LAYER, BLOB, 1),)).to_bytes()
DIGEST = Digest.sha256(MANIFEST_BYTES)
BARE = MANIFEST_BYTES.replace(f'"mediaType":"{MANIFEST}",'.encode(), b"", 1)


class Answer:
    def __init__(self, content: bytes = b"", **headers: str) -> None:
        self.headers = Message()
        for name, value in headers.items():
            self.headers[name.replace("_", "-")] = value
        self._body = io.BytesIO(content)
        self.discarded = False

    @property
    def length(self) -> int | None:
        return int(self.headers["Content-Length"]) if "Content-Length" in self.headers else None

    def header(self, name: str) -> str:
        return self.headers.get(name) or ""

    def read(self, limit: int) -> bytes:
        return self._body.read(limit)

    def discard(self) -> None:
        self.discarded = True


def read(content: bytes, wanted: Digest | None = None, **headers: str) -> Any:
    return read_manifest(Answer(content, **headers), "the manifest", wanted)


@pytest.mark.parametrize(
    "kind", [MANIFEST, f"{MANIFEST}; charset=utf-8", MANIFEST.upper(), "application/json", ""]
)
def test_the_type_is_announced_or_stands_inside(kind):
    headers = {"Content_Type": kind} if kind else {}
    fetched = read(MANIFEST_BYTES, DIGEST, Docker_Content_Digest=DIGEST, **headers)
    assert fetched.content == MANIFEST_BYTES
    assert fetched.descriptor == Descriptor(MANIFEST, DIGEST, len(MANIFEST_BYTES))


def test_docker_s_type_needs_no_other_inside():
    assert read(BARE, Content_Type=DOCKER_MANIFEST).descriptor.media_type == DOCKER_MANIFEST


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (MANIFEST_BYTES, INDEX, "bad-document"),
        (b"<!DOCTYPE html><html></html>", "text/html", "bad-document"),
        (MANIFEST_BYTES[:-9], MANIFEST, "bad-document"),
        (b"[" * 100_000 + b"]" * 100_000, MANIFEST, "bad-document"),
        (b"", MANIFEST, "bad-document"),
        (b'{"schemaVersion":1,"fsLayers":[]}', "application/json", "old-manifest"),
        (
            MANIFEST_BYTES.replace(BLOB.encode(), b"sha256:../../../x", 1),
            MANIFEST,
            "bad-document",
        ),
        (MANIFEST_BYTES.replace(b'"size":1', b'"size":-1', 1), MANIFEST, "bad-document"),
    ],
)
def test_what_is_no_manifest(content, kind, code):
    with pytest.raises(ContentError) as caught:
        read(content, Content_Type=kind)
    assert caught.value.code == code


def test_other_bytes_than_were_asked_for():
    with pytest.raises(ContentError, match=f"is {DIGEST}") as caught:
        read(MANIFEST_BYTES, Digest.sha256(b"other"))
    assert caught.value.code == "manifest-damaged"


def test_other_bytes_than_were_announced():
    with pytest.raises(ContentError) as caught:
        read(MANIFEST_BYTES, DIGEST, Docker_Content_Digest="Basic bWU6c2VjcmV0")
    assert "bWU6" not in caught.value.message


def test_sha512():
    wanted = Digest.parse(f"sha512:{hashlib.sha512(MANIFEST_BYTES).hexdigest()}")
    assert read(MANIFEST_BYTES, wanted).descriptor.digest == wanted


@pytest.mark.parametrize("length", [{}, {"Content_Length": str(200 << 20)}])
def test_a_huge_manifest_is_not_read(length):
    answer = Answer(b" " * (5 << 20), **length)
    with pytest.raises(ContentError, match="more than"):
        read_manifest(answer, "the manifest", None)


def head(**changed: str) -> Descriptor | None:
    headers = {
        "Content_Type": INDEX,
        "Content_Length": "77",
        "Docker_Content_Digest": BLOB,
    } | changed
    return announced(Answer(**{name: value for name, value in headers.items() if value}))


def test_a_head_that_says_enough():
    assert head() == Descriptor(INDEX, BLOB, 77)


@pytest.mark.parametrize(
    "changed",
    [
        {"Content_Type": "text/html"},
        {"Content_Type": ""},
        {"Content_Length": ""},
        {"Content_Length": "0"},
        {"Content_Length": str(5 << 20)},
        {"Docker_Content_Digest": ""},
        {"Docker_Content_Digest": "sha256:../x"},
    ],
)
def test_a_head_that_says_too_little(changed):
    assert head(**changed) is None


def test_what_was_sent_is_what_the_registry_has():
    check_answer(Answer(Docker_Content_Digest=DIGEST), DIGEST, "it")
    check_answer(Answer(), DIGEST, "it")
    check_answer(Answer(Docker_Content_Digest="sha512:ab"), DIGEST, "it")
    with pytest.raises(RegistryError) as caught:
        check_answer(Answer(Docker_Content_Digest=BLOB), DIGEST, "it")
    assert caught.value.code == "registry-digest"


def test_an_index_is_a_manifest_too():
    content = Index((Descriptor(MANIFEST, DIGEST, 1),)).to_bytes()
    assert read(content, Content_Type=INDEX).descriptor.media_type == INDEX

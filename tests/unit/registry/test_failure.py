"""How refusals read: the registry's own words, one line, no credential."""

import json

import pytest

from buildgraph.registry.failure import CutError, refusal, unreachable

WHAT = "registry.test does not take the manifest shop/api:1"


def refused(body: bytes, status: int = 400, secrets: tuple[str, ...] = ()) -> str:
    return refusal("registry-refused", WHAT, status, "Bad Request", body, secrets).message


def errors(*found: object) -> bytes:
    return json.dumps({"errors": found}).encode()


def test_the_registry_s_own_message():
    body = errors(
        {"code": "MANIFEST_INVALID", "message": "manifest invalid", "detail": "no config"},
        {"code": "X", "message": ""},
    )
    assert (
        refused(body)
        == f"{WHAT}: 400 Bad Request: MANIFEST_INVALID: manifest invalid (no config); X"
    )


def test_its_codes_are_kept():
    error = refusal("registry-refused", WHAT, 404, "", errors({"code": "BLOB_UNKNOWN"}), ())
    assert (error.status, error.names, error.exit_code) == (404, ("BLOB_UNKNOWN",), 4)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"errors": 7}', b'{"errors": ["x"]}', b"[" * 100_000, b"\xff\xfe"],
)
def test_a_body_of_another_kind_is_left_out(body):
    assert refused(body) == f"{WHAT}: 400 Bad Request"


def test_one_line_and_not_a_long_one():
    message = refused(errors({"code": "A", "message": "a\n\x1b[31mred\u202e" + "x" * 5000}))
    assert "\n" not in message
    assert "\x1b" not in message
    assert "\u202e" not in message
    assert len(message) < 600


def test_what_was_sent_is_not_repeated():
    body = errors({"code": "DENIED", "message": "bad header Basic bWU6c2VjcmV0IQ== of me:secret!"})
    message = refused(body, 401, ("secret!", "bWU6c2VjcmV0IQ=="))
    assert "secret!" not in message
    assert "bWU6" not in message
    assert "DENIED" in message


def test_who_is_refused_may_log_in():
    assert refusal("registry-denied", WHAT, 403, "", b"", ()).hint.endswith("login registry.test")
    assert refusal("registry-refused", WHAT, 400, "", b"", ()).hint == ""


def test_no_answer_at_all():
    assert unreachable("h", CutError("why"), answered=False).code == "registry-unreachable"
    assert unreachable("h", CutError("why"), answered=True).code == "registry-cut"
    tls = unreachable("h", CutError("certificate has expired", permanent=True), answered=False)
    assert tls.code == "registry-tls"
    assert "expired" in tls.message

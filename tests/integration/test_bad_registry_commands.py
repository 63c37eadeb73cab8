"""``pull`` and ``push`` with a registry that misbehaves, as a person sees it: exit code, message, and a store that holds the
whole image or nothing of it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import badauth, badblobs, badmanifests, badpush  # noqa: F401 - each brings modes
from support.badregistry import BadRegistry
from support.distribution import credentials, fill, sample
from support.screen import Said, run

IMAGE = sample()

PULL = {
    "plain": None,
    "blob-wrong-bytes": "blob-damaged",
    "blob-truncated": "registry-cut",
    "blob-short": "blob-damaged",
    "blob-long": "blob-damaged",
    "blob-endless": "blob-damaged",
    "blob-truncated-once": None,
    "blob-429": None,
    "blob-429-forever": "registry-busy",
    "blob-404": "registry-not-found",
    "blob-redirect-other": None,
    "blob-redirect-loop": "registry-location",
    "blob-redirect-file": "registry-location",
    "blob-gzip-encoded": "blob-damaged",
    "manifest-by-digest-other": None,  # only the tag is asked for
    "manifest-huge": "bad-document",
    "manifest-html": "bad-document",
    "manifest-bad-json": "bad-document",
    "manifest-deep-json": "bad-document",
    "manifest-no-content-type": None,
    "manifest-type-mismatch": "bad-document",
    "manifest-schema1": "old-manifest",
    "manifest-foreign-path-digest": "bad-document",
    "manifest-size-lie": "blob-damaged",
    "manifest-neg-size": "bad-document",
    "index-loop": "manifest-damaged",
    "auth-basic": None,
    "auth-token": None,
    "auth-token-expired": None,
    "auth-loop": "registry-denied",
    "auth-bad-header": "registry-auth",
    "upgrade-426": "registry-refused",
    "drop-connection": "registry-unreachable",
}

PUSH = {
    "plain": None,
    "push-500-once": None,
    "push-dies-mid-blob": "registry-cut",
    "push-wrong-digest-answer": "registry-digest",
    "push-manifest-400": "registry-refused",
    "push-head-lies": "registry-not-found",
    "push-location-other-host": None,
    "auth-loop": "registry-denied",
    "drop-connection": "registry-unreachable",
}


@pytest.fixture
def bad() -> Iterator[BadRegistry]:
    with BadRegistry() as other, BadRegistry(other=other) as registry:
        yield registry


@pytest.fixture
def command(bad, tmp_path, monkeypatch):
    credentials(tmp_path, **{bad.host: f"{badauth.USER}:{badauth.PASSWORD}"})
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def typed(*words: str) -> Said:
        return run("--home", str(tmp_path / "home"), *words)

    return typed


def told(said: Said, name: str, code: str | None) -> None:
    if code is None:
        assert said.code == 0, said.err
        assert said.out == f"{name}@{IMAGE.descriptor.digest}\n"
        return
    assert said.out == ""
    assert f"error[{code}]: " in said.err, said.err
    assert said.code == (4 if code.startswith("registry-") else 1)
    assert badauth.PASSWORD not in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(("mode", "code"), PULL.items(), ids=PULL)
def test_pull(bad, command, mode, code):
    fill(bad, IMAGE)
    bad.misbehave(mode)
    told(command("pull", f"{bad.host}/shop/api"), f"{bad.host}/shop/api:latest", code)
    images = json.loads(command("images", "--json").out)["images"]
    digests = [image["digest"] for image in images]
    assert digests == ([] if code else [IMAGE.descriptor.digest])
    assert command("cache", "verify").code == 0
    if not code:
        assert command("validate", f"{bad.host}/shop/api").code == 0


@pytest.mark.parametrize(("mode", "code"), PUSH.items(), ids=PUSH)
def test_push(bad, command, mode, code):
    with BadRegistry() as source:
        fill(source, IMAGE)
        assert command("pull", f"{source.host}/shop/api").code == 0
        bad.misbehave(mode)
        target = f"{bad.host}/shop/api:1"
        told(command("push", f"{source.host}/shop/api", target), target, code)
    if code != "registry-digest":
        assert bad.repository("shop/api").tags == ({} if code else {"1": IMAGE.descriptor.digest})


def test_a_pull_that_failed_is_finished_by_the_next(bad, command):
    """What arrived whole is not fetched again."""
    fill(bad, IMAGE)
    small = IMAGE.manifest.layers[1].digest
    bad.misbehave("blob-404")
    assert command("pull", f"{bad.host}/shop/api").code == 4
    bad.modes.clear()
    assert command("pull", f"{bad.host}/shop/api").code == 0
    assert len(bad.asked("GET", small)) <= 2


def test_the_registrys_own_words(bad, command, tmp_path: Path):
    fill(bad, IMAGE)
    assert command("pull", f"{bad.host}/shop/api").code == 0
    bad.misbehave("push-manifest-400")
    said = command("push", f"{bad.host}/shop/api", f"{bad.host}/shop/other:1")
    assert said.err.endswith("400 Bad Request: MANIFEST_INVALID: the moon is in the wrong phase\n")

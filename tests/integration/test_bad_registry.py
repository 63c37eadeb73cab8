"""A registry that misbehaves: every row of the table. What is read is right or refused, in bounded time; what is pushed
arrived or is refused; a credential goes to nobody else."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from support import badauth, badblobs, badmanifests, badpush  # noqa: F401 - each brings modes
from support.badregistry import BadRegistry, Stored
from support.distribution import (
    IMPATIENCE,
    PATIENCE,
    Clock,
    at,
    credentials,
    descriptors,
    fill,
    nobody,
    pull,
    push,
    registries,
    sample,
)
from support.images import blobs_of

from buildgraph.errors import BuildgraphError, ContentError, RemoteError, UsageError
from buildgraph.registry.client import Repository

ME = f"{badauth.USER}:{badauth.PASSWORD}"
IMAGE = sample()
LONGEST = 20.0
"""Seconds of real time that any of these may take; the client's own waiting is the clock's."""

READ = {
    "plain": None,
    "blob-wrong-bytes": "blob-damaged",
    "blob-truncated": "registry-cut",
    "blob-short": "blob-damaged",
    "blob-long": "blob-damaged",
    "blob-endless": "blob-damaged",
    "blob-truncated-once": None,
    "blob-truncated-without-ranges": None,
    "blob-cut-in-thirds": None,
    "blob-wrong-range": "blob-damaged",
    "blob-500-twice": None,
    "blob-429": None,
    "blob-429-bare": None,
    "blob-503-date": None,
    "blob-429-forever": "registry-busy",
    "blob-404": "registry-not-found",
    "blob-stall": "registry-cut",
    "blob-drip": "registry-cut",
    "blob-redirect-other": None,
    "blob-redirect-loop": "registry-location",
    "blob-redirect-file": "registry-location",
    "blob-gzip-encoded": "blob-damaged",
    "manifest-wrong-digest-header": "blob-missing",
    "manifest-by-digest-other": "manifest-damaged",
    "manifest-huge": "bad-document",
    "manifest-endless": "bad-document",
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
    "index-no-platform": "no-platform",
    "auth-basic": None,
    "auth-token": None,
    "auth-token-access": None,
    "auth-token-expired": None,
    "auth-token-short-lived": None,
    "auth-token-file": "registry-location",
    "auth-token-garbage": "registry-auth",
    "auth-loop": "registry-denied",
    "auth-bad-header": "registry-auth",
    "auth-no-header": "registry-auth",
    "auth-echo": "registry-denied",
    "upgrade-426": "registry-refused",
    "drop-connection": "registry-unreachable",
    "not-http": "registry-unreachable",
}
"""The code of the error for each mode; None where the right image is read."""

PUSH = {
    "plain": None,
    "push-location-relative": None,
    "push-location-bare": None,
    "push-location-missing": "registry-location",
    "push-location-query": None,
    "push-location-file": "registry-location",
    "push-500-once": None,
    "push-dies-once": None,
    "push-dies-mid-blob": "registry-cut",
    "push-half-taken": None,
    "push-wrong-digest-answer": "registry-digest",
    "push-location-other-host": None,
    "push-manifest-400": "registry-refused",
    "push-429-once": None,
    "push-denied-mount": None,
    "push-refused-mount": None,
    "push-head-lies": "registry-not-found",
    "push-chunks-only": None,
    "auth-basic": None,
    "auth-token": None,
    "auth-token-access": None,
    "auth-token-expired": None,
    "auth-token-short-lived": None,
    "auth-loop": "registry-denied",
}

SILENT = {"blob-stall", "blob-drip"}


@pytest.fixture
def bad() -> Iterator[BadRegistry]:
    with BadRegistry() as other, BadRegistry(other=other) as registry:
        yield registry


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_repository(bad, tmp_path, clock):
    with ExitStack() as stack:

        def opened(mode: str) -> Repository:
            timeouts = IMPATIENCE if mode in SILENT else PATIENCE
            who = credentials(tmp_path, **{bad.host: ME}) if mode.startswith("auth") else nobody()
            client = registries(credentials=who, timeouts=timeouts, clock=clock)
            return stack.enter_context(client).repository(at(bad.host))

        yield opened


@contextmanager
def bounded(bad: BadRegistry, clock: Clock) -> Iterator[None]:
    """In real time, in time that the client waited, in requests."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LONGEST
    assert sum(clock.slept) <= 2 * PATIENCE.retry
    assert len(bad.seen) < 60


def failed(error: BuildgraphError, code: str) -> None:
    """As a user would be told: the class decides the exit code, and nothing secret is in the text."""
    assert error.code == code, error.render()
    kind = UsageError if code == "no-platform" else ContentError
    assert isinstance(error, RemoteError if code.startswith("registry-") else kind)
    assert error.exit_code == (4 if code.startswith("registry-") else kind.exit_code)
    assert "pass:word" not in error.render()
    assert ME not in error.render()


@pytest.mark.parametrize(("mode", "code"), READ.items(), ids=READ)
def test_reading(bad, open_repository, clock, mode, code):
    fill(bad, IMAGE)
    bad.misbehave(mode)
    repository = open_repository(mode)
    with bounded(bad, clock):
        if code:
            with pytest.raises(BuildgraphError) as raised:
                pull(repository)
            failed(raised.value, code)
        else:
            digest, layers = pull(repository)
            assert digest == IMAGE.descriptor.digest
            assert layers == [blobs_of(IMAGE)[d.digest] for d in IMAGE.manifest.layers]


@pytest.mark.parametrize(("mode", "code"), PUSH.items(), ids=PUSH)
def test_pushing(bad, open_repository, clock, mode, code):
    bad.misbehave(mode)
    repository = open_repository(mode)
    with bounded(bad, clock):
        if code:
            with pytest.raises(BuildgraphError) as raised:
                push(repository, IMAGE)
            failed(raised.value, code)
            assert not bad.repository("shop/api").tags or mode == "push-wrong-digest-answer"
        else:
            push(repository, IMAGE)
            arrived(bad.repository("shop/api"))


def arrived(stored: Stored) -> None:
    assert stored.tags == {"latest": IMAGE.descriptor.digest}
    assert {d.digest for d in descriptors(IMAGE)} <= stored.blobs.keys()
    for digest, content in blobs_of(IMAGE).items():
        assert stored.blobs.get(digest, content) == content


def test_the_table_is_whole():
    """Nothing that the servers can do is left out."""
    from support.badregistry import MODES

    own = {"auth-token-other-host", "auth-token-redirect"}  # in test_registry_trust
    assert MODES.keys() - own == READ.keys() | PUSH.keys()

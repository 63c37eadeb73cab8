"""A registry that takes no big body: chunks of the size that it wants, and an end when it takes none at all."""

import io
import random

import pytest
from support.badregistry import BadRegistry, refuse
from support.distribution import Clock, at, registries

from buildgraph.digest import Digest
from buildgraph.errors import RemoteError
from buildgraph.oci.descriptor import LAYER, Descriptor

MB = 1 << 20
CONTENT = random.Random(0).randbytes(40 * MB)
BLOB = Descriptor(LAYER, Digest.sha256(CONTENT), len(CONTENT))


def upload(registry: BadRegistry, clock: Clock | None = None) -> str:
    with registries(clock=clock) as client:
        return client.repository(at(registry.host)).upload(BLOB, lambda: io.BytesIO(CONTENT))


def takes_at_most(registry: BadRegistry, size: int, least: int = 0) -> None:
    """A body of more than ``size`` bytes is refused before it is read; chunks have at least ``least``."""

    def mode(exchange, asked):
        if asked.kind in ("patch", "finish") and exchange.length > size:
            exchange.head(413, {"Content-Length": "0", "Connection": "close"})
            exchange.close_connection = True
            return True
        if asked.kind == "begin" and least:
            registry.repository(asked.name).uploads["one"] = b""
            location = f"/v2/{asked.name}/blobs/uploads/one"
            exchange.answer(202, headers={"Location": location, "OCI-Chunk-Min-Length": str(least)})
            return True
        return False

    registry.modes.append(mode)


def chunks(registry: BadRegistry) -> list[int]:
    """Of the chunks that were taken."""
    return [len(s.body) for s in registry.asked("PATCH") if s.body]


@pytest.mark.parametrize(
    ("most", "least", "sizes"),
    [
        (16 * MB, 0, [16 * MB, 16 * MB, 8 * MB]),
        (5 * MB, 0, [4 * MB] * 10),
        (32 * MB, 20 * MB, [20 * MB, 20 * MB]),
    ],
)
def test_chunks_as_the_registry_wants_them(bad, most, least, sizes):
    takes_at_most(bad, most, least)
    assert upload(bad) == "uploaded"
    assert chunks(bad) == sizes
    assert bad.repository("shop/api").blobs[BLOB.digest] == CONTENT


def test_a_registry_that_takes_no_chunk_at_all(bad):
    takes_at_most(bad, 1000)
    with pytest.raises(RemoteError, match="413") as caught:
        upload(bad)
    assert caught.value.code == "registry-refused"
    assert len(bad.seen) < 20


def test_a_registry_that_forgets_every_upload_at_its_end(bad):
    """Chunks that were sent before are no progress: the tries are counted."""

    def forgetful(exchange, asked):
        if asked.kind != "finish":
            return False
        if exchange.length:
            exchange.head(501, {"Content-Length": "0", "Connection": "close"})
            exchange.close_connection = True
        else:
            refuse(exchange, 404, "BLOB_UPLOAD_UNKNOWN", "gone")
        return True

    bad.modes.append(forgetful)
    clock = Clock()
    with pytest.raises(RemoteError, match="gone"):
        upload(bad, clock)
    assert len(bad.asked("PATCH")) < 40
    assert len(clock.slept) < 10

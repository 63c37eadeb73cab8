"""A block's compressed bytes depend on nothing but the block: not on where in memory the compressor's state lies."""

from random import Random

import pytest
from isal import isal_zlib

from buildgraph.fs.compress import Codec

STATES = 6000
"""As many states in memory at once: two runs of three find what is wrong with isal's level 1."""


def block() -> bytes:
    """Its first bytes come again: what isal's level 1 does not always see."""
    random = Random(5)
    parts = [random.randbytes(random.randrange(4, 40)) for _ in range(30)]
    return parts[0] + b"".join(random.choice(parts) for _ in range(60)) + parts[0]


@pytest.mark.parametrize("level", [None, 0])
def test_the_same_bytes_wherever_the_state_lies(level, monkeypatch):
    kept = []
    usual = isal_zlib.compressobj

    def keep(*args):
        kept.append(usual(*args))
        return kept[-1]

    monkeypatch.setattr(isal_zlib, "compressobj", keep)
    compress = Codec("gzip", level).compressor()
    content = memoryview(block())
    assert len({compress(content) for _ in range(STATES)}) == 1
    assert len(kept) == STATES

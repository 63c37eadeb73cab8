"""The dirs index of a layer: what it keeps, its bytes, and what it refuses."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.fs import dirs, tree
from buildgraph.fs.lay import Below, listing, place
from buildgraph.fs.tree import Entry

DIFF_ID = Digest.sha256(b"layer")
LAYER = (
    Entry(b"", tree.DIRECTORY, 0o755),
    Entry(b"bin", tree.SYMLINK, 0o777, link=b"usr/bin"),
    Entry(b"etc", tree.DIRECTORY, 0o750, 1, 2, xattrs=((b"user.a", b"\0,="), (b"user.b", b""))),
    Entry(b"etc/gone", tree.WHITEOUT),
    Entry(b"etc/passwd", tree.FILE, 0o644, 3, 4, 9, "aa"),
    Entry(b"old", tree.OPAQUE, 0o700),
    Entry(b"usr", tree.DIRECTORY, 0o755),
    Entry(b"usr/tty", tree.CHAR, 0o600, device=(1, 3)),
    Entry(b"usr/twin", tree.HARDLINK, 0o644, 3, 4, 9, "aa", b"etc/passwd"),
)


def test_directories_and_links_stay_whole_and_the_rest_are_names() -> None:
    kept = dirs.decode(DIFF_ID, dirs.encode(DIFF_ID, LAYER))
    assert kept == dirs.of(LAYER)
    assert kept[2] == LAYER[2]
    assert kept[1].link == b"usr/bin"
    assert [entry.kind for entry in kept] == ["d", "l", "d", "w", "f", "o", "d", "f", "f"]
    assert kept[4] == Entry(b"etc/passwd", tree.FILE)


def test_the_bytes_are_as_documented() -> None:
    plain = zlib.decompress(dirs.encode(DIFF_ID, LAYER[:5]))
    assert plain == (
        b"buildgraph-dirs 1\0" + DIFF_ID.encode() + b"\0"
        b"d0\0\0"
        b"755,0,0\0"
        b"l0\0bin\0usr/bin\0"
        b"d0\0etc\0"
        b"750,1,2,757365722e61=002c3d,757365722e62=\0"
        b"w3\0/gone\0"
        b"f4\0passwd\0"
    )


def test_an_index_of_its_own_output_is_the_same() -> None:
    made = dirs.encode(DIFF_ID, LAYER)
    assert dirs.encode(DIFF_ID, dirs.decode(DIFF_ID, made)) == made


def test_a_copy_is_placed_alike_on_the_index_and_on_the_layer() -> None:
    recipe = (
        Entry(b"bin/tool", tree.FILE, 0o755, size=1, content="bb"),
        Entry(b"etc/gone", tree.FILE, 0o644, size=1, content="cc"),
        Entry(b"etc/passwd", tree.FILE, 0o644, size=1, content="dd"),
        Entry(b"old/new/file", tree.FILE, 0o644, size=1, content="ee"),
    )
    known = dirs.decode(DIFF_ID, dirs.encode(DIFF_ID, LAYER))
    assert place(recipe, Below([listing(known)])) == place(recipe, Below([listing(LAYER)]))


def test_an_index_says_of_which_layer_it_is() -> None:
    assert dirs.layer_of(dirs.encode(DIFF_ID, LAYER * 1000)) == DIFF_ID


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no stream",
        zlib.compress(b"buildgraph-dirs 2\0" + DIFF_ID.encode() + b"\0"),
        zlib.compress(b"buildgraph-dirs 1\0sha256:x\0"),
        zlib.compress(b"buildgraph-dirs 1\0" + b"\xff" * 2000),
    ],
)
def test_of_anything_else_nobody_knows(content: bytes) -> None:
    with pytest.raises(ContentError):
        dirs.layer_of(content)


def plain(content: bytes) -> bytes:
    return zlib.compress(b"buildgraph-dirs 1\0" + DIFF_ID.encode() + b"\0" + content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no stream",
        dirs.encode(DIFF_ID, LAYER)[:-1],
        dirs.encode(DIFF_ID, LAYER) + b"x",
        dirs.encode(Digest.sha256(b"other"), LAYER),
        zlib.compress(b"buildgraph-dirs 2\0"),
        plain(b"f0\0a"),
        plain(b"f0\0"),
        plain(b"x0\0a\0"),
        plain(b"fx\0a\0"),
        plain(b"d0\0a\0"),
        plain(b"d0\0a\0755,0\0"),
        plain(b"d0\0a\0799,0,0\0"),
        plain(b"d0\0a\0755,0,0,zz=00\0"),
        plain(b"l0\0a\0"),
        plain(b"f0\0b\0f0\0a\0"),
        plain(b"f0\0a\0f0\0a\0"),
    ],
)
def test_anything_else_is_no_index(content: bytes) -> None:
    with pytest.raises(ContentError) as caught:
        dirs.decode(DIFF_ID, content)
    assert caught.value.code == "bad-dirs"


names = st.binary(min_size=1, max_size=6).filter(lambda name: b"\0" not in name)


@given(st.dictionaries(names, st.sampled_from("dolwf"), max_size=12))
def test_every_layer_comes_back(entries: dict[bytes, str]) -> None:
    layer = tuple(Entry(path, kind, link=b"t") for path, kind in sorted(entries.items()))
    assert dirs.decode(DIFF_ID, dirs.encode(DIFF_ID, layer)) == dirs.of(layer)

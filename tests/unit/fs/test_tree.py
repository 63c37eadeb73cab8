import pytest

from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.tree import Entry


@pytest.mark.parametrize(
    "entry",
    [
        Entry(b"", tree.DIRECTORY, 0o1777, 1, 2),
        Entry(b"a\xff\n", tree.FILE, 0o4755, 0, 0, 3, "0" * 64),
        Entry(b"l", tree.SYMLINK, 0o777, link=b"x\xfe"),
        Entry(b"h", tree.HARDLINK, 0o644, 0, 0, 3, "0" * 64, b"a"),
        Entry(b"n", tree.CHAR, 0o600, device=(1, 3)),
        Entry(b"n", tree.BLOCK, 0o600, device=(8, 0), xattrs=((b"user.a", b"\0;,="),)),
        Entry(b"x", tree.FIFO, 0o600, xattrs=((b"user.a", b"1"), (b"user.b", b"")), mtime=-5),
        Entry(b"w", tree.WHITEOUT),
    ],
)
def test_every_kind_of_entry_comes_back(entry):
    assert tree.decode(tree.encode([entry])) == (entry,)


def test_a_file_of_two_names_is_counted_once():
    file = Entry(b"a", tree.FILE, 0o644, size=3)
    assert tree.size_of([file, Entry(b"h", tree.HARDLINK, 0o644, size=3, link=b"a"), file]) == 6


def test_what_is_no_tree_object_is_refused():
    for content in (b"", b"else", tree.encode([Entry(b"w", tree.WHITEOUT)])[:-1]):
        with pytest.raises(ContentError):
            tree.decode(content)

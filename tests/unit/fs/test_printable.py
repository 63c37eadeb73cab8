import pytest

from buildgraph.fs.printable import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"src/a b", "src/a b"),
        ("ünï/日本".encode(), "ünï/日本"),
        (b"new\nline\t\x1b[31m\x7f", r"new\nline\t\x1b[31m\x7f"),
        (b"d\xff", r"d\xff"),
        ("\u202egpj.exe".encode(), r"\u202egpj.exe"),
    ],
)
def test_names_cannot_move_the_cursor(name, shown):
    assert printable(name) == shown

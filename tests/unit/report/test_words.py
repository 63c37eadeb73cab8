import pytest

from buildgraph.report import words


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_499, "999 kB"),
        (999_501, "1.00 MB"),
        (12_345_678, "12.3 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_size(count, shown):
    assert words.size(count) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "0 ms"), (0.0123, "12 ms"), (1.25, "1.2 s"), (99.6, "1 min 40 s"), (3700, "1 h 1 min")],
)
def test_seconds(amount, shown):
    assert words.seconds(amount) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain", "plain"),
        ("a\tb", "a    b"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("10%\r20%\r30%", "30%"),
        ("done\r", "done"),
        ("\x1b]0;title\x07text", "text"),
        ("up\x1b[2A\x1b[Kover", "upover"),
        ("bell\x07 and \x9b31mCSI", "bell and 31mCSI"),
        ("\x1b", ""),
    ],
)
def test_output_cannot_move_the_cursor(line, shown):
    assert words.clean(line) == shown


def test_paint_only_where_there_is_colour():
    assert words.paint("x", "red", on=False) == "x"
    assert words.paint("x", "red", on=True) == "\x1b[31mx\x1b[0m"
    assert words.paint("", "red", on=True) == ""

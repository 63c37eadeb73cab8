import io
import os
import termios
from contextlib import suppress

import pytest
from support.story import STORY

from buildgraph.events import (
    BuildFinished,
    BuildStarted,
    StepFinished,
    StepOutput,
    StepStarted,
    TransferFinished,
    TransferProgressed,
    TransferStarted,
    WaitFinished,
    WaitStarted,
)
from buildgraph.report import live as live_module
from buildgraph.report.live import Live
from buildgraph.report.terminal import Terminal


class Terminal80(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def able(monkeypatch):
    """A terminal that can move its cursor, wherever the tests run."""
    monkeypatch.setenv("TERM", "xterm")


def running(clock):
    live = Live(io.StringIO(), styled=False, verbose=False, clock=clock)
    live._open = lambda: None
    live(BuildStarted(("api", "web"), 40, 20.0))
    for at in range(3):
        live(StepFinished(f"r{at}", "copy", "reused"))
    live(StepStarted("deps", "run", "never built", 5.0))
    clock.now += 2
    live(StepStarted("api-src", "copy", "main.py content: 1 → 2"))
    live(StepOutput("deps", "Collecting \x1b[31mflask\x1b[0m"))
    live(StepOutput("deps", "   "))
    clock.now += 1.5
    return live


def test_the_tree_of_running_steps():
    assert running(Clock()).frame(80, 24).plain.splitlines() == [
        "3/40  3.5 s  api, web",
        "├─ deps     3.5 s of 5.0 s  Collecting flask",
        "└─ api-src  1.5 s  main.py content: 1 → 2",
    ]


def test_what_was_expected_is_not_told_once_it_takes_longer():
    clock = Clock()
    live = running(clock)
    clock.now += 30
    assert "deps     33.5 s  Collecting" in live.frame(80, 24).plain


def test_without_a_build_nothing_is_counted():
    clock = Clock()
    live = Live(io.StringIO(), styled=False, verbose=False, clock=clock)
    live._open = lambda: None
    clock.now += 2
    live(TransferStarted("upload", "sha256:" + "a" * 64, "r.example/os", 2_000_000))
    assert live.frame(80, 24).plain.splitlines() == [
        "2.0 s  ",
        "└─ sha256:aaaaaaaaaaaa  0 ms  sends r.example/os",
    ]


def test_it_fits_the_terminal():
    live = running(Clock())
    assert max(len(line) for line in live.frame(20, 24).plain.splitlines()) <= 20
    assert live.frame(80, 4).plain.splitlines()[-1].strip() == "and 1 more"
    assert "|- deps" in live.frame(80, 24, ascii_only=True).plain


def test_a_long_name_leaves_room_for_what_its_step_says():
    live = Live(io.StringIO(), styled=False, verbose=False, clock=Clock())
    live._open = lambda: None
    name = "step-" * 40
    live(StepStarted(name, "run", "never built"))
    live(StepStarted("short", "run", "never built"))
    live(StepOutput(name, "compiling"))
    long, short = live.frame(80, 24).plain.splitlines()[1:]
    assert "…  " in long
    assert long.endswith("compiling")
    assert short.endswith("never built")
    assert "...  " in live.frame(80, 24, ascii_only=True).plain


def test_on_a_terminal_what_ended_stays_and_the_tree_goes():
    stream = Terminal80()
    with Terminal(stream).watch("auto", styled=False, verbose=False) as watch:
        for event in STORY:
            watch(event)
    shown = stream.getvalue()
    assert "   done  step:deps  2.5 s  1.20 MB" in shown
    assert "cut off  step:app" in shown
    assert "\x1b[?25l" in shown
    assert shown.index("\x1b[?25h") < shown.index("built in")


def test_without_colours_nothing_is_bold_either():
    stream = Terminal80()
    with Terminal(stream).watch("tty", styled=False, verbose=False) as watch:
        for event in STORY:
            watch(event)
    assert "\x1b[1m" not in stream.getvalue()
    assert "\x1b[2m" not in stream.getvalue()


def test_rich_is_not_opened_when_nothing_runs():
    stream = Terminal80()
    with Terminal(stream).watch("tty", styled=False, verbose=False) as watch:
        watch(STORY[0])
        watch(STORY[1])
        watch(STORY[-1])
    assert "\x1b" not in stream.getvalue()


def break_off(stream):
    with Terminal(stream).watch("tty", styled=False, verbose=False) as watch:
        for event in STORY[:4]:
            watch(event)
        raise KeyboardInterrupt


def test_the_terminal_is_given_back_when_a_build_breaks_off():
    stream = Terminal80()
    with pytest.raises(KeyboardInterrupt):
        break_off(stream)
    assert "\x1b[?25h" in stream.getvalue()


def test_a_transfer_stands_in_the_tree_while_it_lasts():
    clock = Clock()
    live = running(clock)
    blob = "sha256:" + "a" * 64
    live(TransferStarted("fetch", blob, "r.example/os", 2_000_000))
    assert live.frame(80, 24).plain.splitlines()[-1] == (
        "└─ sha256:aaaaaaaaaaaa  0 ms  fetches r.example/os"
    )
    clock.now += 1
    live(TransferProgressed(blob, 500_000, 2_000_000))
    assert live.frame(80, 24).plain.splitlines()[-1] == (
        "└─ sha256:aaaaaaaaaaaa  1.0 s  500 kB of 2.00 MB"
    )
    live(TransferFinished("fetch", blob, "r.example/os", 2_000_000, 1.0))
    assert len(live.frame(80, 24).plain.splitlines()) == 3


def test_what_is_waited_for_before_the_first_step_stands_in_the_tree():
    clock = Clock()
    live = Live(io.StringIO(), styled=False, verbose=False, clock=clock)
    live._open = lambda: None
    live(WaitStarted("os", "looks up packages"))
    clock.now += 1
    assert live.frame(80, 24).plain.splitlines()[-1] == "└─ os  1.0 s  looks up packages"
    live(StepOutput("os", "Get:1 http://deb.example bookworm"))
    assert live.frame(80, 24).plain.splitlines() == [
        "1.0 s  ",
        "└─ os  1.0 s  Get:1 http://deb.example bookworm",
    ]
    live(WaitFinished("os", 1.0))
    live(BuildStarted(("api",), 3, 10.0))
    clock.now += 1
    assert live.frame(80, 24).plain.splitlines() == ["0/3  2.0 s  api"]


def test_what_was_found_stays_on_the_screen():
    stream = Terminal80()
    with Terminal(stream).watch("tty", styled=False, verbose=False) as watch:
        watch(WaitStarted("os", "looks up packages"))
        watch(WaitFinished("os", 3.1, "pinned 118 packages of bookworm"))
    assert "  found  os  3.1 s  pinned 118 packages of bookworm" in stream.getvalue()


@pytest.fixture
def pseudo():
    """A terminal of 120 columns; ``shown`` closes it and is all that was written to it."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (30, 120))
    with open(ours, "rb", buffering=0) as read, open(theirs, "w", encoding="utf-8") as stream:

        def shown() -> str:
            """The kernel hands on what was written when it likes: a single read may end after any line."""
            stream.close()
            text = b""
            with suppress(OSError):  # EIO: no more, and nobody who could write
                while piece := read.read(1 << 16):
                    text += piece
            return text.decode()

        stream.shown = shown
        yield stream


def test_a_terminal_is_believed_more_than_a_variable(pseudo, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert "COLUMNS" not in live_module._surroundings(pseudo)
    assert live_module._surroundings(io.StringIO())["COLUMNS"] == "80"


def test_a_dumb_terminal_is_shown_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal80()
    with Terminal(stream).watch("auto", styled=False, verbose=False) as watch:
        for event in STORY:
            watch(event)
    assert "step:deps | Collecting flask" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_steps_are_named_in_rows_of_the_terminals_width(pseudo):
    names = [f"a-rather-long-name-of-a-step-{at}" for at in range(5)]
    with Terminal(pseudo).watch("tty", styled=False, verbose=False) as watch:
        for name in names:
            watch.recap(StepFinished(name, "copy", "cutoff"))
        watch(BuildFinished(ok=True, seconds=1.0, steps={"cutoff": 5}))
    assert watch.recap.lines(styled=False)[1:] == [f"  cut off  {', '.join(names)}"]
    assert len(watch.recap.lines(styled=False, width=20)) == 1 + len(names)
    assert pseudo.shown().splitlines()[1:] == [
        f"  cut off  {', '.join(names[:3])},",
        f"           {', '.join(names[3:])}",
    ]

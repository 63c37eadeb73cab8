import io
import json

import pytest
from support.story import DIGEST, STORY

from buildgraph.errors import ErrorGroup, Location, UsageError
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
from buildgraph.report.terminal import Terminal, render


def show(progress, events=STORY, *, styled=False, verbose=False):
    stream = io.StringIO()
    with Terminal(stream).watch(progress, styled=styled, verbose=verbose) as watch:
        for event in events:
            watch(event)
    return stream.getvalue(), watch


def test_plain():
    assert show("plain")[0] == (
        "step:deps | run: requirements.txt content: 12 → 34\n"
        "step:deps | Collecting flask\n"
        "warning[merge-conflict]: two siblings wrote /etc/x\n"
        "step:deps | done in 2.5 s, 1.20 MB\n"
        "step:app | cut off: its inputs came out the same\n"
        "built in 2.8 s: 1 ran, 1 reused, 1 cut off\n"
        "  ran      step:deps (2.5 s)\n"
        "  cut off  step:app\n"
        f"  image:api  {DIGEST}  31.0 MB, 450 kB new  shop/api:latest\n"
        "  pushed 1 name, 450 kB uploaded and 30.0 MB mounted\n"
    )


def test_auto_without_a_terminal_is_plain():
    assert show("auto")[0] == show("plain")[0]


def test_verbose_tells_of_reused_steps():
    assert "step:src | reused" in show("plain", verbose=True)[0]
    assert "step:src" not in show("plain")[0]


def test_quiet():
    assert show("quiet")[0] == ""


def test_json_is_one_event_a_line():
    lines = [json.loads(line) for line in show("json")[0].splitlines()]
    assert [line["event"] for line in lines] == [
        "build-started",
        "step-finished",
        "step-started",
        "step-output",
        "warned",
        "step-finished",
        "step-finished",
        "image-finished",
        "image-pushed",
        "build-finished",
    ]
    assert all(list(line)[:3] == ["schema", "time", "event"] for line in lines)
    assert all(line["schema"] == 1 for line in lines)
    assert lines[-1]["steps"]["executed"] == 1
    assert lines[0]["targets"] == ["api"]


def test_groups_stay_whole_although_steps_run_side_by_side():
    events = [
        StepStarted("a", "run", "never built"),
        StepStarted("b", "run", "never built"),
        StepOutput("b", "b1"),
        StepOutput("a", "a1"),
        StepOutput("b", "b2"),
        StepFinished("a", "run", "executed", 1.0),
        StepOutput("b", "b3"),
        StepFinished("b", "run", "failed", 1.0),
    ]
    assert show("plain", events)[0].splitlines() == [
        "a | run: never built",
        "a | a1",
        "a | done in 1.0 s, 0 B",
        "b | run: never built",
        "b | b1",
        "b | b2",
        "b | b3",
        "b | failed after 1.0 s",
    ]


def test_a_step_that_ends_first_is_shown_whole():
    events = [
        StepStarted("a", "run", "x"),
        StepStarted("b", "run", "x"),
        StepOutput("b", "b1"),
        StepFinished("b", "run", "executed"),
        StepOutput("a", "a1"),
    ]
    shown = show("plain", events)[0].splitlines()
    assert shown == ["a | run: x", "b | run: x", "b | b1", "b | done in 0 ms, 0 B", "a | a1"]


def test_a_talkative_step_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr("buildgraph.report.plain.PATIENCE", 100)
    events = [StepStarted("a", "run", "x"), StepStarted("b", "run", "x")]
    events += [StepOutput("b", "y" * 30) for _ in range(10)]
    assert "y" * 30 in show("plain", events)[0]


def test_nothing_to_do_is_up_to_date():
    steps = {"executed": 0, "reused": 7, "cutoff": 0, "failed": 0, "skipped": 0}
    shown, _ = show("plain", [BuildFinished(ok=True, seconds=0.03, steps=steps)])
    assert shown == "up to date in 30 ms: 7 reused\n"


def test_a_failed_build():
    steps = {"executed": 1, "reused": 0, "cutoff": 0, "failed": 1, "skipped": 2}
    events = [
        StepFinished("a", "run", "failed", 1.0),
        BuildFinished(ok=False, seconds=1, steps=steps, error="a failed"),
    ]
    shown, _ = show("plain", events)
    assert "failed in 1.0 s: 1 ran, 1 failed, 2 skipped\n  failed   a (1.0 s)\n" in shown


def test_many_steps_are_counted_instead_of_named():
    events = [StepFinished(f"s{at}", "run", "executed", 1.0) for at in range(40)]
    shown, _ = show("plain", [*events, BuildFinished(ok=True, seconds=1)])
    assert "and 28 more" in shown
    assert "40 ran" in shown


def break_off(stream):
    with Terminal(stream).watch("plain", styled=False, verbose=False) as watch:
        watch(BuildStarted(("a",), 1))
        raise KeyboardInterrupt


def test_an_aborted_build_has_no_recap():
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        break_off(stream)
    assert stream.getvalue() == ""


def test_what_the_next_build_will_say():
    sections = show("plain")[1].unchanged()
    assert sections["plain"].decode() == (
        "warning[merge-conflict]: two siblings wrote /etc/x\n"
        "up to date in @TOOK@: 3 reused\n"
        f"  image:api  {DIGEST}  31.0 MB, nothing new  shop/api:latest\n"
        "  pushed 1 name, nothing had to move\n"
    )
    assert b"\x1b[32mup to date" in sections["styled"]
    filled = sections["json"].replace(b"@TIME@", b"1.5").replace(b"@SECONDS@", b"0.04")
    lines = [json.loads(line) for line in filled.splitlines()]
    assert [line["event"] for line in lines] == [
        "build-started",
        "warned",
        "image-pushed",
        "image-finished",
        "build-finished",
    ]
    assert lines[-1]["steps"] == {
        "executed": 0,
        "reused": 3,
        "cutoff": 0,
        "failed": 0,
        "skipped": 0,
    }
    assert (lines[-1]["time"], lines[-1]["seconds"], lines[3]["new_bytes"]) == (1.5, 0.04, 0)
    assert (lines[2]["uploaded"], lines[2]["mounted"]) == (0, 0)


def test_errors_are_coloured_where_there_is_colour():
    error = UsageError("bad", "m", hint="h", where=Location("f", 3, "x"))
    assert render(error, styled=False) == error.render()
    assert "\x1b[31merror[bad]:\x1b[0m m" in render(error, styled=True)
    assert "\x1b[36mhelp:\x1b[0m h" in render(error, styled=True)
    group = ErrorGroup([error, UsageError("two", "n")])
    assert render(group, styled=False) == group.render()


def test_a_transfer_is_told_when_it_ends():
    events = [
        TransferStarted("fetch", DIGEST, "r.example/os", 2_000_000),
        TransferProgressed(DIGEST, 500_000, 2_000_000),
        TransferFinished("fetch", DIGEST, "r.example/os", 2_000_000, 1.5),
        TransferFinished("upload", DIGEST, "r.example/app", 4_500_000, 0.25),
        TransferFinished("upload", DIGEST, "r.example/app", 450_000, 0.25),
    ]
    assert show("plain", events)[0].splitlines()[:2] == [
        "fetched sha256:aaaaaaaaaaaa from r.example/os, 2.00 MB in 1.5 s",
        "sent sha256:aaaaaaaaaaaa to r.example/app, 4.50 MB in 0.2 s",
    ]
    assert "450 kB" not in show("plain", events)[0]
    assert "450 kB" in show("plain", events, verbose=True)[0]
    (first, *_) = (json.loads(line) for line in show("json", events)[0].splitlines())
    assert (first["event"], first["direction"], first["size"]) == (
        "transfer-started", "fetch", 2_000_000
    )  # fmt: skip


def test_what_is_waited_for_is_said_before_its_lines():
    events = [
        WaitStarted("os", "looks up packages for Buildfile.lock"),
        StepOutput("os", "Get:1 http://deb.example bookworm"),
        WaitFinished("os", 3.1, "pinned 118 packages of bookworm"),
        WaitStarted("files", "looks for what changed"),
        WaitFinished("files", 1.0),
        BuildStarted(("api",), 1),
        WaitStarted("api", "is put together"),
        WaitFinished("api", 1.0, "an image"),
        StepStarted("os", "packages", "never built"),
    ]
    assert show("plain", events)[0].splitlines() == [
        "os | looks up packages for Buildfile.lock",
        "os | Get:1 http://deb.example bookworm",
        "os | pinned 118 packages of bookworm in 3.1 s",
        "files | looks for what changed",
        "os | packages: never built",
    ]
    told = [json.loads(line)["event"] for line in show("json", events)[0].splitlines()]
    assert told[:3] == ["wait-started", "step-output", "wait-finished"]

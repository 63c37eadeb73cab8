"""Which runtime runs a command, and what the first command tells about it."""

import threading
from pathlib import Path

import pytest

from buildgraph.errors import MachineError
from buildgraph.sandbox.command import Command, Exit
from buildgraph.sandbox.runtime import OciRuntime, Probe, Runtimes

COMMAND = Command(Path("/"), ("work",))


class Played:
    """Ends commands with ``code``; one that does not work raises, whatever it is to run."""

    package = "none"

    def __init__(self, name, *, code=0, works=True, refuses=None):
        self.name = name
        self.code = code
        self.works = works
        self.refusal = refuses
        self.ran = []

    def refuses(self, _command):
        return self.refusal

    def run(self, command, on_output, _cancelled, meanwhile=lambda: None):
        self.ran.append(command.argv[0])
        if not self.works:
            raise MachineError("sandbox-failed", f"{self.name} does not work here")
        meanwhile()
        on_output(self.name.encode())
        return Exit(0 if command.argv == ("true",) else self.code)


@pytest.fixture
def played(tmp_path, monkeypatch):
    """Trials need no mounts here."""

    def trial(self, runtime):
        try:
            runtime.run(Command(tmp_path, ("true",)), lambda _: None, threading.Event())
        except MachineError as error:
            return error.message
        return ""

    monkeypatch.setattr(Runtimes, "_try", trial)
    return lambda *candidates: Runtimes(tmp_path, candidates)


def run(runtimes):
    said = []
    return runtimes.run(COMMAND, said.append, threading.Event()), b"".join(said)


def test_a_first_command_that_ends_well_is_trial_enough(played):
    one = Played("one")
    runtimes = played(one, Played("two"))
    assert [run(runtimes), run(runtimes)] == [(Exit(0), b"one")] * 2
    assert one.ran == ["work", "work"]
    assert runtimes.probe(one) == Probe(one)
    assert one.ran == ["work", "work"]


def test_one_that_fails_is_a_failure_of_its_own_where_the_runtime_works(played):
    one, two = Played("one", code=3), Played("two")
    assert run(played(one, two)) == (Exit(3), b"one")
    assert (one.ran, two.ran) == (["work", "true"], [])


def test_where_the_runtime_does_not_work_the_next_one_runs_it(played):
    one, two = Played("one", works=False), Played("two")
    runtimes = played(one, two)
    assert run(runtimes) == (Exit(0), b"two")
    assert run(runtimes) == (Exit(0), b"two")
    assert one.ran == ["work", "true"]
    assert two.ran == ["true", "work", "work"]


def test_an_error_of_the_command_is_no_reason_to_run_it_elsewhere(played, monkeypatch):
    one, two = Played("one"), Played("two")
    runtimes = played(one, two)
    run_it = one.run

    def refuse(command, *rest):
        if command.argv == ("work",):
            raise MachineError("no-tmpfs", "it has no place")
        return run_it(command, *rest)

    monkeypatch.setattr(one, "run", refuse)
    with pytest.raises(MachineError, match="no place"):
        run(runtimes)
    assert two.ran == []


def test_without_any_all_reasons_are_told(played):
    one, two = Played("one", works=False), Played("two", refuses="it cannot do that")
    with pytest.raises(MachineError) as caught:
        run(played(one, two))
    assert caught.value.code == "no-runtime"
    assert list(caught.value.detail) == ["one: one does not work here", "two: it cannot do that"]


def test_a_program_that_is_not_there_says_nothing_as_the_command(tmp_path):
    said = []
    runtime = OciRuntime("no-such-runtime", tmp_path)
    with pytest.raises(FileNotFoundError, match="not installed"):
        runtime.run(COMMAND, said.append, threading.Event())
    assert said == []

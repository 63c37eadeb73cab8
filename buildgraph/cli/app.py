"""From arguments to an exit code: run one command and say what went wrong, if something did."""

import contextlib
import gc
import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from buildgraph.cli import failure, straight, warm
from buildgraph.cli.session import Screen, Settings


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: unwinds like an interrupt, ends with 128 + the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def run(arguments: list[str], screen: Screen) -> int:
    """One command, start to end; never raises for what can go wrong in a command."""
    settings = Settings(screen, tuple(arguments))
    settings.plan_file = _plan_file(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # paths need not be UTF-8
    try:
        with _signals():
            return _invoke(arguments, settings)
    except KeyboardInterrupt as stop:
        screen.note("interrupted", settings.progress)
        return 128 + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter's own last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    finally:
        gc.freeze()  # the interpreter's own last collection would walk through big trees only to end


def _invoke(arguments: list[str], settings: Settings) -> int:
    try:
        code = _run(arguments, settings)
        with contextlib.suppress(ValueError):
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except Exception as problem:  # noqa: BLE001 - the last frame: everything becomes a message
        error = failure.explain(problem)
        with _told_or_not():
            settings.screen.fail(error, settings.progress, styled=settings.styled)
        return error.exit_code
    return code


def _run(arguments: list[str], settings: Settings) -> int:
    if plain := straight.begin(arguments, settings):
        plain()
        return 0
    from buildgraph.cli import parsed

    return parsed.invoke(arguments, settings)


@contextlib.contextmanager
def _told_or_not() -> Iterator[None]:
    """Where nobody can be told, the exit code says what it can."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        return


def _plan_file(arguments: list[str]) -> Path | None:
    with contextlib.suppress(OSError):
        home = os.path.abspath(warm.home_of(arguments, os.environ))
        return Path(warm.plan_file(arguments, home))
    return None


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the stack, so that everything that must be undone is."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Terminated(number)

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means it
        numbers.append(signal.SIGHUP)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

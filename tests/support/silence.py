"""A registry that says nothing from some moment on, and programs that are told to stop meanwhile."""

import signal
import threading

PROMPT = 20
"""Seconds; a command that waited for the registry would take 60 at least."""


class Silence:
    """A mode: the first request that ``wanted`` wants is not answered, nor is any other of them until :meth:`end`."""

    def __init__(self, bad, wanted):
        self._bad = bad
        self._wanted = wanted
        self.reached = threading.Event()
        bad.modes.append(self)

    def __call__(self, exchange, asked):
        if not self._wanted(asked):
            return False
        if asked.kind == "finish":
            exchange.some_body(1 << 20)
        self.reached.set()
        exchange.hang()
        return True

    def end(self):
        self._bad.modes.remove(self)


def stopped(program, silence, number, *words):
    """What was said until the end; the exit code is the signal's."""
    silence.reached.clear()
    process = program.start(*words)
    assert silence.reached.wait(60), process.communicate(timeout=5)
    process.send_signal(number)
    out, err = process.communicate(timeout=PROMPT)
    assert process.returncode == (130 if number == signal.SIGINT else 143), err
    assert "Traceback" not in err
    return out + err

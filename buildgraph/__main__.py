"""The program: a build with nothing to do is answered from its compiled plan; everything else goes to ``cli``.

Up to that answer nothing is imported but what starts with the interpreter, so this module and what it imports at
its top stay free of click, dataclasses and the like.
"""

import gc
import os
import sys
import time

from buildgraph.cli import warm

_MACHINE = 3
"""The exit code for what the machine refuses."""


def main() -> int:
    """Exit code as in the manual; also the console script."""
    began = time.monotonic()
    arguments = sys.argv[1:]
    _stand_in()
    try:
        if warm.answer(arguments, began):
            return 0
        gc.disable()  # one command makes few cycles, and scans of big trees would pay for looking for them
        from buildgraph.cli import app
        from buildgraph.report import terminal

        return app.run(arguments, terminal.Terminal())
    except KeyboardInterrupt:  # before there was anybody to say so
        return 130


def _stand_in() -> None:
    """``/dev/null`` for each standard stream that whoever started this has closed: no file that is opened later may
    get its number, and what is written there has no reader."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


def leave() -> None:
    """Run and end the process without taking the interpreter apart.

    All that must be undone has been when :func:`main` returns; to free big trees object by object takes a tenth of a
    second that nobody has any use for.
    """
    code = main()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:  # what could not be written before cannot be now, and the exit code says so
        os._exit(code or _MACHINE)
    os._exit(code)


if __name__ == "__main__":
    leave()

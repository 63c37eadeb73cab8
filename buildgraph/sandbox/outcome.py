"""What a runtime's own message means: the program was not there, or the sandbox could not be made."""

from buildgraph.errors import MachineError
from buildgraph.sandbox.command import Command

NOT_FOUND = 127
NOT_EXECUTABLE = 126

_MISSING = ("no such file or directory", "executable file not found", "not found in $path")


def failed_exec(said: str) -> int:
    """127 or 126, as a shell answers."""
    return NOT_FOUND if any(text in said.lower() for text in _MISSING) else NOT_EXECUTABLE


def sandbox_failed(runtime: str, command: Command, said: str) -> MachineError:
    return MachineError(
        "sandbox-failed",
        f"{runtime} could not start {command.argv[0]!r}",
        detail=said.splitlines()[-5:],
        hint="`buildgraph doctor` tries every part of the sandbox on this machine",
    )

"""Every way in which a command can go wrong once it is understood, as an error that a person can read."""

import errno
import os

from buildgraph.errors import BuildgraphError, MachineError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


class DefectError(BuildgraphError):
    """A mistake of this program itself (exit 1)."""


def explain(problem: Exception) -> BuildgraphError:
    match problem:
        case BuildgraphError():
            return problem
        case OSError():
            return _system(problem)
        case MemoryError():
            return MachineError(
                "no-memory", "there is not enough memory", hint="build with fewer jobs: -j 1"
            )
        case _:
            return _defect(problem)


def _system(problem: OSError) -> BuildgraphError:
    what = os.strerror(problem.errno) if problem.errno else str(problem)
    name = problem.filename if problem.filename is not None else problem.filename2
    at = f"{os.fsdecode(name)}: " if isinstance(name, str | bytes) else ""
    if problem.errno in _FULL:
        return MachineError(
            "no-space",
            f"{at}{what.lower()}",
            hint="free some space, for example with buildgraph cache gc --max-size 10GB",
        )
    if problem.errno in _DENIED:
        return MachineError("no-permission", f"{at}{what.lower()}")
    return MachineError("system-error", f"{at}{what.lower()}", detail=_frames(problem)[-2:])


def _defect(problem: Exception) -> BuildgraphError:
    return DefectError(
        "internal",
        f"{type(problem).__name__}: {problem}",
        detail=_frames(problem),
        hint="this is a mistake in buildgraph; please report it with the lines above",
    )


def _frames(problem: Exception) -> list[str]:
    """Where it happened, innermost last; frames of other people's code only if it is the last one."""
    import traceback

    frames = traceback.extract_tb(problem.__traceback__)
    own = os.path.dirname(os.path.dirname(__file__))
    shown = [f for f in frames if f.filename.startswith(own) or f is frames[-1]]
    return [f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in shown]

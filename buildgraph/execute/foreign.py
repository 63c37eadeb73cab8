"""Did a command fail because it is of another architecture? Then that is what a person must know.

Nothing is refused beforehand: what an image says of itself is no proof, and a kernel may have an interpreter for it.
"""

from collections.abc import Sequence

from buildgraph.errors import MachineError
from buildgraph.graph.step import RunStep
from buildgraph.names import Platform
from buildgraph.sandbox.emulation import can_execute, is_foreign
from buildgraph.sandbox.outcome import NOT_EXECUTABLE

_SIGNS = (b"exec format error", b"cannot execute binary file")


def foreign_error(step: RunStep, code: int, last: Sequence[bytes]) -> MachineError | None:
    """``code`` is how it ended, ``last`` what it said; None where something else is to blame."""
    platform = Platform.parse(step.platform)
    said = any(sign in line.lower() for line in last for sign in _SIGNS)
    if (
        not (said or code == NOT_EXECUTABLE)
        or not is_foreign(platform)
        or can_execute(platform.arch)
    ):
        return None
    return MachineError(
        "foreign-platform",
        f"{step.id.partition(':')[2]} runs a command for {platform}, which this machine cannot execute",
        hint="apt-get install qemu-user-static binfmt-support, or build on a machine of that kind; what only makes "
        'files can run on this one: FROM --platform=$BUILDPLATFORM, in a Buildfile platform = "build"',
        where=step.where,
        detail=[line.decode("utf-8", "replace") for line in last],
    )

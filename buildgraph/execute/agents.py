"""Agents of ssh that a command may ask: a socket of its own that leads to the user's, for as long as the command runs.

The user's socket itself is never mounted: a command may run as another user, and nothing that it keeps open may outlive
it. Neither the agent nor its keys are part of any key, record or layer.
"""

from collections.abc import Mapping

from buildgraph.errors import UsageError


class Agents:
    """``given`` are sockets by id, an empty one is that of the environment: nobody is let near an agent unasked."""

    def __init__(self, given: Mapping[str, str], environ: Mapping[str, str]) -> None:
        default = environ.get("SSH_AUTH_SOCK", "")
        self._sockets = {name: path or default for name, path in given.items()}

    def socket(self, name: str, *, required: bool) -> str:
        """Empty where there is none. Raises UsageError ``ssh-missing`` if it is required."""
        found = self._sockets.get(name, "")
        if not found and required:
            raise UsageError(
                "ssh-missing",
                f"the ssh agent {name} is required, and the build was given none",
                hint=f"give it the one that runs with --ssh {name}, or another with --ssh {name}=SOCKET",
            )
        return found

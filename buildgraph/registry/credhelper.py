"""What does a credential helper know? ``docker-credential-NAME``, a program of the user's that keeps passwords.

The protocol of github.com/docker/docker-credential-helpers: the action is the argument (``get``, ``store``,
``erase``), the server stands on standard input, answers are JSON on standard output. A user name ``<token>`` says that
the secret is an identity token. A failure is told on standard output with exit code 1. Secrets go through pipes alone.
"""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from buildgraph.errors import MachineError, UsageError
from buildgraph.values import dataclass

if TYPE_CHECKING:
    import subprocess

PATIENCE = 120.0
"""Seconds; a helper may ask a person to unlock a key ring."""

TOKEN_USER = "<token>"  # noqa: S105 - a name of the protocol
_NOT_FOUND = "credentials not found"
_NAME = r"[A-Za-z0-9._-]+"


@dataclass(frozen=True, slots=True)
class Answer:
    username: str
    secret: str

    def __repr__(self) -> str:
        return f"Answer({self.username!r})"


@dataclass(frozen=True, slots=True)
class Helper:
    """``name`` as a config file has it; ``environ`` is the program's whole environment, PATH included."""

    name: str
    environ: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Helper({self.name!r})"

    def get(self, server: str) -> Answer | None:
        """None when the helper knows no credential. Raises MachineError ``credential-helper``."""
        done = self._run("get", server)
        if done.returncode:
            if _NOT_FOUND in done.stdout.lower():
                return None
            raise self._failed("get", server, done)
        try:
            answer = json.loads(done.stdout)
            return Answer(str(answer["Username"]), str(answer["Secret"]))
        except (ValueError, TypeError, KeyError):
            # Not chained: a decoder's message may quote the answer.
            message = (
                f"docker-credential-{self.name} gave no credential for {server} but something else"
            )
            raise self._wrong(message) from None

    def store(self, server: str, answer: Answer) -> None:
        """Raises MachineError ``credential-helper``."""
        fields = {"ServerURL": server, "Username": answer.username, "Secret": answer.secret}
        done = self._run("store", json.dumps(fields))
        if done.returncode:
            raise self._failed("store", server, done, answer.secret)

    def erase(self, server: str) -> None:
        """Nothing when there was no credential. Raises MachineError ``credential-helper``."""
        done = self._run("erase", server)
        if done.returncode and _NOT_FOUND not in done.stdout.lower():
            raise self._failed("erase", server, done)

    def _run(self, action: str, said: str) -> "subprocess.CompletedProcess[str]":
        if not re.fullmatch(_NAME, self.name):
            raise UsageError(
                "bad-auth-file",
                f"{self.name!r} is not the name of a credential helper",
                hint="credsStore and credHelpers name what follows docker-credential-",
            )
        import shutil
        import subprocess

        program = shutil.which(f"docker-credential-{self.name}", path=self.environ.get("PATH"))
        if not program:
            raise self._wrong(f"there is no docker-credential-{self.name} on this machine's PATH")
        try:
            return subprocess.run(
                [program, action],
                input=said,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                env=dict(self.environ),
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            message = f"{program} {action} did not answer within {PATIENCE:.0f} seconds"
            raise self._wrong(message) from None
        except OSError as error:
            raise self._wrong(f"{program} cannot be run: {error.strerror}") from error

    def _failed(
        self, action: str, server: str, done: "subprocess.CompletedProcess[str]", secret: str = ""
    ) -> MachineError:
        said = (done.stdout.strip() or done.stderr.strip()).split("\n")[0][:200]
        if secret:
            said = said.replace(secret, "***")
        reason = said or f"exit code {done.returncode}"
        return self._wrong(f"docker-credential-{self.name} {action} failed for {server}: {reason}")

    def _wrong(self, message: str) -> MachineError:
        return MachineError(
            "credential-helper",
            message,
            hint="install it, or take it out of credsStore and credHelpers in the auth file and log in again",
        )

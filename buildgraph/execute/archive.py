"""Where do the packages of a step come from on this machine, and how are they fetched?

From the machine's own apt sources that serve the suite, or from the mirror that the step names. How packages are
fetched is taken over from the machine's apt (proxy, certificates, credentials, dates that need not be valid), but only
while a root is made: none of it is in a layer or a key.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from buildgraph.errors import MachineError, UsageError
from buildgraph.execute import aptsources
from buildgraph.execute.authority import proxies
from buildgraph.execute.debian import architecture_of
from buildgraph.graph.step import PackagesStep
from buildgraph.names import Platform
from buildgraph.values import dataclass

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_TAKEN: Final = re.compile(
    r"Acquire(::(IndexTargets|Languages|Changelogs|cdrom|CompressionTypes|GzipIndexes)\b.*)? "
)


@dataclass(frozen=True, slots=True)
class Archive:
    """``sources`` are in deb822, ``settings`` for apt.conf; ``architecture`` is Debian's name of it."""

    suite: str
    architecture: str
    sources: str
    settings: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a step may use of the world outside: files below ``folder``, the proxies of ``environ``, the CA bundle.

    ``ca`` is as the workspace writes it: empty, ``host``, or a file.
    """

    folder: Path
    environ: Mapping[str, str]
    ca: str = ""

    def environment(self) -> dict[str, str]:
        """For apt, mmdebstrap and maintainer scripts: the same on every machine but for the proxies."""
        return {
            "PATH": _PATH,
            "HOME": "/nonexistent",  # as on the machines that build Debian itself
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "DEBIAN_FRONTEND": "noninteractive",
            "PYTHONHASHSEED": "0",
            "PERL_HASH_SEED": "0",
            **proxies(self.environ),
        }


def find_archive(step: PackagesStep, around: Surroundings) -> Archive:
    """The archive of the step's suite, or, where it names none, of the machine's own.

    Raises UsageError ``no-suite``, ``no-sources``, ``keyring-missing``; MachineError ``no-apt``.
    """
    if not shutil.which("apt-get"):
        raise MachineError(
            "no-apt",
            "packages steps are made with apt, which this machine lacks",
            hint="build on Debian or a derivative of it, for example in a container",
        )
    platform = Platform.parse(step.platform)
    architecture = architecture_of(platform.arch, platform.variant)
    own = aptsources.read()
    suite = step.suite or aptsources.own_suite(own, _read(Path("/etc/os-release")))
    if not suite:
        raise UsageError(
            "no-suite", "this machine is of no Debian suite", hint='write suite = "bookworm"'
        )
    known = aptsources.from_mirror(step.mirror, suite) if step.mirror else own
    sources = aptsources.narrowed(known, suite, architecture)
    if not sources:
        whose = "the mirror" if step.mirror else "apt on this machine"
        raise UsageError(
            "no-sources",
            f"{whose} has no source for {suite} on {architecture}",
            hint='write where it is: mirror = "http://deb.debian.org/debian"',
        )
    if step.keyring:
        file = around.folder / step.keyring
        if not file.is_file():
            raise UsageError("keyring-missing", f"there is no keyring {step.keyring!r}")
        sources = tuple(source.signed_by(str(file)) for source in sources)
    text = "\n".join(source.to_deb822() for source in sources)
    return Archive(suite, architecture, text, _settings(around))


def _settings(around: Surroundings) -> str:
    """How this machine fetches packages, as apt-config(8) says it."""
    said = subprocess.run(
        ("apt-config", "dump", "Acquire"),
        env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    taken = [line for line in said.splitlines() if not _NOT_TAKEN.match(line)]
    if around.ca not in ("", "host"):
        taken.append(f'Acquire::https::CaInfo "{around.folder / around.ca}";')
    taken += [
        'Acquire::Languages "none";',
        'APT::Install-Recommends "false";',
        f'Dir::Etc::Netrc "{aptsources.ETC_APT}/auth.conf";',
        f'Dir::Etc::NetrcParts "{aptsources.ETC_APT}/auth.conf.d";',
    ]
    return "\n".join(taken) + "\n"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""

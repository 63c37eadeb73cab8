"""What can be installed from where, and in which versions? Asked of the machine's apt, in a folder of its own.

Nothing of the machine's package management is touched. Roots are made of the essential and required packages and of
what is asked for, without recommended ones; where ``/usr`` can be merged from the start, ``usrmerge`` and the Perl that
it needs stay away.
"""

import re
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from buildgraph.errors import BuildgraphError, StepFailedError, UsageError
from buildgraph.execute.aptsources import ETC_APT
from buildgraph.execute.archive import Archive
from buildgraph.execute.debian import (
    Package,
    as_installed,
    foreign_architectures,
    preferred,
    simulated,
)
from buildgraph.execute.lines import Lines
from buildgraph.execute.local import CancelledError
from buildgraph.sandbox.process import supervise
from buildgraph.store.faults import no_space, tells_full

SOURCES: Final = "etc/apt/sources.list.d/buildgraph-run.sources"
PREFERENCES: Final = "etc/apt/preferences.d/buildgraph-run"
SETTINGS: Final = "etc/apt/apt.conf.d/90buildgraph-run"
"""What is in a root only while it is made."""

MORTAL: Final = ("setpriv", "--pdeathsig", "KILL", "--")
"""Before a command: however this process ends, that one does too."""

_FOLDERS: Final = (
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
    "var/lib/apt/lists/partial",
    "var/lib/dpkg",
    "var/cache/apt/archives/partial",
)
_STATUS: Final = "var/lib/dpkg/status"
_UNKNOWN: Final = re.compile(r"E: Unable to locate package (\S+)|E: Couldn't find any package")
_NO_VERSION: Final = re.compile(r"E: Version '(.+)' for '(.+)' was not found")
_KEPT_LINES: Final = 20


class Apt:
    """apt on ``root``, an empty folder that may become a root; ``config`` is a file that is written outside of it.

    ``say`` is told each line that apt writes. Every method may raise CancelledError, or MachineError ``no-space``.
    """

    def __init__(
        self,
        archive: Archive,
        root: Path,
        config: Path,
        foreign: Iterable[str],
        env: Mapping[str, str],
        say: Callable[[str], None],
        cancelled: threading.Event,
    ) -> None:
        self._archive = archive
        self._root = root
        self._env = {**env, "APT_CONFIG": str(config)}
        self._say = say
        self._cancelled = cancelled
        for name in _FOLDERS:
            make_folder(root, name)
        make_file(root, _STATUS, "")
        make_file(root, SOURCES, archive.sources)
        make_file(root, SETTINGS, archive.settings)
        config.write_text(_config(root, archive.architecture, foreign), encoding="utf-8")

    def update(self) -> None:
        """Fetch the indexes. Raises StepFailedError (``archive-unreachable``)."""
        code, lines = self._run("apt-get", "update", "--error-on=any")
        if code:
            raise StepFailedError(
                "archive-unreachable",
                f"apt cannot read the archive of {self._archive.suite}",
                hint="look at the lines above: the network, a proxy, a key, or a source of this machine",
                detail=lines[-_KEPT_LINES:],
            )

    def prefer(self, preferences: str) -> None:
        make_file(self._root, PREFERENCES, preferences)

    def lacking(self, packages: Sequence[Package]) -> tuple[Package, ...]:
        """Those of ``packages`` that the archive does not have in that version."""
        native = self._archive.architecture
        known = self._versions([package.named(native) for package in packages])
        return tuple(p for p in packages if (p.named(native), p.version) not in known)

    def resolve(self, wishes: Sequence[str], prefer: Sequence[Package] = ()) -> tuple[Package, ...]:
        """Everything that a root with ``wishes`` consists of, sorted; ``prefer`` stays as it is if that can be.

        Raises UsageError (``unknown-package``, ``unknown-version``), StepFailedError (``packages-conflict``,
        ``archive-empty``).
        """
        merged = bool(self._versions(["usr-is-merged"])) and "usrmerge" not in wishes
        never = ("usrmerge",) if merged else ()
        if prefer:
            self.prefer(preferred(prefer, self._archive.architecture, never))
            try:
                return self._resolve(wishes)
            except BuildgraphError:
                self._say("not every package can stay as it was locked")
        self.prefer(preferred((), self._archive.architecture, never))
        return self._resolve(wishes)

    def _resolve(self, wishes: Sequence[str]) -> tuple[Package, ...]:
        """In the two steps in which a root is made: what is chosen second depends on what is there already."""
        suite, native = self._archive.suite, self._archive.architecture
        make_file(self._root, _STATUS, "")
        essential = simulated(self._simulate((_pattern(suite, native, "?essential"),)))
        if not essential:
            raise StepFailedError(
                "archive-empty",
                f"the archive has no essential packages of {suite}",
                hint="a root needs a whole distribution; `suite` is the name that its Release file says",
            )
        names = [f"{package.named(native)}={package.version}" for package in essential]
        _, stanzas = self._run("apt-cache", "show", *names, quiet=True)
        make_file(self._root, _STATUS, as_installed("\n".join(stanzas)))
        required = _pattern(suite, native, "?and(?priority(required),?not(?essential))")
        return simulated(self._simulate((*wishes, required)), essential)

    def _simulate(self, arguments: Sequence[str]) -> list[str]:
        code, lines = self._run("apt-get", "--simulate", "--yes", "install", *arguments, quiet=True)
        if code:
            raise self._refused(lines)
        return lines

    def _refused(self, lines: Sequence[str]) -> BuildgraphError:
        unknown = dict.fromkeys(found[1] for line in lines if (found := _UNKNOWN.match(line)))
        names = [name for name in unknown if name]
        if names:
            return UsageError(
                "unknown-package",
                f"{self._archive.suite} has no package {', '.join(names)}",
                hint=self._near(names[0]),
            )
        for line in lines:
            if found := _NO_VERSION.match(line):
                known = self._versions([found[2]])
                has = ", ".join(sorted({version for _, version in known})) or "no version"
                return UsageError(
                    "unknown-version",
                    f"{self._archive.suite} does not have {found[2]} {found[1]}",
                    hint=f"it has {has}",
                )
        problems = [line for line in lines if not line.startswith(("Inst ", "Conf ", "NOTE:"))]
        return StepFailedError(
            "packages-conflict",
            f"apt finds no way to install these packages of {self._archive.suite} together",
            detail=problems[-_KEPT_LINES:],
        )

    def _near(self, name: str) -> str:
        import difflib

        _, names = self._run("apt-cache", "pkgnames", quiet=True)
        near = difflib.get_close_matches(name, names, n=3)
        return f"did you mean {' or '.join(near)}?" if near else ""

    def _versions(self, names: Sequence[str]) -> set[tuple[str, str]]:
        """The names with each version that the archive has of them."""
        if not names:
            return set()
        _, lines = self._run("apt-cache", "madison", *names, quiet=True)
        rows = (line.split("|") for line in lines)
        return {(row[0].strip(), row[1].strip()) for row in rows if len(row) == 3}

    def _run(self, *argv: str, quiet: bool = False) -> tuple[int, list[str]]:
        found: list[str] = []

        def keep(line: bytes) -> None:
            text = line.decode("utf-8", "replace")
            found.append(text)
            if not quiet:
                self._say(text)

        lines = Lines(keep)
        ended = supervise(
            (*MORTAL, *argv), on_output=lines.feed, cancelled=self._cancelled, env=self._env
        )
        lines.end()
        if ended.cancelled:
            raise CancelledError
        if ended.code and tells_full(found):
            raise no_space(self._root)
        return ended.code, found


def make_folder(root: Path, name: str) -> None:
    """``name`` below ``root``, with its parents, readable by everybody whatever the umask. ``root`` is all our own."""
    for folder in (*reversed(Path(name).parents), Path(name)):
        with suppress(FileExistsError):
            (root / folder).mkdir()
            (root / folder).chmod(0o755)


def make_file(root: Path, name: str, text: str) -> None:
    """Likewise a file whose folder is there."""
    (root / name).write_text(text, encoding="utf-8")
    (root / name).chmod(0o644)


def resolve(
    archive: Archive,
    wishes: Sequence[str],
    folder: Path,
    *,
    prefer: Sequence[str],
    env: Mapping[str, str],
    say: Callable[[str], None],
    cancelled: threading.Event,
) -> tuple[str, ...]:
    """The pins of a root with ``wishes``, sorted as in the lock; ``folder`` is made for it and removed."""
    folder.mkdir(mode=0o700)
    try:
        foreign = foreign_architectures(wishes, archive.architecture)
        apt = Apt(archive, folder / "root", folder / "apt.conf", foreign, env, say, cancelled)
        apt.update()
        found = apt.resolve(wishes, [Package.parse(pin) for pin in prefer])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return tuple(sorted(map(str, found)))


def _pattern(suite: str, architecture: str, which: str) -> str:
    """apt-patterns(7), as mmdebstrap selects the packages that every root has."""
    named = f"?or(?archive(^{re.escape(suite)}$),?codename(^{re.escape(suite)}$))"
    return f"?narrow({named},?architecture({architecture}),{which})"


def _config(root: Path, architecture: str, foreign: Iterable[str]) -> str:
    every = "".join(f'"{name}"; ' for name in (architecture, *foreign))
    return "\n".join(
        (
            f'Dir "{root}/";',
            f'Dir::State::Status "{root}/{_STATUS}";',
            f'Dir::Etc::Trusted "{ETC_APT}/trusted.gpg";',
            f'Dir::Etc::TrustedParts "{ETC_APT}/trusted.gpg.d";',
            f'APT::Architecture "{architecture}";',
            f"APT::Architectures {{ {every}}};",
            'APT::Sandbox::User "root";',
            'pkgCacheGen::ForceEssential ",";',
            "",
        )
    )

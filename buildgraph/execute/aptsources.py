"""Where do this machine's Debian packages come from? apt's sources, read, narrowed to a suite, and written again.

Both forms of sources.list(5) are read: one entry a line, and deb822 paragraphs. Only binary entries that are switched
on count. What is written is deb822, one paragraph an entry. Pure but for :func:`read`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from buildgraph.values import dataclass, replace

ETC_APT: Final = Path("/etc/apt")
_SYMBOLIC: Final = ("stable", "testing", "unstable", "sid", "oldstable", "oldoldstable")
_ONE_LINE: Final = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<rest>\S.*)")
_OPTION: Final = re.compile(r"([\w-]+)[+-]?=\s*(\S+)")
_PLURAL: Final = {"arch": "Architectures", "lang": "Languages", "target": "Targets"}
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class Source:
    """One entry; ``options`` are its other deb822 fields, such as ``Signed-By``, values as they were written."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()
    architectures: tuple[str, ...] = ()

    def signed_by(self, keyring: str) -> "Source":
        """The entry trusting ``keyring`` and no other."""
        kept = tuple(option for option in self.options if option[0].lower() != "signed-by")
        return replace(self, options=(*kept, ("Signed-By", keyring)))

    def to_deb822(self) -> str:
        """``file:`` becomes ``copy:``: what a program in a root of its own cannot open must be brought to it."""
        uris = (
            f"copy:{uri.removeprefix('file:')}" if uri.startswith("file:") else uri
            for uri in self.uris
        )
        lines = ["Types: deb", f"URIs: {' '.join(uris)}", f"Suites: {' '.join(self.suites)}"]
        if self.components:
            lines.append(f"Components: {' '.join(self.components)}")
        lines += [f"{name}: {value}" for name, value in self.options]
        return "\n".join(lines) + "\n"


def read(folder: Path = ETC_APT) -> tuple[Source, ...]:
    """The machine's own entries, in the order in which apt reads them."""
    found: list[Source] = []
    for file in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))):
        if file.suffix in (".list", ".sources") and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            found += parse_deb822(text) if file.suffix == ".sources" else parse_lines(text)
    return tuple(found)


def parse(text: str) -> tuple[Source, ...]:
    """Entries of either form."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    one_line = bool(lines) and lines[0].split()[0] in ("deb", "deb-src")
    return tuple(parse_lines(text) if one_line else parse_deb822(text))


def parse_lines(text: str) -> Iterator[Source]:
    """``deb [arch=amd64 signed-by=/key.gpg] URI SUITE COMPONENT…``"""
    for line in text.splitlines():
        found = _ONE_LINE.match(line.partition("#")[0].strip())
        words: list[str] = found["rest"].split() if found else []
        if not found or len(words) < 2 or words[0].startswith("cdrom:"):
            continue
        options = dict(_OPTION.findall(found["options"] or ""))
        architectures = tuple(filter(None, options.pop("arch", "").split(",")))
        fields = tuple((_field(name), value) for name, value in options.items())
        yield Source((words[0],), (words[1],), tuple(words[2:]), fields, architectures)


def _field(option: str) -> str:
    """``by-hash`` is ``By-Hash``."""
    return _PLURAL.get(option) or "-".join(part.capitalize() for part in option.split("-"))


def parse_deb822(text: str) -> Iterator[Source]:
    for paragraph in paragraphs(text):
        fields = {name.lower(): value for name, value in paragraph.items()}
        binary = "deb" in fields.get("types", "").split()
        if not binary or fields.get("enabled", "yes").strip().lower() in ("no", "false", "0"):
            continue
        known = ("types", "uris", "suites", "components", "architectures", "enabled")
        yield Source(
            tuple(fields.get("uris", "").split()),
            tuple(fields.get("suites", "").split()),
            tuple(fields.get("components", "").split()),
            tuple((n, v) for n, v in paragraph.items() if n.lower() not in known),
            tuple(fields.get("architectures", "").split()),
        )


def paragraphs(text: str) -> Iterator[Mapping[str, str]]:
    """The paragraphs of a control file (deb822(5)); continuation lines stay as they are."""
    fields: dict[str, str] = {}
    name = ""
    for line in (*text.splitlines(), ""):
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t" and name:
            fields[name] += "\n" + line
        else:
            name, _, value = line.partition(":")
            fields[name] = value.strip()


def narrowed(sources: Iterable[Source], suite: str, architecture: str) -> tuple[Source, ...]:
    """What serves ``suite``: itself and those named after it (``-updates``, ``-security``, ``-backports``)."""
    found = []
    for source in sources:
        suites = tuple(
            s for s in source.suites if s == suite or s.startswith((f"{suite}-", f"{suite}/"))
        )
        serves = not source.architectures or architecture in source.architectures
        if suites and serves and source.components:
            found.append(replace(source, suites=suites))
    return tuple(found)


def own_suite(sources: Sequence[Source], os_release: str) -> str:
    """The suite that the machine itself is of, empty if that cannot be told.

    Its code name, unless its sources follow a symbolic name instead (``stable``, ``sid``).
    """
    found = re.search(r'^VERSION_CODENAME="?([\w-]+)', os_release, re.MULTILINE)
    codename = found[1] if found else ""
    named = dict.fromkeys(suite for source in sources for suite in source.suites)
    if codename in named:
        return codename
    return next((suite for suite in named if suite in _SYMBOLIC), codename)


def from_mirror(mirror: str, suite: str) -> tuple[Source, ...]:
    """``mirror``: an address or folder that has the suite, or whole entries in either form."""
    if "\n" in mirror.strip() or mirror.startswith(("deb ", "deb\t")):
        return parse(mirror)
    uri = mirror if _SCHEME.match(mirror) else f"copy:{mirror}"
    return (Source((uri,), (suite,), ("main",)),)


def canonical(os_release: str, suite: str) -> str:
    """Debian's own sources of ``suite``, for the roots to be used anywhere; empty for another distribution."""
    if not re.search(r'^ID="?debian"?$', os_release, re.MULTILINE):
        return ""
    keyring = (("Signed-By", "/usr/share/keyrings/debian-archive-keyring.gpg"),)
    rolling = suite in ("sid", "unstable", "experimental")
    suites = (suite,) if rolling else (suite, f"{suite}-updates")
    main = Source(("http://deb.debian.org/debian",), suites, ("main",), keyring)
    security = Source(
        ("http://deb.debian.org/debian-security",), (f"{suite}-security",), ("main",), keyring
    )
    return "\n".join(source.to_deb822() for source in ((main,) if rolling else (main, security)))

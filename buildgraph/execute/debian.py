"""Debian packages by name, architecture and version: as the lock, apt and dpkg write them.

======================  ==============================================================
a pin of the lock       ``libssl3:amd64=3.0.17-1~deb12u2``, ``adduser:all=3.134``
apt's argument          ``libssl3=3.0.17-1~deb12u2``; ``zlib1g:i386=1:1.2.13`` if foreign
apt's simulation        ``Inst libssl3 [old] (3.0.17-1~deb12u2 Debian:12 [amd64]) [more]``
dpkg's status           a paragraph with Package, Architecture, Version and Status
======================  ==============================================================
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from buildgraph.execute.aptsources import paragraphs

_INST: Final = re.compile(r"Inst (\S+?)(?::(\S+))? (?:\[\S*\] )?\((\S+) .*\[(\S+)\]\)")
_REMV: Final = re.compile(r"Remv (\S+?)(?::(\S+))? ")
_ARCHITECTURES: Final = {
    "386": "i386",
    "arm": "armhf",
    "ppc64le": "ppc64el",
    "mipsle": "mipsel",
    "mips64le": "mips64el",
    "loong64": "loong64",
}
_MERGED: Final = {
    "amd64": ("lib32", "lib64", "libx32"),
    "i386": ("lib64", "libx32"),
    "mips64el": ("lib32", "lib64", "libo32"),
    "mipsel": ("lib32", "lib64"),
    "ppc64el": ("lib64",),
    "s390x": ("lib32",),
    "loong64": ("lib64",),
}


class Package(NamedTuple):
    """``architecture`` is Debian's name of one, or ``all``."""

    name: str
    architecture: str
    version: str

    @classmethod
    def parse(cls, pin: str) -> "Package":
        name, _, version = pin.partition("=")
        name, _, architecture = name.partition(":")
        return cls(name, architecture, version)

    def __str__(self) -> str:
        return f"{self.name}:{self.architecture}={self.version}"

    def named(self, native: str) -> str:
        """The name by which apt knows it where ``native`` is the architecture."""
        foreign = self.architecture not in ("all", native)
        return f"{self.name}:{self.architecture}" if foreign else self.name


def architecture_of(arch: str, variant: str) -> str:
    """Debian's name of a platform's architecture."""
    if arch == "arm" and variant in ("v5", "v6"):
        return "armel"
    return _ARCHITECTURES.get(arch, arch)


def foreign_architectures(names: Iterable[str], native: str) -> tuple[str, ...]:
    """Those that wishes or pins (``name:architecture…``) ask for besides ``native``, sorted."""
    found = {name.partition("=")[0].partition(":")[2] for name in names}
    return tuple(sorted(found - {"", "all", "any", "native", native}))


def simulated(lines: Iterable[str], before: Iterable[Package] = ()) -> tuple[Package, ...]:
    """What is installed after a simulated run of apt-get on top of ``before``, sorted."""
    found = {(package.name, package.architecture): package for package in before}
    for line in lines:
        if inst := _INST.match(line):
            package = Package(inst[1], inst[4], inst[3])
            found[package.name, package.architecture] = package
        elif remv := _REMV.match(line):
            gone = [key for key in found if key[0] == remv[1] and remv[2] in (None, key[1])]
            for key in gone:
                del found[key]
    return tuple(sorted(found.values()))


def installed(status: str) -> tuple[Package, ...]:
    """What dpkg's status file calls installed, sorted; half-configured packages are not."""
    return tuple(
        sorted(
            Package(fields["Package"], fields["Architecture"], fields["Version"])
            for fields in paragraphs(status)
            if fields.get("Status", "").split()[1:] == ["ok", "installed"]
        )
    )


def as_installed(stanzas: str) -> str:
    """Paragraphs of an archive's index as those of a status file, each package once."""
    seen: set[tuple[str, str]] = set()
    out = []
    for fields in paragraphs(stanzas):
        key = (fields["Package"], fields["Architecture"])
        if key not in seen:
            seen.add(key)
            described = {**fields, "Status": "install ok installed"}
            out.append("".join(f"{name}: {value}\n" for name, value in described.items()))
    return "\n".join(out)


def pinned(packages: Sequence[Package], native: str) -> str:
    """apt_preferences(5) with which ``packages``, in these versions, are all there is."""
    return "\n".join((*_never("*"), *_versions(packages, native, 1001)))


def preferred(packages: Sequence[Package], native: str, never: Sequence[str] = ()) -> str:
    """Preferences with which ``packages`` stay as they are while that can be, and ``never`` is not installed."""
    forbidden = (line for name in never for line in _never(name))
    return "\n".join((*forbidden, *_versions(packages, native, 995)))


def _never(name: str) -> Iterator[str]:
    yield from (f"Package: {name}", "Pin: release *", "Pin-Priority: -1", "")


def _versions(packages: Sequence[Package], native: str, priority: int) -> Iterator[str]:
    for package in packages:
        yield f"Package: {package.named(native)}"
        yield f"Pin: version {package.version}"
        yield f"Pin-Priority: {priority}"
        yield ""


def merged_links(architecture: str) -> tuple[str, ...]:
    """The names in the root that are links into /usr where usr-is-merged is installed (Debian's usrmerge)."""
    return ("bin", "sbin", "lib", *_MERGED.get(architecture, ()))

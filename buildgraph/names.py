"""Names that people give to images and machines: references and platforms.

A reference is ``[host[:port]/]path[:tag][@digest]`` (distribution-spec, "Pulling manifests"). Two forms are kept:
what the user wrote (``str(reference)``) and what it means (``host`` and ``path`` with docker's defaults).
"""

import re

from buildgraph.digest import Digest
from buildgraph.errors import UsageError
from buildgraph.values import dataclass

_PATH = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST = re.compile(r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")

_ARCHES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armhf": "arm/v7",
    "armel": "arm/v6",
    "i386": "386",
    "i686": "386",
}
_UNAMES = {"amd64": "x86_64", "arm64": "aarch64", "arm": "armv7l", "386": "i686"}
_ARCH_NAMES = """
386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x sparc64 wasm
"""
_OS_NAMES = """
aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris wasi wasip1 windows
"""
_KNOWN = frozenset(_ARCH_NAMES.split())
SYSTEMS = frozenset(_OS_NAMES.split())
_SYSTEM_NAMES = {**{name: name for name in SYSTEMS}, "macos": "darwin"}
_DEFAULT_VARIANTS = frozenset((("amd64", "v1"), ("arm64", "v8")))
"""Those that are not written."""


@dataclass(frozen=True, slots=True)
class Reference:
    """``host`` is empty when none was written; ``tag`` and ``digest`` are empty when absent."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Raises :class:`UsageError` (``bad-reference``) when ``text`` is no reference."""
        rest, _, digest = text.partition("@")
        if digest or text.endswith("@"):
            try:
                Digest.parse(digest)
            except Exception as error:
                raise _bad(text, "what follows @ is not a digest") from error
        head, slash, tail = rest.partition("/")
        host = ""
        if slash and (("." in head) or (":" in head) or head == "localhost"):
            host, rest = head, tail
            if not _HOST.fullmatch(host):
                raise _bad(text, f"{host!r} is not a host name")
        path, _, tag = rest.partition(":")
        if ":" in rest and not _TAG.fullmatch(tag):
            raise _bad(text, f"{tag!r} is not a tag")
        if not _PATH.fullmatch(path) or len(path) > 255:
            why = (
                "names are lower case"
                if path.lower() != path
                else f"{path!r} is not a repository name"
            )
            raise _bad(text, why)
        return cls(host, path, tag, digest)

    def __str__(self) -> str:
        text = f"{self.host}/{self.path}" if self.host else self.path
        text += f":{self.tag}" if self.tag else ""
        return text + (f"@{self.digest}" if self.digest else "")

    @property
    def repository(self) -> str:
        """Host and path with docker's defaults: ``docker.io/library/debian`` for ``debian``."""
        if self.host not in ("", "docker.io", "index.docker.io"):
            return f"{self.host}/{self.path}"
        return f"docker.io/{self.path if '/' in self.path else f'library/{self.path}'}"

    @property
    def familiar(self) -> str:
        """With ``:latest`` where neither tag nor digest was written."""
        return str(self) if self.tag or self.digest else f"{self}:latest"


def _bad(text: str, why: str) -> UsageError:
    return UsageError(
        "bad-reference",
        f"{text!r} is not an image reference: {why}",
        hint="write it as [host/]name[:tag][@digest]",
    )


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """``os/architecture[/variant]`` in Go's names (image-spec, image-index.md "platform")."""

    os: str
    arch: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """Raises :class:`UsageError` (``bad-platform``) for an unknown or incomplete platform."""
        os, *rest = text.lower().split("/")
        if len(rest) in (1, 2) and os in _SYSTEM_NAMES and all(rest):
            arch, _, variant = _ARCHES.get(rest[0], rest[0]).partition("/")
            variant = rest[1] if len(rest) == 2 else variant
            if variant.isdecimal():
                variant = f"v{variant}"
            if arch in _KNOWN:
                known = (arch, variant) in _DEFAULT_VARIANTS
                return cls(_SYSTEM_NAMES[os], arch, "" if known else variant)
        raise UsageError(
            "bad-platform",
            f"unknown platform {text!r}",
            hint="write it as os/arch, for example linux/amd64",
        )

    @classmethod
    def parse_all(cls, text: str) -> "tuple[Platform, ...]":
        """Those that commas part, each once, in their order; none of an empty text. ``arm64`` is that of Linux."""
        words = (part.strip() for part in text.split(",") if text)
        return tuple(dict.fromkeys(cls.parse(w if "/" in w else f"linux/{w}") for w in words))

    @classmethod
    def of_machine(cls, machine: str) -> "Platform":
        """The platform of a Linux machine, from what ``uname -m`` says."""
        return cls("linux", _ARCHES.get(machine, machine))

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.arch, self.variant) if part)

    @property
    def uname(self) -> str:
        return _UNAMES.get(self.arch, self.arch)


_LABEL = rf"@(?:{'|'.join(sorted(SYSTEMS))})/[a-z0-9/]+$"


def labelled(name: str, platform: Platform) -> str:
    """What a table is called that several platforms have, each its own: ``deps@linux/arm64``."""
    return f"{name}@{platform}"


def unlabelled(name: str) -> str:
    """The name as it was written."""
    return re.sub(_LABEL, "", name)

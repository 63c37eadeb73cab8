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
    "aarch64": "arm64",
    "armv7l": "arm",
    "i686": "386",
    "ppc64le": "ppc64le",
}
_UNAMES = {"amd64": "x86_64", "arm64": "aarch64", "arm": "armv7l", "386": "i686"}
_KNOWN = ("amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "mips64le", "loong64")


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
        parts = text.split("/")
        if (
            len(parts) in (2, 3)
            and all(parts)
            and parts[0] in ("linux", "windows", "darwin", "freebsd")
        ):
            arch = _ARCHES.get(parts[1], parts[1])
            if arch in _KNOWN:
                variant = parts[2] if len(parts) == 3 else ""
                return cls(parts[0], arch, "" if (arch, variant) == ("arm64", "v8") else variant)
        raise UsageError(
            "bad-platform",
            f"unknown platform {text!r}",
            hint="write it as os/arch, for example linux/amd64",
        )

    @classmethod
    def parse_all(cls, text: str) -> "tuple[Platform, ...]":
        """Those that commas part, each once, in their order; none of an empty text."""
        return tuple(dict.fromkeys(cls.parse(part.strip()) for part in text.split(",") if text))

    @classmethod
    def of_machine(cls, machine: str) -> "Platform":
        """The platform of a Linux machine, from what ``uname -m`` says."""
        return cls("linux", _ARCHES.get(machine, machine))

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.arch, self.variant) if part)

    @property
    def uname(self) -> str:
        return _UNAMES.get(self.arch, self.arch)


_LABEL = re.compile(r"@(?:linux|windows|darwin|freebsd)/[a-z0-9/]+$")


def labelled(name: str, platform: Platform) -> str:
    """What a table is called that several platforms have, each its own: ``deps@linux/arm64``."""
    return f"{name}@{platform}"


def unlabelled(name: str) -> str:
    """The name as it was written."""
    return _LABEL.sub("", name)

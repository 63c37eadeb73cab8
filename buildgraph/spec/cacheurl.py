"""Which remote caches does a build use? Their URLs, as ``--cache`` and ``workspace.cache`` have them.

    registry://HOST/REPOSITORY[?OPTIONS]     a repository of a registry
    file://FOLDER[?OPTIONS]                  a folder, from the root or from where the URL was written

    mode=rw | read | write       what this build may do with it; rw without it
    steps=all | images           whose results are written: of all steps, or of those whose layers are in images

A URL holds no user and no password: registries are logged in to.
"""

import posixpath
from typing import Final, Literal

from buildgraph.errors import BuildgraphError, UsageError
from buildgraph.names import Reference
from buildgraph.values import dataclass, replace

Scheme = Literal["file", "registry", "inline"]
Steps = Literal["all", "images"]

_LATER: Final = ("s3", "gs", "az", "http", "https")
_MODES: Final = {"rw": (True, True), "read": (True, False), "write": (False, True)}
_USAGE: Final = (
    "write registry://HOST/REPOSITORY or file://FOLDER, and ?mode=read behind it to write nothing"
)


@dataclass(frozen=True, slots=True)
class CacheURL:
    """``place`` is a folder or a repository; empty of ``inline``: the repository that each image is pushed to.

    ``strict``: what cannot be written there fails the build in its end.
    """

    scheme: Scheme
    place: str = ""
    read: bool = True
    write: bool = True
    steps: Steps = "all"
    strict: bool = False

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}" if self.place else self.scheme

    def below(self, folder: str) -> "CacheURL":
        """With a relative path taken from ``folder``."""
        if self.scheme != "file":
            return self
        return replace(self, place=posixpath.normpath(posixpath.join(folder, self.place)))


def parse(text: str) -> CacheURL:
    """Raises UsageError: ``bad-cache-url``, or ``unsupported`` for schemes that are not supported yet."""
    address, _, query = text.partition("?")
    scheme, separator, place = address.partition("://")
    if separator and scheme in _LATER:
        raise UsageError(
            "unsupported",
            f"remote caches of {scheme}:// are not supported yet",
            hint="use a repository of a registry (registry://HOST/REPOSITORY) or a folder (file://FOLDER)",
        )
    options = _options(query)
    read, write = _MODES[options.get("mode", "rw")]
    steps: Steps = "images" if options.get("steps") == "images" else "all"
    if separator and scheme == "file" and place:
        return CacheURL("file", place, read, write, steps)
    if separator and scheme == "registry":
        return CacheURL("registry", repository(place), read, write, steps)
    raise _bad(f"{scheme}://…" if separator else "it", "is no URL of a remote cache")


def repository(text: str) -> str:
    """Host and path of an image reference, whose tag does not count. Raises UsageError ``bad-cache-url``."""
    try:
        found = Reference.parse(text)
    except BuildgraphError as error:
        shown = text.rpartition("@")[2] if "@" in text else text  # a password could stand before it
        raise _bad(f"registry://{shown}", "names no repository") from error
    return found.repository


def _options(query: str) -> dict[str, str]:
    known = {"mode": tuple(_MODES), "steps": ("all", "images")}
    found: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in known or name in found:
            raise _bad(f"its option {name!r}", f"is none of {', '.join(known)}")
        if value not in known[name]:
            raise _bad(f"its {name} {value!r}", f"is none of {', '.join(known[name])}")
        found[name] = value
    return found


def _bad(what: str, why: str) -> UsageError:
    return UsageError(
        "bad-cache-url", f"a remote cache's URL is not understood: {what} {why}", hint=_USAGE
    )

"""What conversions are told, whoever asks for them: named contexts, ignore rules, this machine's network."""

import os
from collections.abc import Sequence
from pathlib import Path

from buildgraph.build.dockerinput import IGNORE, DockerInput, ignore_lines, read_lines
from buildgraph.build.request import OutputSpec
from buildgraph.dockerfile.options import (
    Folder,
    LayoutImage,
    NamedContext,
    RegistryImage,
)
from buildgraph.errors import UsageError
from buildgraph.fs.compress import Codec
from buildgraph.fs.facts import Facts
from buildgraph.names import Reference
from buildgraph.sandbox.network import private_network_problem
from buildgraph.spec.model import FileContext


def codec_of(outputs: Sequence[OutputSpec]) -> Codec:
    """How outputs ask for layers to be compressed; they are one image, so they must agree."""
    asked = {Codec.nearest(each.compression, each.level) for each in outputs if each.compression}
    if len(asked) > 1:
        raise UsageError(
            "output-compressions",
            "the outputs ask for different compressions, and they hold one image",
            hint="build once for each compression",
        )
    return asked.pop() if asked else Codec()


def default_network() -> str:
    """What docker's default network is here: one of its own where that can be, else the machine's."""
    return "host" if private_network_problem() else "private"


def named_context(name: str, value: str, directory: Path) -> NamedContext:
    """Raises UsageError ``bad-context``."""
    kind, separator, rest = value.partition("://")
    if not separator:
        return Folder(os.path.normpath(directory / os.path.expanduser(value)))
    if kind == "docker-image":
        if rest != "scratch":
            Reference.parse(rest)
        return RegistryImage(rest)
    if kind == "oci-layout":
        path, reference = _layout(rest)
        return LayoutImage(os.path.normpath(directory / path), reference)
    raise UsageError(
        "bad-context",
        f"the context {name}={value} is of a kind that is not supported yet",
        hint="name a folder, docker-image://REFERENCE or oci-layout://FOLDER[:TAG]",
    )


def _layout(text: str) -> tuple[str, str]:
    """Path, and tag or digest."""
    path, at, digest = text.partition("@")
    head, colon, tag = path.rpartition(":")
    if colon and "/" not in tag:
        path = head
    else:
        tag = ""
    return path, digest if at else tag


def lines_for(context: FileContext, given: DockerInput, facts: Facts) -> tuple[str, ...]:
    """The ignore file's lines of a context; the build context is the one whose root is ``given``'s."""
    root = Path(os.fsdecode(facts.root)) / context.root
    if root == given.root:
        return ignore_lines(given, facts)
    return read_lines(root / IGNORE, facts) or ()

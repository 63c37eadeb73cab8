"""What options of a build say: each text as a value, and all of them as the request."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from buildgraph.cli.quantity import parse_fields, parse_pair
from buildgraph.cli.session import Session
from buildgraph.errors import UsageError

if TYPE_CHECKING:
    from buildgraph.build.request import OutputSpec, OutputType, Request, SecretSpec

_STREAMED = ("tar", "oci-archive", "docker")
"""The types of output that are one file."""

_COMPRESSION = ("compression", "compression-level")
_REWRITTEN = "rewrite-timestamp"
"""Asks docker for what is always so: no file of a new layer is younger than the image."""
_LEVELS: 'Mapping[str, tuple[Literal["", "gzip", "zstd", "none"], range]]' = {
    "": ("", range(0)),
    "gzip": ("gzip", range(10)),
    "zstd": ("zstd", range(1, 23)),
    "uncompressed": ("none", range(0)),
}

OUTPUT_TYPES: "tuple[OutputType, ...]" = ("store", "oci", "oci-archive", "docker", "tar", "local")


def request(
    session: Session, names: Sequence[str] = (), sets: Sequence[str] = (), **rest: Any
) -> "Request":
    """What the user asked for, paths made absolute. A Dockerfile needs ``docker``."""
    from buildgraph.build.request import Request

    if rest.get("docker") and sets:
        raise UsageError(
            "buildfile-option",
            f"--set {sets[0]} sets a variable of a Buildfile, and here a Dockerfile is built",
            hint=f"--build-arg {sets[0]} gives an ARG its value",
        )
    return Request(
        directory=session.directory,
        file=None if rest.get("docker") else session.file,
        home=session.home,
        targets=tuple(names),
        sets=dict(parse_pair("--set", each) for each in sets),
        environ=dict(os.environ),
        **rest,
    )


def output(text: str, *, docker: bool = False) -> "OutputSpec":
    """``docker``: a path alone is a folder for the root filesystem, ``-`` alone its archive on standard output."""
    from buildgraph.build.request import OutputSpec

    if docker and text and "=" not in text:
        return OutputSpec("tar", "-") if text == "-" else OutputSpec("local", os.path.abspath(text))
    known = ("type", "dest", *((*_COMPRESSION, _REWRITTEN) if docker else ()))
    found = parse_fields("--output", text, known)
    if found.get(_REWRITTEN, "true") not in ("true", "false"):
        raise _bad_output(text, f"{_REWRITTEN} is true or false", "leave it out: it is always done")
    wanted, dest = found.get("type", ""), found.get("dest", "")
    kind = next((each for each in OUTPUT_TYPES if each == wanted), None)
    if kind is None:
        raise _bad_output(
            text, f"there is no type {wanted!r}", f"the types are {', '.join(OUTPUT_TYPES)}"
        )
    if (kind == "store") == bool(dest):
        message = "takes no dest" if kind == "store" else "needs a dest"
        raise _bad_output(
            text,
            f"type {kind} {message}",
            f"write it as --output type={kind}{'' if kind == 'store' else ',dest=PATH'}",
        )
    if dest == "-" and kind not in _STREAMED:
        raise _bad_output(
            text,
            f"type {kind} is a folder, which standard output cannot be",
            f"the types of one file are {', '.join(_STREAMED)}; ./- is a folder that is called so",
        )
    compression, level = _compression(text, found)
    place = dest if dest in ("", "-") else os.path.abspath(dest)
    return OutputSpec(kind, place, compression, level)


def refuse_rewriting(outputs: Sequence[str]) -> None:
    """Of ``--timestamps keep`` beside an output that asks for other times."""
    for text in outputs:
        if f"{_REWRITTEN}=true" in text.split(","):
            raise _bad_output(
                text, "--timestamps keep keeps what it would rewrite", "leave one of them out"
            )


def _compression(
    text: str, found: Mapping[str, str]
) -> 'tuple[Literal["", "gzip", "zstd", "none"], int | None]':
    """As docker names them."""
    name = found.get("compression", "gzip" if "compression-level" in found else "")
    if name not in _LEVELS:
        known = ", ".join(each for each in _LEVELS if each)
        raise _bad_output(text, f"the compression {name!r} is not supported", f"there are {known}")
    compression, levels = _LEVELS[name]
    written = found.get("compression-level", "")
    if not written:
        return compression, None
    if not (written.isdecimal() and int(written) in levels):
        why = f"{levels[0]} to {levels[-1]}" if levels else "not there"
        raise _bad_output(text, f"the level is {written}", f"that of {name} is {why}; leave it out")
    return compression, int(written)


def _bad_output(text: str, why: str, hint: str) -> UsageError:
    return UsageError("bad-option-value", f"--output {text!r}: {why}", hint=hint)


def ssh(text: str) -> tuple[str, str]:
    """``ID[=SOCKET]``: without a socket it is that of ``SSH_AUTH_SOCK``."""
    name, _, path = text.partition("=")
    if not name:
        raise UsageError(
            "bad-option-value",
            f"--ssh {text!r} names no agent",
            hint="write it as --ssh default or --ssh NAME=SOCKET",
        )
    return name, os.path.abspath(os.path.expanduser(path)) if path else ""


def secret(text: str) -> "SecretSpec":
    """``id=ID`` alone means the environment variable of that name; docker's ``type`` and ``source`` are understood.

    Whether there is a value shows when a step needs it.
    """
    from buildgraph.build.request import SecretSpec

    known = ("id", "src", "env", "source", "type")
    found = dict(parse_fields("--secret", text, known, "id=NAME[,src=FILE|env=VARIABLE]"))
    if "source" in found:
        found.setdefault("src", found.pop("source"))
    if found.get("type", "file") not in ("file", "env"):
        raise UsageError(
            "bad-option-value",
            f"--secret {text!r}: there is no type {found['type']!r}",
            hint="the types are file and env",
        )
    name = found.get("id", "")
    if not name or ("src" in found and "env" in found):
        raise UsageError(
            "bad-option-value",
            f"--secret {text!r} needs an id and one of src and env",
            hint="write it as --secret id=NAME,src=FILE or --secret id=NAME,env=VARIABLE",
        )
    if "src" in found:
        return SecretSpec(name, file=os.path.abspath(os.path.expanduser(found["src"])))
    return SecretSpec(name, env=found.get("env", name))

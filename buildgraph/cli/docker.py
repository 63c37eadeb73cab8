"""Docker's own options of ``build``, and whether a command line means a Dockerfile at all."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import click

from buildgraph.cli import engine
from buildgraph.cli.dockervalues import (
    annotations,
    arguments,
    for_all,
    host,
    label,
    limit,
    limits,
    size,
)
from buildgraph.cli.quantity import parse_pair
from buildgraph.cli.session import Session, names_dockerfile
from buildgraph.errors import UsageError

if TYPE_CHECKING:
    from buildgraph.build.dockercall import Call
    from buildgraph.build.request import DockerRequest, Request

F = TypeVar("F", bound=Callable[..., Any])

NAMES = ("Dockerfile", "dockerfile")
CALLS = ("build", "check", "outline", "targets")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
ENTITLEMENTS = ("network.host", "security.insecure")
_REMOTE = ("http://", "https://", "git://", "git@", "ssh://", "github.com/")

_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--target", {"metavar": "STAGE", "help": "Build this stage; the last one without it."}),
    (
        "--build-arg",
        {"metavar": "NAME[=VALUE]", "multiple": True, "help": "Give an ARG its value."},
    ),
    (
        "--build-context",
        {
            "metavar": "NAME=SOURCE",
            "multiple": True,
            "help": "What NAME in FROM and --from means: a folder, docker-image://REF or oci-layout://DIR[:TAG].",
        },
    ),
    ("--label", {"metavar": "NAME=VALUE", "multiple": True, "help": "Add a label to the image."}),
    (
        "--annotation",
        {
            "metavar": "[PLACE:]NAME=VALUE",
            "multiple": True,
            "help": "Add an annotation to the manifest, or to PLACE.",
        },
    ),
    (
        "--network",
        {
            "type": click.Choice(["default", "none", "host"]),
            "default": "default",
            "help": "What a RUN sees of the network.",
        },
    ),
    ("--add-host", {"metavar": "NAME:IP", "multiple": True, "help": "Add a line to /etc/hosts."}),
    (
        "--allow",
        {
            "type": click.Choice(ENTITLEMENTS),
            "multiple": True,
            "help": "Let a RUN have what it asks for.",
        },
    ),
    ("--pull", {"is_flag": True, "help": "Ask the registry for every base image again."}),
    (
        "--no-cache-filter",
        {"metavar": "STAGE", "multiple": True, "help": "Run the steps of these stages again."},
    ),
    ("--shm-size", {"metavar": "SIZE", "default": "", "help": "How big /dev/shm is in a RUN."}),
    (
        "--ulimit",
        {"metavar": "NAME=SOFT[:HARD]", "multiple": True, "help": "A limit that a RUN has."},
    ),
    *(
        (name, {"metavar": metavar, "default": "", "help": text})
        for name, metavar, text in (
            ("--memory-swap", "SIZE", "Memory and swap together that a RUN may use; -1 for all."),
            ("--cpu-period", "MICROSECONDS", "The time that --cpu-quota is of."),
            ("--cpu-quota", "MICROSECONDS", "How much of each period a RUN may compute."),
            ("--cpu-shares", "WEIGHT", "A RUN's share of busy processors; 1024 is the usual."),
            ("--cpuset-cpus", "LIST", "The processors that a RUN may use, such as 0-2,4."),
            ("--cpuset-mems", "LIST", "The memory nodes that a RUN may use."),
            ("--cgroup-parent", "GROUP", "The control group below which those of RUNs are made."),
        )
    ),
    (
        "--timestamps",
        {
            "type": click.Choice(["epoch", "keep"]),
            "default": "epoch",
            "help": "Give files in layers one time for all, or keep those that they have.",
        },
    ),
    ("--check", {"is_flag": True, "help": "Check the Dockerfile instead of building it."}),
    (
        "--call",
        {
            "metavar": "CALL[,format=json][,ignorestatus=true]",
            "default": "build",
            "help": "Check it, or list its arguments (outline) or stages (targets).",
        },
    ),
)

_MEANING = ("--target", "--build-arg", "--build-context", "--pull")
_INSTEAD = ("--check", "--call")

_ATTESTATIONS = ("--provenance", "--sbom")
"""Only to be turned off, as scripts do; they are not supported yet."""

_ANYWAY = ("--load", "--rm", "--force-rm")
"""What docker has to be told: the store has the image anyway, and nothing else is left of a build."""


def options(function: F) -> F:
    """They arrive as keywords; :func:`request_of` reads them."""
    for name, extra in reversed(_OPTIONS):
        function = click.option(name, **extra)(function)
    for name in _ATTESTATIONS:
        function = click.option(name, hidden=True, expose_value=False, callback=_off)(function)
    for name in _ANYWAY:
        function = click.option(name, is_flag=True, hidden=True, expose_value=False)(function)
    return function


def meaning_options(function: F) -> F:
    """Those that say what a Dockerfile means, whatever is done with it; :func:`request_for` reads them."""
    for name, extra in reversed(_OPTIONS):
        if name in _MEANING:
            function = click.option(name, **extra)(function)
    return function


def asking_options(function: F) -> F:
    """For commands that only look: all that ``build`` takes, so that its words can be repeated; most are hidden."""
    for name, extra in reversed(_OPTIONS):
        if name not in _INSTEAD:
            function = click.option(name, hidden=name not in _MEANING, **extra)(function)
    return function


def naming_options(function: F) -> F:
    """The same for commands whose words are names: the context is an option, too."""
    return click.option(
        "--context",
        metavar="CONTEXT",
        help="Look at the Dockerfile of this context instead of a Buildfile.",
    )(asking_options(function))


def request_for(file: str, context: str, given: Mapping[str, Any]) -> "DockerRequest":
    """``given`` may lack options, which are then as if not written."""
    return _request(file, context, {**_unwritten(), **given})


def _unwritten() -> dict[str, Any]:
    return {
        _key(name): extra.get("default", () if extra.get("multiple") else None)
        for name, extra in _OPTIONS
    }


def _off(_context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value not in (None, "false", "0"):
        raise UsageError(
            "unsupported",
            f"{option.opts[0]}={value}: attestations are not supported yet",
            hint=f"write {option.opts[0]}=false, or leave it out",
        )


def request_of(
    session: Session, words: Sequence[str], given: Mapping[str, Any]
) -> "DockerRequest | None":
    """None where a Buildfile is meant; docker's options are refused then."""
    return _request_at(session, _context(session, words), given)


def request_about(session: Session, given: Mapping[str, Any]) -> "DockerRequest | None":
    """The same where words are names. A Buildfile above is meant rather than a Dockerfile that nobody named."""
    context = given["context"]
    if context is None:
        beside = not session.named and _beside_buildfile(session.directory)
        return _request_at(session, None if beside else _context(session, ()), given)
    if session.named and not names_dockerfile(session.named):
        raise UsageError(
            "docker-option",
            f"--context is for Dockerfiles, and {session.named!r} is a Buildfile",
            hint="leave one of them out",
        )
    return request_for(session.named, context, given)


def _beside_buildfile(folder: Path) -> bool:
    from buildgraph.spec.locate import candidates

    return any(map(os.path.exists, candidates(folder)))


def _request_at(
    session: Session, context: str | None, given: Mapping[str, Any]
) -> "DockerRequest | None":
    if context is not None:
        return request_for(session.named, context, given)
    for name, extra in _OPTIONS:
        if given.get(_key(name)) not in (extra.get("default"), (), False, None):
            raise UsageError(
                "docker-option",
                f"{name} is for Dockerfiles, and there is none to build here",
                hint="name it with -f, or name the folder that it is in; in a Buildfile, --set sets a variable",
            )
    return None


def _context(session: Session, words: Sequence[str]) -> str | None:
    """The context's path, address or ``-``, where a Dockerfile is meant."""
    context = words[0] if words else "."
    if names_dockerfile(session.named):
        if len(words) > 1:
            raise _several_contexts(words)
        return context
    if session.named or os.path.exists("Buildfile.toml"):
        return None
    if len(words) < 2 and (context == "-" or context.startswith(_REMOTE) or _has_one(context)):
        return context
    if words and os.path.isdir(context) and not _beside_buildfile(session.directory):
        if len(words) > 1:
            raise _several_contexts(words)
        raise UsageError(
            "no-dockerfile",
            f"there is no Dockerfile in {context!r}, and no Buildfile.toml here or above",
            hint="name the Dockerfile with -f FILE, or make a Buildfile with: buildgraph init",
        )
    return None


def _has_one(folder: str) -> bool:
    return any(os.path.isfile(os.path.join(folder, name)) for name in NAMES)


def _several_contexts(words: Sequence[str]) -> UsageError:
    return UsageError(
        "several-contexts",
        f"a Dockerfile has one context, and there are {len(words)}",
        hint="write it as buildgraph build -f Dockerfile CONTEXT; --target names a stage",
    )


def _request(file: str, context: str, given: Mapping[str, Any]) -> "DockerRequest":
    from buildgraph.build.request import DockerRequest

    if context == file == "-":
        raise UsageError(
            "stdin-twice",
            "the Dockerfile and its context cannot both be standard input",
            hint="a context on standard input can hold its Dockerfile",
        )
    told = [one for each in given["annotation"] for one in annotations(each)]
    return DockerRequest(
        context=context,
        file=file,
        target=given["target"] or "",
        args=dict(arguments(given["build_arg"])),
        inherited=tuple(name for name in given["build_arg"] if "=" not in name),
        contexts=dict(parse_pair("--build-context", each) for each in given["build_context"]),
        labels=dict(label(each) for each in given["label"]),
        annotations={a.name: a.value for a in told if for_all(a)},
        placed=tuple(a for a in told if not for_all(a)),
        network=given["network"],
        hosts=dict(host(each) for each in given["add_host"]),
        allow=frozenset(given["allow"]),
        pull=bool(given["pull"]),
        no_cache_filter=tuple(s for each in given["no_cache_filter"] for s in each.split(",")),
        shm_size=size(given["shm_size"]),
        keep_times=given["timestamps"] == "keep",
        ulimits=dict(limit(each) for each in given["ulimit"]),
        limits=limits(given),
        stdin=sys.stdin.buffer if "-" in (context, file) else None,
    )


class Asked(NamedTuple):
    """What is asked instead of a build. ``passing``: the exit code says nothing of what is found."""

    call: "Call"
    as_json: bool = False
    passing: bool = False


def call_of(given: Mapping[str, Any]) -> Asked | None:
    """None for a build. Words may come in any order; ``lint`` is an older name of ``check``."""
    words = str(given["call"]).split(",")
    fields = dict(word.split("=", 1) for word in words if "=" in word)
    names = [word for word in words if "=" not in word]
    name = "check" if given["check"] or names == ["lint"] else "".join(names)
    form, status = fields.pop("format", "text"), fields.pop("ignorestatus", "false").lower()
    if fields or name not in CALLS or form not in ("json", "text") or status not in _BOOLEANS:
        raise UsageError(
            "bad-option-value",
            f"--call {given['call']!r} is not understood",
            hint=f"write one of {', '.join(CALLS)}, and behind it ,format=json for JSON, "
            ",ignorestatus=true for exit code 0 whatever is found",
        )
    return None if name == "build" else Asked(cast("Call", name), form == "json", _BOOLEANS[status])


def answer(session: Session, request: "Request", asked: Asked) -> None:
    """Print it; exit code 1 where ``--check`` found something."""
    assert request.docker is not None
    found = engine.call(request, request.docker, asked.call, as_json=asked.as_json)
    click.echo(found.text, nl=False)
    if found.error is not None:
        session.fail(found.error)
    if not asked.passing and (found.error or found.warnings):
        raise click.exceptions.Exit(found.error.exit_code if found.error else 1)


def _key(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")

"""``build``: make targets, show how it goes."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from buildgraph.cli import (
    docker,
    dockervalues,
    engine,
    options,
    optionvalues,
    remembering,
    remotecache,
)
from buildgraph.cli.command import Bare, command
from buildgraph.cli.quantity import parse_size
from buildgraph.cli.session import Session, stdout
from buildgraph.errors import ErrorGroup, UsageError
from buildgraph.values import replace

if TYPE_CHECKING:
    from buildgraph.build.request import Request, Summary


@command(
    "build",
    examples=(
        ("buildgraph build", "the default targets; only what changed runs"),
        ("buildgraph build api web -j 8", "two images, eight steps at once"),
        ("buildgraph build api -o type=docker,dest=api.tar", "an archive for docker load"),
        ("buildgraph build deps -o type=local,dest=out", "the files that a step made"),
        ("buildgraph build --rebuild 'deps*'", "run some steps again"),
        ("buildgraph build --push", "then send the images to where their tags say"),
        (
            "buildgraph build --cache file:///mnt/cache",
            "share what steps yield with other machines",
        ),
        ("buildgraph build --require-cached", "fail instead of running a step"),
        ("buildgraph build -f Dockerfile -t app .", "a Dockerfile, as it is"),
    ),
)
@options.targets
@options.model
@click.option(
    "-j", "--jobs", type=click.IntRange(1), metavar="N", help="Run so many steps at once."
)
@click.option(
    "--memory",
    metavar="SIZE",
    help="Memory that all running steps may use together; of a Dockerfile, that a RUN may use.",
)
@click.option(
    "-k", "--keep-going", is_flag=True, help="After a failure build what does not need it."
)
@options.forcing
@click.option("-t", "--tag", "tags", metavar="REF", multiple=True, help="Name the image so, too.")
@click.option(
    "-o",
    "--output",
    "outputs",
    metavar="type=T,dest=D",
    multiple=True,
    help="Where the result goes: oci (a layout folder), oci-archive, docker (for docker load), "
    "tar or local (the root filesystem), store. With several targets dest holds {name}.",
)
@click.option(
    "--secret",
    "secrets",
    metavar="id=ID[,src=FILE|env=VAR]",
    multiple=True,
    help="Give a secret of the Buildfile its value.",
)
@click.option(
    "--ssh",
    "agents",
    metavar="ID[=SOCKET]",
    multiple=True,
    help="Let commands that mount it ask an ssh agent: the one of SSH_AUTH_SOCK, or that of SOCKET.",
)
@click.option(
    "--push",
    cls=Bare,
    bare="all",
    type=click.Choice(["all", "each"]),
    help="Push the images when all are built: all tags move, or none. --push=each: what was built, one by one.",
)
@click.option("--metadata-file", metavar="FILE", help="Write what was built as JSON.")
@click.option("--iidfile", metavar="FILE", help="Write the image's config digest.")
@click.option(
    "-q", "--quiet", is_flag=True, help="Print only what --iidfile would hold, on standard output."
)
@click.option(
    "--shell-on-failure", is_flag=True, help="Open a shell where a step failed; needs a terminal."
)
@remotecache.options
@docker.options
@options.later
def build(
    session: Session,
    /,
    *,
    targets: tuple[str, ...],
    sets: tuple[str, ...],
    platform: str | None,
    jobs: int | None,
    memory: str | None,
    keep_going: bool,
    no_cache: bool,
    rebuild: tuple[str, ...],
    no_checks: bool,
    frozen: bool,
    require_cached: bool,
    tags: tuple[str, ...],
    outputs: tuple[str, ...],
    secrets: tuple[str, ...],
    agents: tuple[str, ...],
    metadata_file: str | None,
    iidfile: str | None,
    quiet: bool,
    shell_on_failure: bool,
    push: Literal["all", "each"] | None,
    **given: Any,
) -> None:
    """Build targets: images, steps or groups. Without a name, the workspace's default ones.

    A name may be a glob. Only what changed since an earlier build runs again.

    Where -f names a Dockerfile, or the folder has one and no Buildfile, that is built as docker would do it: then
    TARGET is the context, a folder or "-".
    """
    caches = remotecache.caches_of(given, os.fspath(session.directory))
    asked = docker.request_of(session, targets, {**given, "memory": memory})
    if asked is not None:
        targets, memory = (), None
        outputs, named, pushed = dockervalues.exported(outputs)
        tags, push = (*tags, *named), push or ("all" if pushed else None)
    if asked is not None and asked.keep_times:
        optionvalues.refuse_rewriting(outputs)
    written = tuple(optionvalues.output(text, docker=asked is not None) for text in outputs)
    if quiet:
        session = replace(session, progress="quiet", plan_file=None)
    if shell_on_failure:
        session = _with_terminal(session)
    request = optionvalues.request(
        session,
        targets,
        sets,
        platform=platform,
        jobs=jobs,
        memory=parse_size(memory) if memory else None,
        keep_going=keep_going,
        no_cache=no_cache,
        rebuild=rebuild,
        no_checks=no_checks,
        frozen=frozen,
        require_cached=require_cached,
        tags=tags,
        outputs=written,
        secrets=tuple(optionvalues.secret(text) for text in secrets),
        ssh=dict(map(optionvalues.ssh, agents)),
        metadata_file=_path(metadata_file),
        iidfile=_path(iidfile),
        shell_on_failure=shell_on_failure,
        push=push or "",
        docker=asked,
        stdout=stdout() if any(output.dest == "-" for output in written) else None,
        caches=caches,
    )
    instead = docker.call_of(given)
    if instead is not None:
        docker.answer(session, request, instead)
    else:
        summary = _carry_out(session, request)
        if quiet and summary.images:
            from buildgraph.build.publish import iids

            click.echo(iids(summary.images))


def _carry_out(session: Session, request: "Request") -> "Summary":
    with session.watch() as watcher:
        remembering.mend(session, watcher)
        summary = engine.build(request, watcher)
    if summary.failures:
        session.fail(ErrorGroup(summary.failures))
    if summary.ok:
        remembering.remember(session, request, summary, watcher)
    else:
        codes = [failure.exit_code for failure in summary.failures]
        raise click.exceptions.Exit(codes[0] if codes else 1)
    return summary


def _with_terminal(session: Session) -> Session:
    """Progress must leave the terminal alone while a person types."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "no-terminal",
            "--shell-on-failure needs a terminal, and standard input or error is none",
            hint="run it by hand, without a pipe",
        )
    return replace(session, progress="plain")


def _path(text: str | None) -> Path | None:
    return Path(os.path.abspath(text)) if text else None

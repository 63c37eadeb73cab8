"""``plan`` and ``why``: what would run, and what made a step run."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from buildgraph.cli import complete, docker, engine, options, optionvalues, out, remotecache
from buildgraph.cli.command import command
from buildgraph.cli.session import Session
from buildgraph.errors import DifferenceError
from buildgraph.events import Event, Observer, Warned

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@command(
    "plan",
    examples=(
        ("buildgraph plan", "what a build would run, and why"),
        ("buildgraph plan api --json", "the same for a program"),
        ("buildgraph plan -f Dockerfile .", "of a Dockerfile"),
    ),
)
@options.targets
@options.model
@options.forcing
@remotecache.reading_options
@docker.asking_options
@as_json
def plan(
    session: Session,
    /,
    *,
    targets: tuple[str, ...],
    sets: tuple[str, ...],
    platform: str | None,
    no_cache: bool,
    rebuild: tuple[str, ...],
    no_checks: bool,
    frozen: bool,
    require_cached: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """What a build would run, and why. Runs and writes nothing.

    A step that waits may still be reused: that shows when its inputs are done. A Dockerfile is named as for build.
    """
    caches = remotecache.caches_of(given, os.fspath(session.directory))
    asked = docker.request_of(session, targets, given)
    request = optionvalues.request(
        session,
        () if asked else targets,
        sets,
        platform=platform,
        no_cache=no_cache,
        rebuild=rebuild,
        no_checks=no_checks,
        frozen=frozen,
        require_cached=require_cached,
        docker=asked,
        caches=caches,
    )
    with watched(session) as observer:
        document = engine.plan(request, observer)
    if as_json:
        out.document(document)
    else:
        for line in plan_lines(document["steps"], verbose=session.verbose):
            out.line(line)
    if require_cached:
        _refuse_work(document["steps"])


@contextmanager
def watched(session: Session) -> Iterator[Observer]:
    """What takes time is shown; of warnings only what concerns remote caches: a build tells all the rest."""
    with session.watch() as watcher:

        def tell(event: Event) -> None:
            if not isinstance(event, Warned):
                watcher(event)
            elif event.code.startswith("cache-"):
                session.note(f"warning: {event.message}")

        yield tell


def _refuse_work(steps: Sequence[Mapping[str, str]]) -> None:
    due = [f"{step['id']}: {step['reason']}" for step in steps if step["decision"] == "execute"]
    if due:
        raise DifferenceError(
            "not-cached",
            f"{len(due)} of {len(steps)} steps would run",
            detail=due,
            hint="build without --require-cached",
        )


def plan_lines(steps: Sequence[Mapping[str, str]], *, verbose: bool) -> list[str]:
    """Steps that would run or wait, one a line, and how many are reused; all of them when ``verbose``."""
    shown = [step for step in steps if verbose or step["decision"] != "reuse"]
    width = max((len(step["id"]) for step in shown), default=0)
    lines = [f"{s['decision']:<7}  {s['id'].ljust(width)}  {_reason(s)}".rstrip() for s in shown]
    number = {
        decision: sum(step["decision"] == decision for step in steps)
        for decision in ("execute", "wait", "reuse")
    }
    waiting = f"{number['wait']} waiting on them, " if number["wait"] else ""
    lines.append(f"{number['execute']} to run, {waiting}{number['reuse']} reused")
    return lines


def _reason(step: Mapping[str, str]) -> str:
    return ": ".join(filter(None, (step.get("title"), step["reason"])))


@command(
    "why",
    examples=(
        ("buildgraph why api", "what was different when it last ran"),
        ("buildgraph why deps --against 9cf1e991", "what differs from an earlier record"),
        ("buildgraph why deps --json", "the same for a program"),
        ("buildgraph why 'app/build/3-run' -f Dockerfile", "a step that plan or ls names"),
    ),
)
@click.argument("name", metavar="TARGET|STEP", shell_complete=complete.targets)
@options.model
@remotecache.reading_options
@docker.naming_options
@click.option(
    "--against",
    metavar="RECORD",
    help="Compare with this record: one that why or cache ls shows, or its start.",
)
@as_json
def why(
    session: Session,
    /,
    *,
    name: str,
    sets: tuple[str, ...],
    platform: str | None,
    against: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Explain the last decision about a target or step: which part of its key differs, down to the file."""
    caches = remotecache.caches_of(given, os.fspath(session.directory))
    asked = docker.request_about(session, given)
    request = optionvalues.request(
        session, (), sets, platform=platform, docker=asked, caches=caches
    )
    with watched(session) as observer:
        document = engine.why(request, name, against, observer)
    if as_json:
        out.document(document)
        return
    for line in document["text"]:
        out.line(line)

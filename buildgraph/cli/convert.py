"""``convert``: a Dockerfile becomes a Buildfile that one can go on with."""

import os
from pathlib import Path
from typing import Any

import click

from buildgraph.cli import docker, engine, optionvalues
from buildgraph.cli.command import command
from buildgraph.cli.session import Session
from buildgraph.errors import UsageError
from buildgraph.store.atomic import write_synced


@command(
    "convert",
    examples=(
        ("buildgraph convert Dockerfile", "write Buildfile.toml beside it"),
        (
            "buildgraph convert --target build --build-arg V=2",
            "of one stage, with a value for an ARG",
        ),
        ("buildgraph convert services/api/Dockerfile . -o -", "with another context; only show it"),
    ),
)
@click.argument("words", nargs=-1, metavar="[DOCKERFILE] [CONTEXT]")
@click.option("--platform", metavar="P", help="As it is for this platform, such as linux/arm64.")
@click.option(
    "-o", "--output", metavar="FILE", help="Write it there instead; - is standard output."
)
@docker.meaning_options
def convert(
    session: Session,
    /,
    words: tuple[str, ...],
    *,
    platform: str | None,
    output: str | None,
    **given: Any,
) -> None:
    """Write a Dockerfile as a Buildfile. Its images have the same layers' trees.

    The context is the Dockerfile's folder, unless another is named. What a Buildfile cannot say is an error at its
    line, or a comment where it hardly matters. Never replaces a Buildfile.
    """
    file, context = _places(session.named, words)
    asked = docker.request_for(file, context, given)
    request = optionvalues.request(session, platform=platform, docker=asked)
    named = None if output in (None, "-") else Path(os.path.abspath(str(output)))
    made = engine.rewrite(request, asked, named)
    if output == "-":
        click.echo(made.text, nl=False)
        return
    _write(made.file, made.text)
    session.note(f"wrote {made.file}; build it with: buildgraph build")


def _places(named: str, words: tuple[str, ...]) -> tuple[str, str]:
    """Dockerfile (empty: the context's) and context."""
    if named:
        words = (named, *words)
    if len(words) > 2:
        raise UsageError(
            "several-contexts",
            f"one Dockerfile is converted, and {' '.join(words)} names more",
            hint="write it as buildgraph convert DOCKERFILE CONTEXT",
        )
    if len(words) == 2:
        return words[0], words[1]
    word = words[0] if words else "."
    if word == "-":
        return "-", "."
    return ("", word) if os.path.isdir(word) else (word, os.path.dirname(word) or ".")


def _write(path: Path, text: str) -> None:
    """At once or not at all; an empty file is taken for none."""
    if path.exists() and path.stat().st_size:
        raise UsageError(
            "buildfile-exists",
            f"{path} is there already",
            hint="write it elsewhere with --output FILE, or show it with --output -",
        )
    if path.exists() and not path.is_file():  # a pipe or device is written to, never replaced
        path.write_text(text, encoding="utf-8")
        return
    temp = path.with_name(f".{path.name}-{os.getpid()}")
    write_synced(temp, text.encode("utf-8"), 0o644)
    os.replace(temp, path)

"""``init``, ``check``, ``lock``, ``doctor`` and ``completion``: getting and keeping a workspace in order."""

from pathlib import Path
from typing import Any

import click

from buildgraph.cli import complete, docker, engine, options, optionvalues, out
from buildgraph.cli.command import command
from buildgraph.cli.plan import as_json
from buildgraph.cli.session import Session
from buildgraph.errors import UsageError

FIRST_BUILDFILE = """\
buildfile = 1

[workspace]
name = "{name}"
default = ["app"]

# A small Debian root; its versions are pinned in Buildfile.lock.
[step.os]
packages = {{ packages = ["ca-certificates"] }}

# Runs in what stands below it; what it changes becomes a layer.
[step.hello]
on = ["os"]
run = "mkdir -p /app && echo 'hello from {name}' > /app/hello.txt"

# Files of this folder, on top; nothing below can make this layer stale.
[step.src]
copy = [{{ from = ".", exclude = ["Buildfile.*"], to = "/app/src/" }}]

[image.app]
on = ["os", "hello", "src"]
workdir = "/app"
cmd = ["cat", "/app/hello.txt"]
tags = ["{name}/app:latest"]
"""


@command(
    "init",
    examples=(
        ("buildgraph init", "write Buildfile.toml into this folder"),
        ("buildgraph -C shop init", "into another one"),
    ),
)
def init(session: Session) -> None:
    """Write a first Buildfile.toml. Never replaces one."""
    path = session.file or session.directory / "Buildfile.toml"
    text = FIRST_BUILDFILE.format(name=_name(session.directory))
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise UsageError(
            "buildfile-exists",
            f"{path} is there already",
            hint="buildgraph check tells whether it is right",
        ) from error
    session.note(f"wrote {path}; build it with: buildgraph build")


def _name(directory: Path) -> str:
    """The folder's name as far as it can stand in an image reference."""
    letters = [c if c.isascii() and c.isalnum() else "-" for c in directory.name.lower()]
    parts = [part for part in "".join(letters).split("-") if part]
    return "-".join(parts) or "workspace"


@command(
    "check",
    examples=(
        ("buildgraph check", "is the Buildfile right?"),
        ("buildgraph -f other.toml check", "is another one?"),
        ("buildgraph check -f Dockerfile", "a Dockerfile, as build --check does"),
    ),
)
@options.model
@docker.naming_options
def check(
    session: Session, /, *, sets: tuple[str, ...], platform: str | None, **given: Any
) -> None:
    """Check the Buildfile: every mistake is reported, nothing is built. Exit code 2 if there are any."""
    asked = docker.request_about(session, given)
    if asked is not None:
        request = optionvalues.request(session, platform=platform, docker=asked)
        docker.answer(session, request, docker.Asked("check"))
        return
    for warning in engine.check(optionvalues.request(session, (), sets, platform=platform)):
        session.note(f"warning: {warning}")
    session.note("the Buildfile is right")


@command(
    "lock",
    examples=(
        ("buildgraph lock", "pin what is not pinned yet"),
        ("buildgraph lock --update os", "move the pins of one step"),
        ("buildgraph lock --update", "move all pins"),
    ),
)
@click.option("--update", is_flag=True, help="Move the pins of NAME, or all of them.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete.targets)
@options.model
def lock(
    session: Session,
    *,
    update: bool,
    names: tuple[str, ...],
    sets: tuple[str, ...],
    platform: str | None,
) -> None:
    """Write Buildfile.lock: the exact versions that builds use."""
    if names and not update:
        raise UsageError(
            "usage",
            "names stand after --update",
            hint=f"buildgraph lock --update {' '.join(names)}",
        )
    request = optionvalues.request(session, (), sets, platform=platform)
    with session.watch() as watcher:
        told = engine.lock(request, names if update and names else None, watcher, update=update)
    for line in told:
        session.note(line)


@command(
    "doctor",
    examples=(("buildgraph doctor", "what this machine can do, each by trying it"),),
)
@as_json
def doctor(session: Session, *, as_json: bool) -> None:
    """Try what builds need of this machine, and say how to get what it lacks. Exit code 3 if it lacks something."""
    findings = engine.doctor(session.home)
    if as_json:
        rows = [
            {
                "capability": each.capability,
                "ok": each.ok,
                "required": each.required,
                "detail": each.detail,
                "fix": each.fix,
            }
            for each in findings
        ]
        out.document({"schema": 1, "findings": rows})
    else:
        for each in findings:
            mark = "ok" if each.ok else "LACKS" if each.required else "lacks"
            out.line(f"{mark:<5}  {each.capability}: {each.detail}")
            if each.fix and not each.ok:
                out.line(f"       help: {each.fix}")
    if any(each.required and not each.ok for each in findings):
        raise click.exceptions.Exit(3)


@command(
    "completion",
    examples=(
        ('eval "$(buildgraph completion bash)"', "in ~/.bashrc"),
        ('eval "$(buildgraph completion zsh)"', "in ~/.zshrc"),
        ("buildgraph completion fish | source", "in ~/.config/fish/config.fish"),
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(_session: Session, shell: str) -> None:
    """Print the script that makes a shell complete commands, options and target names."""
    from click.shell_completion import get_completion_class

    from buildgraph.cli.parsed import program
    from buildgraph.cli.straight import COMPLETE

    make = get_completion_class(shell)
    assert make is not None
    script = make(program(), {}, "buildgraph", COMPLETE)
    text = script.source()
    out.line(text.replace('split ","', 'split -m 1 ","'))  # fish: a description may hold commas

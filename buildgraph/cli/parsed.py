"""The command line as click knows it: from arguments to a command, its help, and what shells complete."""

import os

import click

from buildgraph.cli import catalog, misuse
from buildgraph.cli.command import Group
from buildgraph.cli.session import Settings
from buildgraph.cli.straight import COMPLETE

EXAMPLES = (
    ("buildgraph init", "write a first Buildfile.toml"),
    ("buildgraph build", "build what changed"),
    ("buildgraph build api -o type=docker,dest=api.tar", "one image, for docker load"),
    ("buildgraph plan", "what would run, and why"),
    ("buildgraph why api", "why it ran the last time"),
)


def program() -> Group:
    """The whole command line; its commands are loaded when asked for."""
    places = {name: place for panel in catalog.PANELS for name, place in panel.commands.items()}
    return Group(
        name="buildgraph",
        help="Builds many related OCI images of a workspace, and only what changed.",
        examples=EXAMPLES,
        places=places,
        later=catalog.LATER,
        headings={panel.title: tuple(panel.commands) for panel in catalog.PANELS},
    )


def invoke(arguments: list[str], settings: Settings) -> int:
    """Raises what the command raises, and UsageError for what is no command."""
    whole = program()
    try:
        if asked := os.environ.get(COMPLETE):
            return _complete(whole, settings, asked)
        with whole.make_context("buildgraph", list(arguments), obj=settings) as context:
            whole.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as problem:
        raise misuse.explain(problem) from problem
    return 0


def _complete(whole: Group, settings: Settings, asked: str) -> int:
    from click.shell_completion import shell_complete

    return shell_complete(whole, {"obj": settings}, "buildgraph", COMPLETE, asked)

"""The options that stand before or after any command, as click reads them."""

from collections.abc import Callable
from typing import Any, get_args

import click

from buildgraph.cli.session import Color, Progress, Session, Settings

PANEL = "Everywhere"
"""The heading of the options that every command has."""


def _keep(field: str) -> Callable[[click.Context, click.Parameter, object], None]:
    def callback(context: click.Context, _parameter: click.Parameter, value: object) -> None:
        settings = context.find_root().obj
        if isinstance(settings, Settings) and value:
            setattr(settings, field, value)

    return callback


def _version(context: click.Context, _parameter: click.Parameter, value: object) -> None:
    if value and not context.resilient_parsing:
        from buildgraph import __version__

        click.echo(f"buildgraph {__version__}")
        context.exit()


class Everywhere(click.Option):
    panel = PANEL


def options() -> list[click.Parameter]:
    """The options that every command has; new ones each time, because click binds them to their command."""

    def option(*names: str, field: str, **extra: Any) -> click.Option:
        return Everywhere(names, expose_value=False, callback=_keep(field), **extra)

    return [
        option("-C", field="directory", metavar="DIR", help="Work in this folder."),
        option(
            "-f", "--file", field="file", metavar="FILE", help="Use this Buildfile or Dockerfile."
        ),
        option(
            "--home",
            field="home",
            metavar="DIR",
            help="Where the store is (environment variable BUILDGRAPH_HOME).",
        ),
        option(
            "--progress",
            field="progress",
            type=click.Choice(get_args(Progress)),
            help="How progress is shown on standard error.",
        ),
        option(
            "--color",
            field="color",
            type=click.Choice(get_args(Color)),
            help="Colours on standard error (NO_COLOR turns them off).",
        ),
        option("-v", "--verbose", field="verbose", is_flag=True, help="Say more."),
        Everywhere(
            ("--version",),
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_version,
            help="Print the version.",
        ),
    ]


def current(context: click.Context) -> Session:
    """The session of a running command."""
    settings = context.find_root().obj
    if not isinstance(settings, Settings):
        message = "a command runs below buildgraph.cli.app only"
        raise TypeError(message)
    return settings.session()

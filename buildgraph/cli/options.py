"""The options of commands that look at a Buildfile."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from buildgraph.cli import catalog, complete
from buildgraph.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def targets(function: F) -> F:
    return click.argument(
        "targets", nargs=-1, metavar="[TARGET]...", shell_complete=complete.contexts
    )(function)


def model(function: F) -> F:
    """Options that change what a Buildfile means."""
    function = click.option(
        "--platform",
        metavar="P[,P]...",
        multiple=True,
        callback=_joined,
        help="Build for this platform, such as linux/arm64; for several it gives one index.",
    )(function)
    return click.option(
        "--set",
        "sets",
        metavar="NAME=VALUE",
        multiple=True,
        help="Give a variable of the Buildfile a value.",
    )(function)


def _joined(_context: click.Context, _option: click.Parameter, given: Sequence[str]) -> str | None:
    """Written once with commas or several times, it is one list."""
    return ",".join(given) or None


def forcing(function: F) -> F:
    """Options that change what a plan decides."""
    for names, extra in reversed(_FORCING):
        function = click.option(*names, **extra)(function)
    return function


_FORCING: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--no-cache",), {"is_flag": True, "help": "Run every step again."}),
    (
        ("--rebuild",),
        {
            "metavar": "PATTERN",
            "multiple": True,
            "help": "Run the steps again whose names match.",
            "shell_complete": complete.targets,
        },
    ),
    (("--no-checks",), {"is_flag": True, "help": "Leave out the images' checks."}),
    (("--frozen",), {"is_flag": True, "help": "Refuse what Buildfile.lock lacks; exit 5."}),
    (
        ("--require-cached",),
        {"is_flag": True, "help": "Fail with exit 5 where a step would have to run."},
    ),
)


def later(function: F) -> F:
    """Options of ``build`` that the manual names and that are not supported yet."""
    for name, takes_value in catalog.LATER_OPTIONS.items():
        function = refused(name, takes_value=takes_value)(function)
    return function


def refused(name: str, *, takes_value: bool) -> Callable[[F], F]:
    """An option that is hidden, and refused when used."""
    shape: dict[str, Any] = {"multiple": True} if takes_value else {"is_flag": True}
    return click.option(name, hidden=True, expose_value=False, callback=_refuse, **shape)


def _refuse(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value and not context.resilient_parsing:
        raise UsageError(
            "unsupported",
            f"{parameter.opts[0]} is not supported yet",
            hint=f"{context.command_path} -h lists the options that there are",
        )

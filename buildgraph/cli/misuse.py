"""What the parser of the command line refuses, as an error that a person can read."""

import click

from buildgraph.cli.catalog import LATER_OPTIONS
from buildgraph.errors import UsageError


def explain(problem: click.ClickException) -> UsageError:
    if isinstance(problem, click.UsageError):
        return _usage(problem)
    return UsageError("usage", _sentence(problem.format_message()))


def _usage(problem: click.UsageError) -> UsageError:
    hint = "buildgraph -h lists the commands"
    context = problem.ctx or click.get_current_context(silent=True)
    if context is not None:
        hint = f"{context.command_path} -h shows how it is used"
    match problem:
        case click.NoSuchOption():
            message = f"there is no option {problem.option_name}"
            shown = [name for name in problem.possibilities or () if name not in LATER_OPTIONS]
            near = f"did you mean {' or '.join(shown)}?" if shown else hint
            return UsageError("unknown-option", message, hint=near)
        case _:
            return UsageError("usage", _sentence(problem.format_message()), hint=hint)


def _sentence(message: str) -> str:
    """click's messages in the form of ours: one line, no capital, no full stop."""
    text = " ".join(message.split()).rstrip(".,")
    return text[:1].lower() + text[1:]

"""What the shell can complete: names of targets and of images. Silence where anything is wrong."""

import contextlib
from typing import TYPE_CHECKING

import click

from buildgraph.cli import engine
from buildgraph.cli.everywhere import current

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def contexts(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Targets, or where there are none the folders that a Dockerfile may take."""
    from click.shell_completion import CompletionItem

    names = targets(context, parameter, incomplete)
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="dir")]


def targets(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Targets of the Buildfile that the words so far speak of."""
    with contextlib.suppress(Exception):  # a broken Buildfile must not break the prompt
        from buildgraph.cli.optionvalues import request

        names = [target.name for target in engine.list_targets(request(current(context)))]
        return [name for name in names if name.startswith(incomplete)]
    return []


def images(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    with contextlib.suppress(Exception):
        names = [image.tag for image in engine.list_images(current(context).home)]
        return [name for name in names if name.startswith(incomplete)]
    return []

"""What does a command's help look like? Examples first, then usage, text, and panels of commands and options.

rich_click draws it, and is loaded when a page is asked for: commands themselves are click's.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from rich.padding import Padding
from rich.table import Table
from rich_click import RichCommandPanel, RichHelpConfiguration, RichHelpFormatter, RichOptionPanel
from rich_click.rich_help_rendering import get_rich_help_text
from rich_click.rich_panel import construct_panels

from buildgraph.cli import everywhere

if TYPE_CHECKING:
    import click
    from rich_click import RichCommand, RichContext

_LOOK: Mapping[str, Any] = {
    "theme": "default-nu",
    "enable_theme_env_var": False,
    "max_width": 100,
    "text_markup": None,
}

_AROUND = 3 + 2 + 1
"""Columns left of, between and right of an example and its meaning."""

_LEAST = 24
"""With fewer columns than these beside the longest example, meanings stand below: lines are copied whole."""


def page(
    command: "click.Command", examples: Sequence[tuple[str, str]], context: "click.Context"
) -> str:
    """Styled where standard output is to be; without a line break at its end.

    ``examples``: command lines, each with what it does.
    """
    formatter = RichHelpFormatter(
        width=context.terminal_width,
        max_width=context.max_content_width,
        config=RichHelpConfiguration.load_from_globals(**_LOOK),
    )
    _write_examples(examples, formatter)
    command.format_usage(context, formatter)
    asked = cast("RichCommand", command), cast("RichContext", context)
    get_rich_help_text(*asked, formatter)
    for panel in construct_panels(*asked, formatter):
        drawn = panel.render(*asked, formatter)
        if not isinstance(drawn.renderable, Table) or drawn.renderable.rows:
            formatter.write(drawn)
    return formatter.getvalue().rstrip("\n")


def panels(headings: Mapping[str, Sequence[str]]) -> list[Any]:
    """Of the commands below each heading, then of options."""
    commands = [RichCommandPanel(name, commands=list(them)) for name, them in headings.items()]
    return [*commands, RichOptionPanel("Options"), RichOptionPanel(everywhere.PANEL)]


def _write_examples(examples: Sequence[tuple[str, str]], formatter: RichHelpFormatter) -> None:
    if not examples:
        return
    table = Table.grid(padding=(0, 2))
    longest = max(len(line) for line, _ in examples)
    beside = formatter.console.width - longest - _AROUND
    table.add_column(style="cyan", no_wrap=beside >= _LEAST)
    if beside >= _LEAST:
        table.add_column()
    for line, meaning in examples:
        if beside >= _LEAST:
            table.add_row(line, meaning)
        else:
            table.add_row(line)
            table.add_row(Padding(meaning, (0, 0, 0, 4), style="default"))
    formatter.write(Padding("Examples", (0, 1), style="bold"))
    formatter.write(Padding(table, (0, 1, 1, 3)))

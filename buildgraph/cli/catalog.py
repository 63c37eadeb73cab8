"""Which commands there are: where each one lives, and which ones the manual names but nobody can use yet.

A command's module is imported when the command is run or described, so that one command never pays for another.
"""

from collections.abc import Mapping

from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class Panel:
    """A heading of the overview with its commands, in the order in which they are listed."""

    title: str
    commands: Mapping[str, str]
    """Command name → ``module:attribute`` below ``buildgraph.cli``."""


PANELS = (
    Panel(
        "Build",
        {
            "build": "build:build",
            "plan": "plan:plan",
            "why": "plan:why",
        },
    ),
    Panel(
        "Look around",
        {
            "ls": "graph:ls",
            "graph": "graph:graph",
            "query": "graph:query",
        },
    ),
    Panel(
        "Set up",
        {
            "init": "project:init",
            "check": "project:check",
            "lock": "project:lock",
            "convert": "convert:convert",
            "doctor": "project:doctor",
            "completion": "project:completion",
        },
    ),
    Panel(
        "Images",
        {
            "images": "images:images",
            "inspect": "images:inspect",
            "history": "images:history",
            "tag": "images:tag",
            "rmi": "images:rmi",
            "validate": "images:validate",
            "pull": "moving:pull",
            "push": "moving:push",
            "copy": "moving:copy",
            "rebase": "moving:rebase",
            "save": "moving:save",
            "load": "moving:load",
            "login": "login:login",
            "logout": "login:logout",
        },
    ),
    Panel("Store", {"cache": "cache:cache"}),
)

_LATER = """
affected diff
run create start stop kill restart exec attach logs wait ps rm cp container commit
volume report trace runs
"""
LATER = frozenset(_LATER.split())
"""Named in the manual, not supported yet: they say so and exit 2."""

LATER_OPTIONS: Mapping[str, bool] = {
    "--trace": True,
    "--report": True,
    "--on": True,
    "--watch": False,
}
"""Options of ``build`` that are not supported yet, and whether they take a value."""

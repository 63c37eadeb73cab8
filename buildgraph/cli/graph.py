"""``ls``, ``graph`` and ``query``: what there is, and how it hangs together."""

from typing import TYPE_CHECKING, Any

import click

from buildgraph.cli import complete, docker, drawing, engine, options, optionvalues, out
from buildgraph.cli.command import Group, command
from buildgraph.cli.plan import as_json, watched
from buildgraph.cli.session import Session

if TYPE_CHECKING:
    from buildgraph.build.request import Request


@command(
    "ls",
    examples=(
        ("buildgraph ls", "targets and steps of the workspace"),
        ("buildgraph ls --json", "the same for a program"),
    ),
)
@options.model
@docker.naming_options
@as_json
def ls(session: Session, /, *, as_json: bool, **given: Any) -> None:
    """List bases, steps, images and groups."""
    found = engine.list_targets(_request(session, **given))
    if as_json:
        rows = [
            {"name": each.name, "kind": each.kind, "description": each.description}
            for each in found
        ]
        out.document({"schema": 1, "targets": rows})
        return
    out.table(
        ("name", "kind", "description"),
        [(each.name, each.kind, each.description) for each in found],
    )


@command(
    "graph",
    examples=(
        ("buildgraph graph", "as a tree, with what would happen to each step"),
        ("buildgraph graph --format dot | dot -Tsvg > graph.svg", "as a picture"),
        ("buildgraph graph api --format html > graph.html", "as a page"),
    ),
)
@options.targets
@options.model
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "dot", "mermaid", "json", "html"]),
    default="text",
    show_default=True,
    help="How it is drawn.",
)
@docker.asking_options
def graph(
    session: Session,
    /,
    *,
    targets: tuple[str, ...],
    sets: tuple[str, ...],
    platform: str | None,
    form: drawing.Form,
    **given: Any,
) -> None:
    """Draw the graph of what the targets need, with the state of each step. A Dockerfile is named as for build."""
    asked = docker.request_of(session, targets, given)
    names = () if asked else targets
    request = optionvalues.request(session, names, sets, platform=platform, docker=asked)
    with watched(session) as observer:
        view = engine.graph(request, observer)
    nodes = tuple(drawing.Node(n.id, n.kind, n.state, n.reason) for n in view.nodes)
    click.echo(drawing.draw(nodes, tuple(view.edges), form), nl=False)


query = Group(
    "query",
    help="Ask the graph. No step runs.",
    examples=(
        ("buildgraph query deps api", "what api is made of"),
        ("buildgraph query rdeps tools", "what uses tools"),
        ("buildgraph query path api tools", "how api comes to need tools"),
    ),
)


direct = click.option("--direct", is_flag=True, help="Only one step away.")


@command("deps", examples=(("buildgraph query deps api", "what api is made of"),))
@click.argument("name", shell_complete=complete.targets)
@direct
@options.model
@docker.naming_options
@as_json
def deps(session: Session, /, *, name: str, direct: bool, as_json: bool, **given: Any) -> None:
    """List what NAME needs, in an order in which it can be built."""
    request = _request(session, **given)
    _print("deps", engine.query(request, "deps", (name,), direct=direct), as_json=as_json)


@command("rdeps", examples=(("buildgraph query rdeps tools", "what uses tools"),))
@click.argument("name", shell_complete=complete.targets)
@direct
@options.model
@docker.naming_options
@as_json
def rdeps(session: Session, /, *, name: str, direct: bool, as_json: bool, **given: Any) -> None:
    """List what needs NAME."""
    request = _request(session, **given)
    _print("rdeps", engine.query(request, "rdeps", (name,), direct=direct), as_json=as_json)


@command("path", examples=(("buildgraph query path api tools", "how api comes to need tools"),))
@click.argument("start", shell_complete=complete.targets)
@click.argument("end", shell_complete=complete.targets)
@options.model
@docker.naming_options
@as_json
def path(session: Session, /, *, start: str, end: str, as_json: bool, **given: Any) -> None:
    """The shortest way on which START needs END; nothing, and exit code 1, if it does not."""
    request = _request(session, **given)
    found = engine.query(request, "path", (start, end), direct=False)
    _print("path", found, as_json=as_json)
    if not found:
        raise click.exceptions.Exit(1)


def _request(
    session: Session, *, sets: tuple[str, ...], platform: str | None, **given: Any
) -> "Request":
    asked = docker.request_about(session, given)
    return optionvalues.request(session, (), sets, platform=platform, docker=asked)


def _print(question: str, names: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        out.document({"schema": 1, "query": question, "names": list(names)})
        return
    for name in names:
        out.line(name)


for _each in (deps, rdeps, path):
    query.add_command(_each)

"""A graph on paper: text, Graphviz, Mermaid, JSON, or a page that needs nothing else."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, assert_never

Form = Literal["text", "dot", "mermaid", "json", "html"]
Edge = tuple[str, str]
"""From what is needed to what needs it."""


class Node(NamedTuple):
    """``state`` is a plan's decision (reuse, execute, wait), or empty."""

    id: str
    kind: str
    state: str
    reason: str


_FILLS: Mapping[str, str] = {"reuse": "#dff3e4", "execute": "#ffe3c2", "wait": "#fff6cc"}
_PLAIN = "#eceff4"


def draw(nodes: Sequence[Node], edges: Sequence[Edge], form: Form) -> str:
    """Ends with a newline; what is drawn follows the order of ``nodes``."""
    match form:
        case "text":
            return "".join(f"{line}\n" for line in _text(nodes, edges))
        case "dot":
            return _dot(nodes, edges)
        case "mermaid":
            return _mermaid(nodes, edges)
        case "json":
            return _json(nodes, edges)
        case "html":
            return _html(nodes, edges)
        case _:
            assert_never(form)


def _text(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[str]:
    """What nothing needs stands on the left with its needs below it; a part met again is not repeated."""
    by_id = {node.id: node for node in nodes}
    needs: dict[str, list[str]] = {node.id: [] for node in nodes}
    for source, target in edges:
        needs[target].append(source)
    needed = {source for source, _ in edges}
    lines: list[str] = []
    seen: set[str] = set()
    waiting = [(node.id, "", "") for node in reversed(nodes) if node.id not in needed]
    while waiting:  # a stack of its own, because a chain may be deeper than Python's
        name, twig, stem = waiting.pop()
        node = by_id[name]
        below = needs[name]
        again = name in seen and bool(below)
        state = f"  [{node.state}]" if node.state else ""
        lines.append(f"{twig}{name}  ({node.kind}){state}" + ("  …" if again else ""))
        if name in seen:
            continue
        seen.add(name)
        for at, child in reversed(list(enumerate(below))):
            last = at == len(below) - 1
            branch = stem + ("└─ " if last else "├─ ")
            waiting.append((child, branch, stem + ("   " if last else "│  ")))
    return lines


def _dot(nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    lines = [
        "digraph buildgraph {",
        "  rankdir=BT;",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif"];',
    ]
    for node in nodes:
        fill = _FILLS.get(node.state, _PLAIN)
        label = f"{node.id}\n{node.kind}"
        tip = node.reason or node.state
        lines.append(
            f"  {_quoted(node.id)} [label={_quoted(label)}, fillcolor={_quoted(fill)}, "
            f"tooltip={_quoted(tip)}];"
        )
    lines += [f"  {_quoted(source)} -> {_quoted(target)};" for source, target in edges]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _mermaid(nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    short = {node.id: f"n{at}" for at, node in enumerate(nodes)}
    lines = ["flowchart BT"]
    for node in nodes:
        label = html.escape(node.id) + f"<br/><small>{node.kind}</small>"
        known = f":::{node.state}" if node.state in _FILLS else ""
        lines.append(f'  {short[node.id]}["{label}"]{known}')
    lines += [f"  {short[source]} --> {short[target]}" for source, target in edges]
    lines += [f"  classDef {state} fill:{fill}" for state, fill in _FILLS.items()]
    return "\n".join(lines) + "\n"


def _json(nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    document = {
        "schema": 1,
        "nodes": [node._asdict() for node in nodes],
        "edges": [{"from": source, "to": target} for source, target in edges],
    }
    return json.dumps(document, indent=2) + "\n"


_WIDTH, _HEIGHT, _ROW, _COLUMN = 190, 40, 70, 250

_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>buildgraph</title>
<style>
body {{ font: 14px sans-serif; margin: 1em }}
rect {{ stroke: #667; rx: 6 }}
path {{ fill: none; stroke: #99a }}
small {{ color: #667 }}
</style>
<p>{legend}</p>
<svg width="{width}" height="{height}" xmlns="http://www.w3.org/2000/svg">
{body}
</svg>
"""


def _html(nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    """Columns by depth: what stands on nothing is on the left."""
    place = _places(nodes, edges)
    body = []
    for source, target in edges:
        (x1, y1), (x2, y2) = place[source], place[target]
        x1, y1, y2 = x1 + _WIDTH, y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
        middle = (x1 + x2) // 2
        body.append(f'<path d="M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"/>')
    for node in nodes:
        x, y = place[node.id]
        fill = _FILLS.get(node.state, _PLAIN)
        tip = html.escape(f"{node.id} ({node.kind}) {node.state} {node.reason}".strip())
        name = node.id if len(node.id) <= 24 else node.id[:23] + "…"
        body.append(
            f'<g><title>{tip}</title><rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" '
            f'fill="{fill}"/><text x="{x + 8}" y="{y + 18}">{html.escape(name)}</text>'
            f'<text x="{x + 8}" y="{y + 33}" fill="#667" font-size="11">{node.kind}</text></g>'
        )
    legend = " ".join(
        f'<span style="background:{fill}">&nbsp;{state}&nbsp;</span>'
        for state, fill in _FILLS.items()
    )
    return _PAGE.format(
        legend=legend,
        width=max((x for x, _ in place.values()), default=0) + _COLUMN,
        height=max((y for _, y in place.values()), default=0) + _ROW,
        body="\n".join(body),
    )


def _places(nodes: Sequence[Node], edges: Sequence[Edge]) -> Mapping[str, tuple[int, int]]:
    """``nodes`` come in an order in which they can be built, so one pass finds every depth."""
    depth = {node.id: 0 for node in nodes}
    needs: dict[str, list[str]] = {node.id: [] for node in nodes}
    for source, target in edges:
        needs[target].append(source)
    filled: dict[int, int] = {}
    place = {}
    for node in nodes:
        depth[node.id] = max((depth[name] + 1 for name in needs[node.id]), default=0)
        row = filled.get(depth[node.id], 0)
        filled[depth[node.id]] = row + 1
        place[node.id] = (10 + depth[node.id] * _COLUMN, 10 + row * _ROW)
    return place

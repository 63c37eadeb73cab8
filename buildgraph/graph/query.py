"""Questions about a graph, answered by networkx: deps, rdeps, paths. Nodes are ``step:x``, ``image:x``, ``group:x``."""

from buildgraph.graph.graph import BuildGraph


def deps(graph: BuildGraph, node: str) -> tuple[str, ...]:
    """All that ``node`` depends on, inputs first."""
    import networkx as nx

    return _sorted(graph, nx.ancestors(graph.dag, node))


def rdeps(graph: BuildGraph, node: str) -> tuple[str, ...]:
    """All that depends on ``node``, nearest first."""
    import networkx as nx

    return _sorted(graph, nx.descendants(graph.dag, node))


def direct(graph: BuildGraph, node: str, *, above: bool) -> tuple[str, ...]:
    """One step away: what ``node`` needs, or what needs it."""
    found = graph.dag.successors(node) if above else graph.dag.predecessors(node)
    return _sorted(graph, set(found))


def path(graph: BuildGraph, start: str, end: str) -> tuple[str, ...]:
    """The shortest way on which ``start`` needs ``end``, both included; empty when it does not."""
    import networkx as nx

    if not nx.has_path(graph.dag, end, start):
        return ()
    return tuple(reversed(nx.shortest_path(graph.dag, end, start)))


def levels(graph: BuildGraph) -> tuple[tuple[str, ...], ...]:
    """Steps and images in generations: all of one may run at the same time."""
    import networkx as nx

    return tuple(tuple(sorted(level)) for level in nx.topological_generations(graph.dag))


def _sorted(graph: BuildGraph, nodes: set[str]) -> tuple[str, ...]:
    import networkx as nx

    order = nx.lexicographical_topological_sort(graph.dag)
    return tuple(node for node in order if node in nodes)

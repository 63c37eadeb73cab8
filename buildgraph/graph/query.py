"""Questions about what is made of what, answered by networkx: deps, rdeps, paths.

The tables of a Buildfile as they are written, whatever they become: an answer needs no base's config and no key.
Nodes are ``base:x``, ``step:x``, ``image:x``, ``group:x``. What an image is made of has no cycles; its checks may stand
on it, so they take part in the answers and not in their order.
"""

from collections.abc import Iterable, Mapping


class Relations:
    """``inputs``: what each node is made of. ``checks``: the steps that an image is checked by."""

    def __init__(
        self, inputs: Mapping[str, Iterable[str]], checks: Mapping[str, Iterable[str]]
    ) -> None:
        import networkx as nx

        made: nx.DiGraph[str] = nx.DiGraph()
        for node, below in inputs.items():
            made.add_node(node)
            made.add_edges_from((one, node) for one in below)
        self._order = tuple(nx.lexicographical_topological_sort(made))
        made.add_edges_from((step, image) for image, steps in checks.items() for step in steps)
        self._made = made

    @property
    def nodes(self) -> tuple[str, ...]:
        """All of them, inputs first."""
        return self._order

    def deps(self, node: str, *, direct: bool = False) -> tuple[str, ...]:
        """All that ``node`` depends on, inputs first; ``direct``: one step away."""
        import networkx as nx

        return self._sorted(
            self._made.predecessors(node) if direct else nx.ancestors(self._made, node)
        )

    def rdeps(self, node: str, *, direct: bool = False) -> tuple[str, ...]:
        """All that depends on ``node``, nearest first."""
        import networkx as nx

        return self._sorted(
            self._made.successors(node) if direct else nx.descendants(self._made, node)
        )

    def path(self, start: str, end: str) -> tuple[str, ...]:
        """The shortest way on which ``start`` needs ``end``, both included; empty when it does not."""
        import networkx as nx

        if not nx.has_path(self._made, end, start):
            return ()
        return tuple(reversed(nx.shortest_path(self._made, end, start)))

    def _sorted(self, nodes: Iterable[str]) -> tuple[str, ...]:
        wanted = frozenset(nodes)
        return tuple(node for node in self._order if node in wanted)

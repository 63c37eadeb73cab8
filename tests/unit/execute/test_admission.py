from hypothesis import given
from hypothesis import strategies as st

from buildgraph.execute.admission import Claim, Node, Ready

CLAIMS = [Claim(), Claim("p"), Claim("q"), Claim(memory=3), Claim("p", 4), Claim("q", 9)]
MEMORY = 7


class Plain:
    """The rules, by looking at every node each time."""

    def __init__(self, claims):
        self.claims = claims
        self.waiting = []
        self.running = []

    def add(self, node, rank):
        self.waiting.append((*rank, node))

    def take(self):
        for entry in sorted(self.waiting):
            if self.may(self.claims[entry[2]]):
                self.waiting.remove(entry)
                self.running.append(entry[2])
                return entry[2]
        return None

    def may(self, claim):
        beside = [self.claims[node] for node in self.running]
        if claim == Claim():
            return True
        if claim.pool and any(other.pool == claim.pool for other in beside):
            return False
        claimed = sum(other.memory for other in beside)
        return not claimed or claimed + claim.memory <= MEMORY

    def ended(self, node):
        self.running.remove(node)

    def clear(self):
        self.waiting.clear()


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(CLAIMS), st.integers(0, 3)),
            st.sampled_from(["take", "end", "clear"]),
        ),
        max_size=40,
    )
)
def test_it_chooses_as_looking_at_every_node_would(moves):
    claims = {Node(str(at)): m[0] for at, m in enumerate(moves) if isinstance(m, tuple)}
    plain, ready = Plain(claims), Ready(claims, MEMORY)
    for at, move in enumerate(moves):
        for each in (plain, ready):
            if isinstance(move, tuple):
                each.add(Node(str(at)), (-move[1], at))
            elif move == "clear":
                each.clear()
        if move == "take":
            assert ready.take() == plain.take()
        if move == "end" and plain.running:
            node = plain.running[0]
            plain.ended(node)
            ready.ended(node)


def test_what_waits_is_not_looked_at_again_and_again(monkeypatch):
    """A thousand nodes of one pool: one look for each that starts, and one that finds the pool in use."""
    looks = []
    real = Ready._admits
    monkeypatch.setattr(Ready, "_admits", lambda self, c: looks.append(c) or real(self, c))
    nodes = [Node(str(at)) for at in range(1000)]
    ready = Ready(dict.fromkeys(nodes, Claim("p")), None)
    for at, node in enumerate(nodes):
        ready.add(node, (0.0, at))
    for node in nodes:
        assert ready.take() == node
        assert ready.take() is None
        ready.ended(node)
    assert len(looks) <= 2 * len(nodes)

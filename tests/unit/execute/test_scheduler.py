import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildgraph.execute.admission import Claim, Node
from buildgraph.execute.scheduler import (
    Done,
    Failed,
    Hit,
    IllegalTransitionError,
    Interrupted,
    Look,
    Miss,
    Same,
    Scheduler,
    Skip,
    Start,
)


def scheduler(text: str, jobs: int = 2, **more) -> Scheduler:
    """``a; b < a; c < a b``: nodes with their needs."""
    needs = {}
    for part in text.split(";"):
        name, _, rest = part.partition("<")
        needs[Node(name.strip())] = [Node(need) for need in rest.split()]
    return Scheduler(tuple(needs), needs, jobs=jobs, **more)


def names(instructions, kind) -> list[str]:
    return [i.node for i in instructions if isinstance(i, kind)]


def test_a_node_is_looked_at_once_its_inputs_are_settled():
    plan = scheduler("a; b < a")
    assert plan.start() == [Look("a")]
    assert plan.handle(Hit("a")) == [Look("b")]
    assert plan.handle(Hit("b")) == []
    assert plan.finished


def test_no_more_than_jobs_run():
    plan = scheduler("a; b; c", jobs=2)
    plan.start()
    assert plan.handle(Miss("a")) == [Start("a")]
    assert plan.handle(Miss("b")) == [Start("b")]
    assert plan.handle(Miss("c")) == []
    assert plan.handle(Done("a")) == [Start("c")]


def test_the_longest_remaining_path_goes_first():
    plan = scheduler("short; long; after < long", jobs=1, seconds={"after": 60.0})
    plan.start()
    assert plan.handle(Miss("short")) == [Start("short")]
    plan = scheduler("first; short; long; after < long", jobs=1, seconds={"after": 60.0})
    plan.start()
    plan.handle(Miss("first"))
    plan.handle(Miss("short"))
    plan.handle(Miss("long"))
    assert plan.handle(Done("first")) == [Start("long")]


def test_a_failure_skips_all_that_did_not_start():
    plan = scheduler("a; b; c < a; d", jobs=2)
    plan.start()
    for node in "abd":
        plan.handle(Miss(node))
    assert sorted(names(plan.handle(Failed("a")), Skip)) == ["c", "d"]
    assert not plan.finished
    assert plan.handle(Done("b")) == []
    assert plan.finished


def test_keep_going_skips_only_dependents():
    plan = scheduler("a; b; c < a; e < c; d < b", jobs=1, keep_going=True)
    plan.start()
    plan.handle(Miss("a"))
    plan.handle(Miss("b"))
    out = plan.handle(Failed("a"))
    assert names(out, Skip) == ["c", "e"]
    assert names(out, Start) == ["b"]
    assert plan.handle(Done("b")) == [Look("d")]


def test_an_interruption_starts_nothing_new():
    plan = scheduler("a; b < a; c", jobs=1)
    plan.start()
    plan.handle(Miss("a"))
    plan.handle(Miss("c"))
    assert sorted(names(plan.handle(Interrupted()), Skip)) == ["b", "c"]
    assert plan.handle(Done("a")) == []
    assert plan.finished


def test_an_event_out_of_order_tells_the_story():
    plan = scheduler("a")
    plan.start()
    with pytest.raises(IllegalTransitionError, match="a is looking, not running: Look → Done"):
        plan.handle(Done("a"))


def test_a_node_that_will_have_anothers_result_is_looked_at_again():
    plan = scheduler("a; b; c < b", jobs=1)
    plan.start()
    assert plan.handle(Miss("a")) == [Start("a")]
    assert plan.handle(Same("b", "a")) == []
    assert plan.handle(Done("a")) == [Look("b")]
    assert plan.handle(Hit("b")) == [Look("c")]


def test_a_failure_is_no_result_for_another():
    plan = scheduler("a; b; c < a", jobs=1, keep_going=True)
    plan.start()
    plan.handle(Miss("a"))
    plan.handle(Same("b", "a"))
    assert plan.handle(Failed("a")) == [Skip("c"), Look("b")]
    assert plan.handle(Miss("b")) == [Start("b")]
    plan = scheduler("a; b", jobs=1)
    plan.start()
    plan.handle(Miss("a"))
    plan.handle(Same("b", "a"))
    assert plan.handle(Failed("a")) == [Skip("b")]
    assert plan.finished


@st.composite
def builds(draw):
    count = draw(st.integers(1, 12))
    needs = {
        Node(f"n{i}"): [Node(f"n{j}") for j in range(i) if draw(st.booleans())]
        for i in range(count)
    }
    fates = {node: draw(st.sampled_from(["hit", "done", "failed", "same"])) for node in needs}
    return (
        needs,
        fates,
        draw(st.integers(1, 4)),
        draw(st.booleans()),
        draw(st.randoms(use_true_random=False)),
    )


@given(builds())
def test_every_build_ends_with_every_node_in_an_end_state(case):
    needs, fates, jobs, keep_going, random = case
    plan = Scheduler(tuple(needs), needs, jobs=jobs, keep_going=keep_going)
    todo, running, settled, missed = plan.start(), [], set(), []
    while not plan.finished:
        while todo:
            instruction = todo.pop(0)
            if isinstance(instruction, Look):
                assert settled.issuperset(needs[instruction.node])
                if fates[instruction.node] == "hit":
                    settled.add(instruction.node)
                    todo += plan.handle(Hit(instruction.node))
                elif fates[instruction.node] == "same" and (open_ := _open(plan, missed)):
                    fates[instruction.node] = "hit"
                    todo += plan.handle(Same(instruction.node, random.choice(open_)))
                else:
                    missed.append(instruction.node)
                    todo += plan.handle(Miss(instruction.node))
            elif isinstance(instruction, Start):
                running.append(instruction.node)
                assert len(running) <= jobs
        if plan.finished:
            break
        node = running.pop(random.randrange(len(running)))
        if fates[node] != "failed":
            settled.add(node)
            todo += plan.handle(Done(node))
        else:
            todo += plan.handle(Failed(node))
    failed = {node for node, state in plan.state.items() if state == "failed"}
    if keep_going:
        for node, state in plan.state.items():
            blocked = any(plan.state[need] in ("failed", "skipped") for need in needs[node])
            assert (state == "skipped") == blocked
    if not failed:
        assert set(plan.state.values()) == {"settled"}


def _open(plan, nodes):
    return [node for node in nodes if plan.state[node] in ("ready", "running")]


def test_nodes_of_one_pool_take_turns():
    plan = scheduler("a; b; c", jobs=3, claims={Node("a"): Claim("p"), Node("b"): Claim("p")})
    plan.start()
    assert plan.handle(Miss("a")) == [Start("a")]
    assert plan.handle(Miss("b")) == []
    assert plan.handle(Miss("c")) == [Start("c")]
    assert plan.handle(Done("a")) == [Start("b")]


def test_memory_is_never_promised_twice():
    claims = {
        Node("a"): Claim(memory=60),
        Node("b"): Claim(memory=60),
        Node("c"): Claim(memory=500),
    }
    plan = scheduler("a; b; c", jobs=3, claims=claims, memory=100)
    plan.start()
    assert plan.handle(Miss("a")) == [Start("a")]
    assert plan.handle(Miss("b")) == []
    assert plan.handle(Miss("c")) == []
    assert plan.handle(Done("a")) == [Start("b")]
    assert plan.handle(Done("b")) == [Start("c")]

from buildgraph.digest import ActionKey, Digest
from buildgraph.errors import Location
from buildgraph.graph.step import StepId, WriteStep
from buildgraph.plan.plan import Execute, Expired, Forced, NeverBuilt, Reuse, Rules, decide
from buildgraph.store.base import ActionResult

STEP = WriteStep(StepId("step:a"), (), Location("Buildfile.toml", 1))
TREE = Digest("blake3:" + "0" * 64)
NEVER = Rules(lambda _: None, lambda _: None, 100)


def result(key="k", identities=("one",), made=0):
    return ActionResult("write", ActionKey(key), identities, TREE, made=made)


class Records:
    def __init__(self, by_step=None, by_action=None, identities=("one",)):
        self.step, self.act, self.names = by_step, by_action, identities

    def by_step(self, _step):
        return self.step

    def by_action(self, key):
        return self.act if self.act and self.act.action == key else None

    def action(self, _step):
        return ActionKey("k"), {"kind": "write"}

    def identities(self, _step):
        return self.names

    def reason(self, _step, _document):
        return NeverBuilt()


def test_a_step_key_hit_with_the_same_inputs_is_reused():
    assert decide(STEP, Records(by_step=result()), NEVER) == Reuse(ActionKey("k"), result())


def test_a_step_key_hit_of_other_results_does_not_count():
    """Two machines' results of one nondeterministic step are never joined."""
    records = Records(by_step=result(identities=("other",)))
    assert isinstance(decide(STEP, records, NEVER), Execute)


def test_equal_inputs_whatever_made_them_cut_off():
    assert decide(STEP, Records(by_action=result()), NEVER) == Reuse(ActionKey("k"), result())


def test_a_forced_step_runs_whatever_is_known():
    rules = Rules(lambda _: "--rebuild a", lambda _: None, 100)
    decision = decide(STEP, Records(by_step=result(), by_action=result()), rules)
    assert decision == Execute(ActionKey("k"), {"kind": "write"}, Forced("--rebuild a"))


def test_an_old_result_expires():
    rules = Rules(lambda _: None, lambda _: 50, 100)
    decision = decide(STEP, Records(by_step=result(made=10)), rules)
    assert isinstance(decision, Execute)
    assert decision.reason == Expired(90, 50)
    assert isinstance(decide(STEP, Records(by_step=result(made=60)), rules), Reuse)

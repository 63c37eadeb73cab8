"""Why does a step run? What is said is true, also where the store has forgotten."""

import pytest
from support.workspace import Workspace

from buildgraph.events import StepFinished
from buildgraph.store.local import LocalStore


@pytest.fixture
def ws(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile(
        '[step.one]\non = ["box"]\nmounts = [{ bind = "a", target = "/a" }]\nrun = "cat /a > /b"\n'
    )
    workspace.write("a", "1\n")
    return workspace


def reason(ws):
    ws.build("one")
    [told] = [e.reason for e in ws.events if isinstance(e, StepFinished) and e.step == "one"]
    return told


def drop(ws, *sorts):
    with LocalStore.open(ws.home) as store:
        index = store.index()
        names = index.keys()
        for key in names:
            if key.partition(":")[0] in sorts:
                index.delete(key)


def test_a_step_that_never_ran(ws):
    assert reason(ws) == "never built"
    ws.write("a", "2\n")
    assert "content" in reason(ws)


def test_a_step_whose_record_is_gone(ws):
    reason(ws)
    drop(ws, "action", "step")
    assert reason(ws) == "its result is no longer in the store"


def test_a_step_whose_document_is_gone(ws):
    reason(ws)
    drop(ws, "document")
    ws.write("a", "2\n")
    assert reason(ws) == "what it was built of before is no longer in the store"

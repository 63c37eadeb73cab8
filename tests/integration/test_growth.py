"""What a build does must not grow with the square of the workspace: counted, not timed."""

from collections import Counter
from itertools import pairwise

import pytest
from support.workspace import Workspace

from buildgraph.build.survey import graph, plan
from buildgraph.execute.placement import Placements
from buildgraph.store.layers import LocalLayers

IMAGES = 12
SHARED = """
[step.a]
write = { "/a" = "1" }
[step.b]
write = { "/b" = "1" }
[step.c]
write = { "/c" = "1" }
"""


@pytest.fixture
def space(tmp_path):
    return Workspace.make(tmp_path).base()


def images(count, **fields):
    more = "".join(f"{name} = {value}\n" for name, value in fields.items())
    return "".join(f'[image.i{n}]\non = ["box", "a", "b", "c"]\n{more}' for n in range(count))


def test_images_that_share_layers_ask_for_each_once(space, monkeypatch):
    space.buildfile(SHARED + images(IMAGES))
    space.build()
    asked = Counter()
    real = LocalLayers.compressed

    def compressed(self, diff_id, codec):
        asked[diff_id, codec] += 1
        return real(self, diff_id, codec)

    monkeypatch.setattr(LocalLayers, "compressed", compressed)
    space.buildfile(SHARED + images(IMAGES, cmd='["x"]'))
    assert len(space.build(jobs=1).images) == IMAGES
    assert len(asked) == 3
    assert asked.total() == 3


def test_each_layer_of_a_stack_is_looked_at_once_for_all_that_lie_on_it(space, monkeypatch):
    count = 30
    steps = "".join(f'[step.s{n}]\nwrite = {{ "/d/{n}" = "{n}" }}\n' for n in range(count))
    on = ", ".join(f'"s{n}"' for n in range(count))
    space.buildfile(f'{steps}[image.i]\non = ["box", {on}]\n')
    looks = []
    real = Placements.outlines
    monkeypatch.setattr(
        Placements, "outlines", lambda self, layers: looks.extend(layers) or real(self, layers)
    )
    space.build()
    assert len(looks) == count  # nothing lies on the last one; the base has one layer


def test_a_drawing_of_a_chain_has_one_line_a_step(space):
    count = 12
    chain = ["box"] + [f"s{n}" for n in range(count)]
    space.buildfile(
        "".join(f'[step.{b}]\non = ["{a}"]\nrun = "true"\n' for a, b in pairwise(chain))
        + f'[image.i]\non = ["{chain[-1]}"]\nchecks = ["s3"]\n'
    )
    request = space.request("i")
    assert set(graph(request).edges) == {*pairwise([*chain, "i"]), ("s3", "i")}
    reasons = [step["reason"] for step in plan(request)["steps"]]
    assert reasons[1] == "waits for s0"
    assert reasons[-1] == "waits for s0, s1, s2, s3, s4, s5 and 5 more"

"""Stacks: what is flattened, and what has no root or two."""

import pytest
from support.buildfile import codes, model, rendered

from buildgraph.spec.cycles import walk
from buildgraph.spec.model import Ref
from buildgraph.spec.stacks import flatten

TWO = """
[step.tools]
on = ["box"]
run = "tools"
[step.deps]
on = ["box"]
run = "deps"
[step.src]
copy = [{ to = "/app/" }]
[step.named]
on = ["deps"]
copy = [{ to = "/app/", owner = "www-data" }]
[image.base]
on = ["box", "tools"]
[image.api]
on = ["base", "deps", "src", "named"]
[step.check]
on = ["api"]
run = "true"
"""


def test_each_layer_counts_once_at_its_first_place():
    found = model(TWO)
    stack = [ref.name for ref in flatten(found, (Ref("image", "api"),))]
    assert stack == ["box", "tools", "deps", "src", "named"]
    assert [ref.name for ref in flatten(found, found.steps["named"].on)] == ["box", "deps"]


def test_a_chain_of_ten_thousand_steps():
    links = [
        f'[step.s{n}]\non = ["{f"s{n - 1}" if n else "box"}"]\nrun = "x"' for n in range(10_000)
    ]
    found = model("\n".join(links))
    assert len(flatten(found, (Ref("step", "s9999"),))) == 10_001


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ('["box", "src"]', []),
        ('["deps"]', []),
        ('["deps", "tools", "box"]', []),
        ('["base", "deps"]', []),
        ('["src"]', ["no-root"]),
        ("[]", ["no-root"]),
        ('["src", "deps"]', ["root-not-first"]),
        ('["other", "deps"]', ["two-roots"]),
        ('["deps", "other"]', ["two-roots"]),
        ('["packaged", "box"]', ["two-roots"]),
        ('["packaged", "src"]', []),
        ('["nope", "src"]', ["unknown-name"]),
    ],
)
@pytest.mark.parametrize("table", ["[step.x]\nrun = 'true'", "[image.x]"])
def test_one_root(on, expected, table):
    text = (
        TWO + '[base.other]\nscratch = true\n[step.packaged]\npackages = { packages = ["curl"] }\n'
    )
    assert codes(f"{text}{table}\non = {on}\n") == expected


def test_two_roots_are_told_once_at_the_lowest_place():
    text = '[base.other]\nscratch = true\n[image.a]\non = ["box", "other"]\n[image.b]\non = ["a"]\n'
    assert codes(text) == ["two-roots"]


def test_tools_share_the_one_root():
    text = TWO + '[step.x]\non = ["src"]\nwith = ["deps"]\noutputs = ["/x"]\nrun = "true"\n'
    assert codes(text) == []


@pytest.mark.parametrize(
    ("on", "tools", "expected"),
    [
        ("deps", '"src"', []),
        ("box", '"src", "src"', []),
        ("box", '"src", "deps"', ["root-not-first"]),
        ("src", '"src"', ["no-root"]),
        ("box", '"src", "other"', ["two-roots"]),
    ],
)
def test_tools_without_a_root_lie_over_that_of_the_step(on, tools, expected):
    text = TWO + "[base.other]\nscratch = true\n"
    step = f'[step.x]\non = ["{on}"]\nwith = [{tools}]\noutputs = ["/x"]\nrun = "true"\n'
    assert codes(text + step) == expected


def test_the_cure_names_the_key_that_is_to_begin_with_the_root():
    step = '[step.x]\non = ["box"]\nwith = ["src", "deps"]\noutputs = ["/x"]\nrun = "true"\n'
    told = rendered(TWO + step)
    assert '    with = ["src", "deps"]\n' in told
    assert 'help: write the root first: with = ["box", "src", "deps"]' in told


def test_a_check_may_stand_on_its_image():
    text = TWO.replace('on = ["base", "deps"', 'checks = ["check"]\non = ["base", "deps"')
    assert codes(text) == []


def test_walk_orders_and_finds_every_cycle_once():
    found = walk({"a": ["b"], "b": ["c", "x"], "c": ["a"], "d": ["d"], "e": ["a"]})
    assert found.cycles == (("a", "b", "c"), ("d",))
    assert set(found.order) == {"a", "b", "c", "d", "e"}
    assert walk({"a": ["b"], "b": []}).order == ("b", "a")

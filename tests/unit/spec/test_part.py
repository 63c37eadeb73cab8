"""Which part of a workspace rests on which bases."""

import pytest
from support.buildfile import model

from buildgraph.spec.model import Ref
from buildgraph.spec.part import bases_of, without

WORKSPACE = """
[base.far]
image = "r.example/far:1"
[base.tools]
image = "r.example/tools:1"
[step.src]
copy = [{ from = "src", to = "/app/" }]
[step.bin]
copy = [{ from = "base:tools", path = "/bin", to = "/tools/" }]
[step.made]
on = ["far"]
with = ["far"]
outputs = ["/x"]
run = "true"
mounts = [{ bind = "base:tools", target = "/in" }]
[step.bound]
on = ["box"]
run = "true"
mounts = [{ bind = "image:app", target = "/in" }]
[step.tested]
on = ["near", "bin"]
run = "true"
[image.app]
on = ["far", "src"]
[image.near]
on = ["box", "src"]
[image.checked]
on = ["box", "src"]
checks = ["tested"]
[group.all]
targets = ["app", "near"]
"""


@pytest.mark.parametrize(
    ("target", "bases"),
    [
        (Ref("step", "src"), set()),
        (Ref("step", "bin"), {"tools"}),
        (Ref("step", "made"), {"far", "tools"}),
        (Ref("step", "bound"), {"box", "far"}),
        (Ref("image", "near"), {"box"}),
        (Ref("image", "checked"), {"box", "tools"}),
        (Ref("group", "all"), {"far", "box"}),
    ],
)
def test_what_a_target_rests_on(target: Ref, bases: set[str]) -> None:
    assert bases_of(model(WORKSPACE), [target]) == bases


def test_a_base_goes_with_all_that_rests_on_it() -> None:
    left = without(model(WORKSPACE), {"far"})
    assert list(left.bases) == ["box", "tools"]
    assert list(left.steps) == ["src", "bin", "tested"]
    assert list(left.images) == ["near", "checked"]
    assert left.groups["all"].targets == (Ref("image", "near"),)
    assert left.workspace.default == (Ref("image", "near"), Ref("image", "checked"))


def test_an_image_loses_the_checks_that_are_gone() -> None:
    left = without(model(WORKSPACE), {"tools"})
    assert left.images["checked"].checks == ()
    assert "app" in left.images


def test_without_nothing_is_the_same() -> None:
    whole = model(WORKSPACE)
    assert without(whole, ()) is whole

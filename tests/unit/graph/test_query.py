import pytest

from buildgraph.graph.query import Relations

MADE = Relations(
    {
        "image:child": ["image:parent", "step:extra"],
        "image:parent": ["base:box", "step:tools"],
        "step:tools": ["base:box"],
        "step:extra": [],
        "step:test": ["image:child"],
        "base:box": [],
        "group:all": ["image:child"],
    },
    {"image:child": ["step:test"]},
)


def test_an_image_stands_on_an_image():
    assert MADE.deps("image:child", direct=True) == ("step:extra", "image:parent", "step:test")
    assert MADE.rdeps("image:parent") == ("image:child", "group:all", "step:test")


@pytest.mark.parametrize("node", MADE.nodes)
def test_inputs_come_first(node):
    order = {name: at for at, name in enumerate(MADE.nodes)}
    below = [name for name in MADE.deps(node) if name != "step:test"]
    assert all(order[name] < order[node] for name in below)
    assert [order[name] for name in below] == sorted(order[name] for name in below)


def test_a_check_may_stand_on_its_image():
    assert "image:child" in MADE.rdeps("image:parent")
    assert MADE.path("step:test", "base:box") == (
        "step:test",
        "image:child",
        "image:parent",
        "base:box",
    )


def test_the_shortest_way():
    assert MADE.path("image:parent", "base:box") == ("image:parent", "base:box")
    assert MADE.path("base:box", "image:parent") == ()

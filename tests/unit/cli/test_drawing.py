import json
import xml.etree.ElementTree as ET

import pytest

from buildgraph.cli.drawing import Node, draw

NODES = (
    Node("base:os", "base", "reuse", ""),
    Node("step:lib", "copy", "reuse", ""),
    Node("step:deps", "run", "execute", 'said "hi" & <more>'),
    Node("image:api", "image", "wait", ""),
    Node("image:web", "image", "reuse", ""),
)
EDGES = (
    ("base:os", "step:deps"),
    ("step:deps", "image:api"),
    ("step:lib", "image:api"),
    ("base:os", "image:web"),
    ("step:deps", "image:web"),
)


def test_text():
    assert draw(NODES, EDGES, "text") == (
        "image:api  (image)  [wait]\n"
        "├─ step:deps  (run)  [execute]\n"
        "│  └─ base:os  (base)  [reuse]\n"
        "└─ step:lib  (copy)  [reuse]\n"
        "image:web  (image)  [reuse]\n"
        "├─ base:os  (base)  [reuse]\n"
        "└─ step:deps  (run)  [execute]  …\n"
    )


def test_dot():
    drawn = draw(NODES, EDGES, "dot")
    assert '"step:deps" -> "image:api";' in drawn
    assert 'tooltip="said \\"hi\\" & <more>"' in drawn


def test_mermaid():
    drawn = draw(NODES, EDGES, "mermaid").splitlines()
    assert drawn[0] == "flowchart BT"
    assert "  n2 --> n3" in drawn
    assert '  n2["step:deps<br/><small>run</small>"]:::execute' in drawn


def test_json():
    document = json.loads(draw(NODES, EDGES, "json"))
    assert document["schema"] == 1
    assert document["nodes"][2]["state"] == "execute"
    assert document["edges"][0] == {"from": "base:os", "to": "step:deps"}


def test_html_is_well_formed_where_names_are_not():
    drawn = draw(NODES, EDGES, "html")
    picture = drawn[drawn.index("<svg") :]
    tree = ET.fromstring(picture)
    titles = [element.text for element in tree.iter("{http://www.w3.org/2000/svg}title")]
    assert 'step:deps (run) execute said "hi" & <more>' in titles


@pytest.mark.parametrize("form", ["text", "dot", "mermaid", "json", "html"])
def test_nothing_and_something_deep_can_be_drawn(form):
    assert draw((), (), form) is not None
    nodes = [Node(f"step:{at}", "run", "", "") for at in range(2000)]
    edges = [(f"step:{at}", f"step:{at + 1}") for at in range(1999)]
    assert "step:1999" in draw(nodes, edges, form)

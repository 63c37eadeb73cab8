"""What files would do to each other in a stack is told before anything is run, all of it, and by ``check``."""

import pytest
from support.workspace import Workspace

from buildgraph.build.checking import check
from buildgraph.errors import BuildgraphError, ErrorGroup

HEAD = """\
[step.deps]
on = ["box"]
run = "touch /ran"
[step.src]
copy = [{ from = "src", to = "/app/src/" }]
[step.over]
copy = [{ from = "conf", to = "/app/src/a/x" }]
"""
WRONG = """\
[step.twice]
copy = [
  { from = "conf", to = "/etc/x" },
  { from = "src", to = "/etc/x/" },
]
[step.odd]
copy = [{ from = "odd", to = "/" }]
[step.written]
write = { "/a/.wh.b" = "" }
[image.one]
on = ["box", "deps", "src", "over"]
[image.two]
on = ["box", "deps", "src", "over", "twice", "odd", "written"]
"""


@pytest.fixture
def ws(tmp_path):
    made = Workspace.make(tmp_path).base()
    made.write("src/a", "a")
    made.write("conf", "c")
    made.write("odd/.wh.x", "x")
    return made


@pytest.mark.parametrize(
    "command", [lambda ws: check(ws.request()), Workspace.build], ids=["check", "build"]
)
def test_all_that_is_certain_is_told_together_and_nothing_is_run(ws, command):
    ws.buildfile(HEAD + WRONG)
    with pytest.raises(ErrorGroup) as caught:
        command(ws)
    assert [(e.code, e.where.excerpt.strip()) for e in caught.value.errors] == [
        ("file-over-directory", "[step.over]"),
        ("file-over-directory", '{ from = "src", to = "/etc/x/" },'),
        ("whiteout-name", 'copy = [{ from = "odd", to = "/" }]'),
        ("whiteout-name", "[step.written]"),
    ]
    assert caught.value.errors[0].detail == (
        "step over lies there over step src",
        "in the stack of image one, image two",
    )
    assert ws.events == []


@pytest.mark.parametrize(
    ("between", "to", "lower"),
    [
        ("rm -f /opt/old; touch /opt/old2", "/opt/old2/x", "deps"),
        ("true", "/opt/old/x", "box"),
    ],
)
def test_what_only_a_command_tells_names_the_image(ws, between, to, lower):
    ws.buildfile(
        f'[step.deps]\non = ["box"]\nrun = "{between}"\n[step.over]\n'
        f'copy = [{{ from = "conf", to = "{to}" }}]\n[image.late]\non = ["box", "deps", "over"]\n'
    )
    check(ws.request())
    summary = ws.attempt()
    [error] = summary.failures
    assert error.code == "file-over-directory"
    assert str(error.where).endswith("Buildfile.toml:7")
    step = "base" if lower == "box" else "step"
    assert error.detail == (
        f"step over lies there over {step} {lower}",
        "in the stack of image late",
    )


def test_what_a_command_may_have_taken_away_is_no_mistake_yet(ws):
    ws.buildfile(
        HEAD + '[step.away]\non = ["box"]\nrun = "rm /opt/old; rm -r /opt/d"\n'
        '[step.put]\ncopy = [{ from = "conf", to = "/opt/d" }, { from = "src", to = "/opt/old/" }]\n'
        '[image.i]\non = ["box", "away", "put"]\n'
    )
    ws.build("i")


def test_links_of_recipes_are_followed_before_anything_is_told(ws):
    ws.buildfile(
        '[step.links]\nlinks = { "/app" = "srv" }\n[step.dirs]\ndirs = { "/srv" = {} }\n'
        '[step.src]\ncopy = [{ from = "src", to = "/app/" }]\n[base.none]\nscratch = true\n'
        '[step.over]\ncopy = [{ from = "conf", to = "/srv/a/x" }]\n'
        '[image.i]\non = ["none", "dirs", "links", "src"]\n[image.j]\non = ["i", "over"]\n'
    )
    ws.build("i")
    with pytest.raises(BuildgraphError, match="/srv/a: a directory would lie over a file"):
        check(ws.request())


def test_files_of_a_dockerfile_go_where_a_command_made_a_folder(ws):
    ws.write("Dockerfile", "FROM box\nRUN mkdir /x\nCOPY conf /x\nCOPY src /x\n")
    ws.buildfile(
        '[image.i]\ndockerfile = "Dockerfile"\ncontexts = { box = "image:b" }\n[image.b]\non = ["box"]\n'
    )
    ws.build("i")

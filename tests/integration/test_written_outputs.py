"""What builds write into the workspace is an output in later builds, too, and no content."""

import pytest
from support.program import Program
from support.workspace import Workspace, digests

from buildgraph.build.request import OutputSpec
from buildgraph.build.store import cache_gc

BUILDFILE = """
[workspace]
default = ["i"]
[step.all]
copy = [{ from = ".", exclude = ["Buildfile.toml", "box/**"], to = "/app/" }]
[image.i]
on = ["box", "all"]
"""


@pytest.fixture
def ws(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile(BUILDFILE)
    workspace.write("src/a", "a\n")
    return workspace


@pytest.mark.parametrize("kind", ["local", "oci", "tar", "oci-archive"])
def test_an_output_in_the_workspace_changes_nothing(ws, kind):
    before = ws.digests()
    dest = str(ws.folder / "out/x")
    assert digests(ws.build(outputs=(OutputSpec(kind, dest),))) == before
    assert (ws.folder / "out/x").exists()
    (ws.folder / "out/x").rename(ws.folder / "out/y")
    assert digests(ws.build()) != before  # another name is nobody's output


@pytest.mark.parametrize("kind", ["local", "oci", "tar"])
def test_the_build_after_an_output_executes_nothing(ws, kind):
    before = ws.digests()
    output = OutputSpec(kind, str(ws.folder / "out"))
    ws.build(outputs=(output,))
    assert digests(ws.build()) == before
    assert ws.ran() == set()
    ws.build(outputs=(output,))
    assert digests(ws.build()) == before
    assert ws.ran() == set()


def test_documents_of_a_build_are_outputs(ws):
    before = ws.digests()
    ws.build(metadata_file=ws.folder / "meta.json", iidfile=ws.folder / "iid")
    assert digests(ws.build()) == before
    assert ws.ran() == set()


def test_a_folder_of_the_user_stays_content(ws):
    before = ws.digests()
    ws.write("mine/kept", "kept\n")
    both = ws.digests()
    assert both != before
    ws.build(outputs=(OutputSpec("tar", str(ws.folder / "mine/x.tar")),))
    assert digests(ws.build()) == both
    ws.build(outputs=(OutputSpec("local", str(ws.folder / "mine")),))
    assert digests(ws.build()) not in (before, both)


def test_what_is_gone_is_forgotten(ws):
    before = ws.digests()
    output = ws.folder / "out"
    ws.build(outputs=(OutputSpec("tar", str(output)),))
    output.unlink()
    assert digests(ws.build()) == before
    ws.write("out", "the user's own\n")
    assert digests(ws.build()) != before


def test_a_collection_forgets_no_output(ws):
    output = OutputSpec("local", str(ws.folder / "out"))
    before = digests(ws.build(outputs=(output,)))
    cache_gc(ws.home, max_size=None, max_age=None, dry_run=False)
    assert digests(ws.build()) == before
    assert ws.ran() == set()


def test_plan_why_and_check_agree(ws):
    program = Program.of(ws)
    program.run("build", "-o", "type=local,dest=out")
    assert "execute" not in program.run("plan").stdout
    assert "reuse" in program.run("why", "all").stdout
    program.run("check")
    assert program.build().ran == set()
    warm = program.run("build").stderr
    assert program.run("build").stderr.count("up to date") == warm.count("up to date") == 1
    program.run("build", "-o", "type=local,dest=out")
    assert program.build().ran == set()

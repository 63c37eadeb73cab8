"""Tools of a run step that stand on nothing: seen over the root of its stack, under the rest of it, part of no layer."""

from support.workspace import Workspace, digests

BUILDFILE = """
[step.tool]
copy = [{ from = "tool", to = "/bin/protoc" }, { from = "tool", to = "/opt/both" }]
[step.own]
write = { "/opt/both" = "own" }
[step.made]
on = ["box", "own"]
run = "echo made > /opt/made"
[step.use]
on = ["made"]
with = ["tool"]
outputs = ["/out"]
run = "protoc > /out; cat /opt/both /opt/made >> /out; test -L /bin; ls /bin/sh"
[image.i]
on = ["use"]
"""


def shop(tmp_path, name: str) -> Workspace:
    workspace = Workspace.make(tmp_path, name).base()
    workspace.home = tmp_path / f"{name}.home"
    workspace.write("tool", "#!/bin/sh\necho tool\n", 0o755)
    workspace.buildfile(BUILDFILE)
    return workspace


def test_a_copied_tool_is_seen_and_no_part_of_the_result(tmp_path):
    from buildgraph.build.request import OutputSpec

    workspace = shop(tmp_path, "ws")
    workspace.build("i", outputs=(OutputSpec("local", str(tmp_path / "o")),))
    assert (tmp_path / "o/out").read_text() == "tool\nownmade\n"
    assert (tmp_path / "o/bin").is_symlink()
    assert not (tmp_path / "o/usr/bin/protoc").exists()
    assert workspace.build("i")
    assert workspace.ran() == set()


def test_another_tool_runs_the_step_again_as_a_build_from_nothing_would(tmp_path):
    workspace, fresh = shop(tmp_path, "ws"), shop(tmp_path, "fresh")
    workspace.build("i")
    for one in (workspace, fresh):
        one.write("tool", "#!/bin/sh\necho other\n", 0o755)
    again = workspace.build("i")
    assert workspace.ran() == {"tool", "use"}
    assert digests(again) == digests(fresh.build("i"))

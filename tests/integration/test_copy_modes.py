"""Which modes do copies give to the folders that they make?"""

import tarfile

import pytest
from support.workspace import Workspace

from buildgraph.build.request import OutputSpec

BUILDFILE = """
[workspace]
default = ["i"]
[base.nothing]
scratch = true
[step.made]
write = { "/o/d/f" = "x" }
dirs = { "/o" = { mode = "0750" } }
[step.copied]
copy = [%s]
[image.i]
on = ["nothing", "copied"]
"""
CASES = {
    '{ from = "src", to = "/new" }': ("755", "755", "644"),
    '{ from = "src", to = "/new", mode = "0600" }': ("755", "700", "600"),
    '{ from = "src", include = ["d/f"], to = "/new", mode = "0711" }': ("755", "711", "711"),
    '{ from = "step:made", path = "/o", to = "/new" }': ("750", "755", "644"),
    '{ from = "step:made", path = "/o", to = "/new", mode = "0600" }': ("700", "700", "600"),
    '{ from = "step:made", path = "/o", include = ["d/f"], to = "/new", mode = "0711" }': (
        *("755", "711", "711"),
    ),
}


@pytest.mark.parametrize(("copy", "modes"), CASES.items())
def test_new_folders(tmp_path, copy, modes):
    """The folder of a step comes with its own mode; of the workspace only what is in it."""
    ws = Workspace.make(tmp_path).base()
    ws.buildfile(BUILDFILE % copy)
    ws.write("src/d/f", "x")
    ws.build(outputs=(OutputSpec("tar", str(tmp_path / "out.tar")),))
    with tarfile.open(tmp_path / "out.tar") as tar:
        found = {member.name: f"{member.mode:o}" for member in tar}
    assert (found["new"], found["new/d"], found["new/d/f"]) == modes

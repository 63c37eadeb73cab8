"""What the config of a stack makes of a Buildfile's strings, from the files of layers to the names that the store knows."""

import json

from support.program import Program
from support.workspace import Workspace

BUILDFILE = """
[image.shared]
on = ["box"]
env = { APP = "/srv/app", VERSION = "1.2", PORT = "8080" }
[step.files]
on = ["shared"]
copy = [{ from = "src", to = "${env.APP}/" }]
[step.port]
on = ["shared"]
write = { "${env.APP}/port" = "${env.PORT}" }
[step.use]
on = ["shared", "files", "port"]
workdir = "${env.APP}"
outputs = ["${env.APP}/out"]
run = "cat one port > out"
[image.api]
on = ["shared", "files", "port", "use"]
repository = "shop/api"
tags = [":${env.VERSION}", ":latest"]
description = "on ${env.PORT}"
expose = ["${env.PORT}"]
volumes = ["${env.APP}/data"]
"""


def test_all_that_asks_for_tags_or_files_sees_the_values(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile(BUILDFILE)
    workspace.write("src/one", "1\n")
    program = Program.of(workspace)
    program.run("build", "api", "-o", "type=local,dest=out")
    assert (workspace.folder / "out/srv/app/out").read_text() == "1\n8080"
    assert not program.run("build", "api").stdout
    planned = json.loads(program.run("plan", "--json").stdout)
    assert {step["decision"] for step in planned["steps"]} == {"reuse"}

    assert "shop/api:1.2" in program.run("images").stdout
    program.run("tag", "shop/api:1.2", "shop/api:kept")
    config = json.loads(program.run("inspect", "shop/api:kept").stdout)["config"]["config"]
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert config["Volumes"] == {"/srv/app/data": {}}
    assert "on 8080" in program.run("ls").stdout

    workspace.buildfile(BUILDFILE.replace('"1.2"', '"1.3"'))
    workspace.build("api")
    assert workspace.ran() == {"use"}, "only a command sees the whole environment"
    assert "shop/api:1.3" in program.run("images").stdout


def test_a_value_that_is_wrong_builds_nothing(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile(BUILDFILE.replace('PORT = "8080"', 'PORT = "abc"'))
    workspace.write("src/one", "1\n")
    said = Program.of(workspace).run("build", code=2).stderr
    assert 'expose = ["${env.PORT}"]' in said
    assert 'error[bad-port]: "abc" is not a port' in said

"""An image of copies moves to a newer base of a real registry: no layer travels, and it is what a build would make."""

import pytest
from support.packed import PackedImage, directory, file
from support.program import Program
from support.registry import running
from support.workspace import Workspace, base_items

from buildgraph.image.layout import write_layout
from buildgraph.names import Platform
from buildgraph.oci.config import Config, History

AMD = Platform("linux", "amd64")
BUILDFILE = """
buildfile = 1
[base.os]
image = "{host}/os:1"
[step.src]
copy = [{{ from = "src", to = "/srv/app/" }}]
[step.ran]
on = ["os"]
run = "touch /made"
[image.app]
on = ["os", "src"]
env = {{ MINE = "1" }}
tags = ["{host}/app:1"]
[image.commands]
on = ["ran", "src"]
tags = ["{host}/commands:1"]
"""


@pytest.fixture
def registry(tmp_path):
    with running(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def space(tmp_path, registry):
    space = Workspace.make(tmp_path)
    space.write("src/file", "mine\n" * 100)
    space.write("Buildfile.toml", BUILDFILE.format(host=registry.host))
    return space


@pytest.fixture
def program(space):
    program = Program.of(space)
    yield program
    program.end()


def push_base(tmp_path, program, registry, number, *, srv=0o755):
    """The base's ``number``-th version under the one tag."""
    config = Config(
        "amd64", "linux", env=(("PATH", "/usr/bin"), ("VERSION", number)),
        history=(History(created_by=f"os {number}"),),
    )  # fmt: skip
    items = [*base_items(), directory("srv", srv), file("release", number * 50_000)]
    image = PackedImage(tmp_path / f"made{number}", [items], config)
    write_layout(tmp_path / f"os{number}", image.source, [":1"])
    program.run("copy", f"oci:{tmp_path}/os{number}:1", f"docker://{registry.host}/os:1")


def layer_gets(registry):
    return [
        a
        for a in registry.accesses()
        if a.method == "GET" and "/blobs/" in a.path and a.sent > 5000
    ]


def digest_of(said):
    return said.stdout.strip().rpartition("@")[2]


def test_a_rebased_image_is_the_one_that_a_build_makes(tmp_path, space, program, registry):
    push_base(tmp_path, program, registry, "1")
    program.run("build", "app", "--push")
    push_base(tmp_path, program, registry, "2")
    registry.forget()
    app, os = f"{registry.host}/app:1", f"{registry.host}/os:1"
    program.home = tmp_path / "elsewhere"
    rebased = digest_of(program.run("rebase", app, "--onto", os))
    assert layer_gets(registry) == []
    assert [a for a in registry.accesses() if a.method == "PATCH"] == []
    program.home = space.home
    program.run("lock", "--update")
    built = program.build("app")
    assert built.ran == set()
    assert built.digests["app"] == rebased


def test_an_image_of_the_store_is_rebased_there(tmp_path, program, registry):
    push_base(tmp_path, program, registry, "1")
    program.run("build", "app")
    push_base(tmp_path, program, registry, "2")
    app, os = f"{registry.host}/app:1", f"{registry.host}/os:1"
    registry.forget()
    said = program.run("rebase", app, "--onto", os, "-t", "mine:2")
    assert layer_gets(registry) == []
    assert "warning[rebase-unchecked]" in said.stderr
    shown = program.run("inspect", "mine:2").stdout
    assert digest_of(said) in shown
    assert '"VERSION=2"' in shown
    assert '"MINE=1"' in shown
    program.run("save", "-o", tmp_path / "mine.tar", "mine:2")
    program.run("validate", tmp_path / "mine.tar")


def test_commands_and_strangers_are_refused(tmp_path, program, registry):
    push_base(tmp_path, program, registry, "1")
    program.run("build", "--push")
    push_base(tmp_path, program, registry, "2")
    os = f"{registry.host}/os:1"
    said = program.run("rebase", f"{registry.host}/commands:1", "--onto", os, code=2)
    assert "error[rebase-command]" in said.stderr
    said = program.run("rebase", os, "--onto", os, code=2)
    assert "error[rebase-no-base]" in said.stderr
    said = program.run("rebase", f"{registry.host}/app:1", "--from", os, "--onto", os, code=2)
    assert "error[not-its-base]" in said.stderr


def test_a_base_whose_directories_differ_is_refused_where_that_is_known(
    tmp_path, space, program, registry
):
    push_base(tmp_path, program, registry, "1")
    program.run("build", "app", "--push")
    push_base(tmp_path, program, registry, "2", srv=0o700)
    text = (space.folder / "Buildfile.toml").read_text()
    (space.folder / "Buildfile.toml").write_text(
        text + f'[base.new]\nimage = "{registry.host}/os:1"\nplatform = "linux/amd64"\n'
        '[step.look]\ncopy = [{ from = "base:new", path = "/srv", to = "/x/" }]\n'
    )
    program.run("lock", "--update")
    program.run("build", "look")
    said = program.run(
        "rebase", f"{registry.host}/app:1", "--onto", f"{registry.host}/os:1", code=2
    )
    assert "error[rebase-misplaced]" in said.stderr
    assert "/srv" in said.stderr

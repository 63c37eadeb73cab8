"""Bases behind a login or an authority of one's own, and bases that are images of the workspace."""

import base64
import json

import pytest
from support.certificates import Authority
from support.registry import running
from support.remotebase import base, push
from support.workspace import Workspace

from buildgraph.build.survey import list_targets, query
from buildgraph.errors import ErrorGroup, RemoteError

BUILDFILE = """buildfile = 1
[base.os]
image = "{host}/base/os:1"
[step.note]
write = {{ "/note" = "n" }}
[image.app]
on = ["os", "note"]
"""


@pytest.fixture
def ws(tmp_path):
    return Workspace.make(tmp_path)


def logged_in(folder, registry, name, password):
    file = folder / "auth.json"
    auth = base64.b64encode(f"{name}:{password}".encode()).decode()
    file.write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
    return {"REGISTRY_AUTH_FILE": str(file)}


def test_a_login_is_asked_for_and_used(ws, tmp_path):
    with running(tmp_path / "registry", users={"me": "open sesame"}) as registry:
        environ = logged_in(tmp_path, registry, "me", "open sesame")
        push(registry, "base/os", "1", base(tmp_path / "base"), environ=environ)
        ws.write("Buildfile.toml", BUILDFILE.format(host=registry.host))
        with pytest.raises(RemoteError) as caught:
            ws.build()
        assert caught.value.exit_code == 4
        assert caught.value.code == "registry-denied"
        assert f"login {registry.host}" in caught.value.hint
        assert "sesame" not in caught.value.render()
        ws.environ = environ
        assert ws.build().ok


def test_the_workspaces_authority_is_trusted(ws, tmp_path):
    authority = Authority.make(tmp_path)
    with running(tmp_path / "registry", tls=authority.certify("127.0.0.1")) as registry:
        push(registry, "base/os", "1", base(tmp_path / "base"), ca=authority.ca)
        text = BUILDFILE.format(host=registry.host)
        ws.write("Buildfile.toml", text)
        with pytest.raises(RemoteError) as caught:
            ws.build()
        assert caught.value.code == "registry-tls"
        ws.write("ca.pem", authority.ca.read_text())
        ws.write("Buildfile.toml", text + '[workspace]\nca = "ca.pem"\n')
        assert ws.build().ok


LINKED = """
[step.made]
on = ["box"]
run = "echo made > /made"
[image.runtime]
on = ["made"]
env = { KIND = "linked" }
tags = ["127.0.0.1:1/shop/runtime:1"]
[base.runtime-image]
image = "127.0.0.1:1/shop/runtime:1"
[step.seen]
on = ["runtime-image"]
run = "cat /made; echo $KIND"
[image.app]
on = ["runtime-image", "seen"]
"""


def test_a_base_that_is_an_image_of_the_workspace_is_built_not_pulled(ws):
    ws.base()
    ws.buildfile(LINKED)
    ws.build("app")
    assert ws.output("seen") == ["made", "linked"]
    assert not (ws.folder / "Buildfile.lock").exists()
    assert "made" in query(ws.request(), "deps", ("app",), direct=False)
    assert "runtime-image" not in [target.name for target in list_targets(ws.request())]


def test_a_cycle_through_such_a_base_is_drawn(ws):
    ws.base()
    ws.buildfile(
        '[base.self]\nimage = "x/app:1"\n[step.s]\non = ["self"]\nrun = "true"\n'
        '[image.app]\non = ["self", "s"]\ntags = ["x/app:1"]\n'
    )
    with pytest.raises(ErrorGroup) as caught:
        ws.build()
    (error,) = caught.value.errors
    assert error.code == "cycle"
    assert "app → app" in error.message


def test_each_reference_has_a_pin_of_its_own(ws, tmp_path):
    with running(tmp_path / "registry") as registry:
        image = base(tmp_path / "base")
        for tag in ("1", "2"):
            push(registry, "base/os", tag, image)
        again = '[base.two]\nimage = "{host}/base/os:2"\n[image.b]\non = ["two", "note"]\n'
        ws.write("Buildfile.toml", (BUILDFILE + again).format(host=registry.host))
        app, b = ws.build().images
        assert app.config_digest == b.config_digest
        assert (ws.folder / "Buildfile.lock").read_text().count("[images.") == 2

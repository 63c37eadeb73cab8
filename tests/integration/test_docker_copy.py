"""COPY as BuildKit does it: what is taken, where it goes, whose it is."""

import os
import socket

import pytest
from support.dockered import Dockered, copy, run

from buildgraph.errors import UsageError
from buildgraph.spec import model as m


@pytest.fixture
def docker(tmp_path, monkeypatch):
    return Dockered.make(tmp_path, monkeypatch)


def f(text="x", mode=0o644, uid=0, gid=0):
    return "file", mode, uid, gid, text


def d(mode=0o755, uid=0, gid=0):
    return "dir", mode, uid, gid, ""


OPT = {
    "opt": d(),
    "opt/old": f("old\n"),
    "opt/d": d(),
    "opt/d/one": f("1\n"),
    "opt/d/two": f("2\n"),
}


def made(tree):
    return {path: told for path, told in tree.items() if OPT.get(path) != told}


def test_a_file_goes_to_the_name_or_into_the_folder_that_is_there(docker):
    docker.write("a", "A", 0o640)
    assert made(docker.tree(copy("a", to="/b"))) == {"b": f("A", 0o640)}
    assert made(docker.tree(copy("a", to="/opt"))) == {"opt/a": f("A", 0o640)}
    assert made(docker.tree(copy("a", to="/opt/"))) == {"opt/a": f("A", 0o640)}
    assert made(docker.tree(copy("a", to="/"))) == {"a": f("A", 0o640)}
    assert made(docker.tree(copy("a", to="/n/w/"))) == {
        "n": d(),
        "n/w": d(),
        "n/w/a": f("A", 0o640),
    }
    assert made(docker.tree(copy("a", to="/opt/old"))) == {"opt/old": f("A", 0o640)}


def test_several_files_go_into_a_folder(docker):
    for name in ("a", "b", "c"):
        docker.write(name, name)
    inside = {"n": d(), "n/a": f("a"), "n/b": f("b")}
    assert made(docker.tree(copy("a", "b", to="/n"))) == inside
    assert made(docker.tree(copy("[ab]", to="/n"))) == inside
    assert made(docker.tree(copy("[ab]", "none*", "c", to="/n"))) == {**inside, "n/c": f("c")}
    assert made(docker.tree(copy("b*", "none*", to="/n"))) == {"n": f("b")}
    assert made(docker.tree(copy("a", "b", to="/opt"))) == {"opt/a": f("a"), "opt/b": f("b")}
    assert "n/b" in docker.tree(copy("a", "b", to="/n", link=True))
    with pytest.raises(UsageError, match="cannot copy to non-directory: /opt/old"):
        docker.tree(copy("a", "b", to="/opt/old"))


def test_a_folder_gives_its_contents_and_leaves_the_destination_as_it_is(docker):
    docker.write("src/sub/x", "X", 0o600)
    docker.write("src/y", "Y")
    (docker.folder / "src").chmod(0o700)
    (docker.folder / "src/sub").chmod(0o750)
    want = {"n": d(), "n/sub": d(0o750), "n/sub/x": f("X", 0o600), "n/y": f("Y")}
    for source in ("src", "src/", "src/.", "/src", "../src", "./src"):
        assert made(docker.tree(copy(source, to="/n"))) == want
    found = docker.tree(
        run("mkdir -m 711 /n; mkdir -m 777 /n/sub; touch /n/sub/z"), copy("src", to="/n")
    )
    assert found["n"] == d(0o711)
    assert found["n/sub"] == d(0o750)
    assert found["n/sub/z"] == f("")


def test_wildcards_are_gos_and_folders_give_their_contents(docker):
    for path in ("a1", "a2", "b[c", "d1/in", ".hidden", "e/f.txt"):
        docker.write(path, path)
    (docker.folder / "lnk").symlink_to("e")
    names = lambda *kinds: set(made(docker.tree(*kinds))) - {"n"}  # noqa: E731
    assert names(copy("a?", to="/n/")) == {"n/a1", "n/a2"}
    assert names(copy("*", to="/n/")) == {
        "n/a1", "n/a2", "n/b[c", "n/in", "n/.hidden", "n/f.txt",
    }  # fmt: skip
    assert names(copy("b[[]c", to="/n/")) == {"n/b[c"}
    assert names(copy("*/f.txt", to="/n/")) == {"n/f.txt"}
    assert names(copy("nothing*", "a1", to="/n/")) == {"n/a1"}
    assert made(docker.tree(copy("nothing*", to="/n/"))) == {}
    assert set(made(docker.tree(copy("a*", to="/opt")))) == {"opt/a1", "opt/a2"}


def test_links_that_are_named_are_followed_but_never_out(docker, tmp_path):
    docker.write("data/real", "R")
    (tmp_path / "secret").write_text("S")
    links = {
        "one": "two", "two": "data/real", "dir": "/data", "data/rel": "real", "out": "../../secret",
        "abs": str(tmp_path / "secret"), "data/dangling": "nowhere",
    }  # fmt: skip
    for name, target in links.items():
        (docker.folder / name).symlink_to(target)
    assert made(docker.tree(copy("one", to="/n"))) == {"n": f("R")}
    assert made(docker.tree(copy("one", to="/n/")))["n/one"] == f("R")
    assert made(docker.tree(copy("dir/real", to="/n"))) == {"n": f("R")}
    assert made(docker.tree(copy("dir", to="/n"))) == {
        "n": d(),
        "n/real": f("R"),
        "n/rel": ("link", 0o777, 0, 0, "real"),
        "n/dangling": ("link", 0o777, 0, 0, "nowhere"),
    }
    for name in ("out", "abs"):
        with pytest.raises(UsageError, match=f'"/{name}": not found'):
            docker.build(copy(name, to="/n"))


def test_what_is_missing_or_ignored_is_said_with_its_line(docker):
    docker.write("logs/a")
    docker.ignore = ("logs", "# comment", "")
    for name in ("nothing", "logs", "logs/a", "deep/er/x"):
        with pytest.raises(UsageError) as caught:
            docker.build(copy(name, to="/n"))
        assert caught.value.message == f'"/{name}": not found'
        assert str(caught.value.where) == "Dockerfile:3"


def test_the_ignore_file_decides_what_is_there(docker):
    for path in ("a/b/keep", "a/b/drop", "c"):
        docker.write(path)
    docker.ignore = ("**", "!a/b/keep")
    assert set(made(docker.tree(copy(".", to="/n")))) == {"n", "n/a", "n/a/b", "n/a/b/keep"}
    assert set(made(docker.tree(copy("a/b", to="/n")))) == {"n", "n/keep"}


def test_links_in_the_destination_are_followed_inside_the_root(docker):
    docker.write("src/x")
    links = run("ln -s /opt /l; ln -s ../../../data /opt/up; mkdir /data; ln -s /void/deep /v")
    assert set(made(docker.tree(links, copy("src/x", to="/l/")))) >= {"opt/x"}
    assert set(made(docker.tree(links, copy("src", to="/l/up")))) >= {"data/x"}
    found = docker.tree(links, copy("src", to="/v/"))
    assert found["void"] == found["void/deep"] == d()
    assert found["void/deep/x"] == f()


def test_what_cannot_be_merged_is_refused_as_by_buildkit(docker):
    docker.write("src/x")
    docker.write("f")
    for below, kind, text in (
        (run("true"), copy("src", to="/opt/old"), "cannot copy to non-directory: /opt/old"),
        (
            run("mkdir /n; ln -s /opt /n/src"),
            copy(".", to="/n"),
            "cannot copy to non-directory: /n/src",
        ),
        (run("mkdir -p /n/f"), copy(".", to="/n"), "cannot replace to directory /n/f with file"),
    ):
        with pytest.raises(UsageError) as caught:
            docker.build(below, kind)
        assert caught.value.message == text
    assert docker.tree(run("ln -s /opt/old /n"), copy("f", to="/"))["f"] == f()
    assert docker.tree(run("ln -s /opt/old /f"), copy("f", to="/"))["f"] == f()


def test_owners_are_names_in_the_image_or_numbers(docker):
    docker.write("src/sub/x")
    users = run(
        "echo app:x:1000:1001::/:/bin/sh >> /etc/passwd; echo web:x:33: >> /etc/group; mkdir -m 700 /there"
    )
    for owner, uid, gid in (
        (m.Owner("app", ""), 1000, 1001),
        (m.Owner("app", "web"), 1000, 33),
        (m.Owner(1000, ""), 1000, 1000),
        (m.Owner(7, "web"), 7, 33),
        (m.Owner(7, 8), 7, 8),
    ):
        found = docker.tree(users, copy("src", to="/n/w", owner=owner))
        assert {told[2:4] for path, told in found.items() if path.startswith("n")} == {(uid, gid)}
    found = docker.tree(users, copy("src", to="/there", owner=m.Owner("app", "")))
    assert found["there"] == d(0o700)
    assert found["there/sub"] == d(0o755, 1000, 1001)
    with pytest.raises(UsageError, match="no user 'nobody'"):
        docker.build(copy("src", to="/n", owner=m.Owner("nobody", "")))


def test_modes_are_octal_as_they_are_or_symbolic(docker):
    docker.write("src/sub/x", "X", 0o755)
    found = docker.tree(copy("src", to="/n/w", mode=m.Mode(octal=0o700)))
    assert {told[1] for path, told in found.items() if path.startswith("n")} == {0o700}
    found = docker.tree(copy("src", to="/n", mode=m.Mode(symbolic="go-w,u=rw,a+X")))
    assert found["n"] == d()
    assert found["n/sub"] == d(0o755)
    assert found["n/sub/x"][1] == 0o655 | 0o100
    assert docker.tree(copy("src/sub/x", to="/n", mode=m.Mode(octal=0o4711)))["n"][1] == 0o4711


def test_special_files_and_setuid(docker):
    docker.write("src/su", "", 0o4755)
    os.mkfifo(docker.folder / "src/pipe", 0o622)
    with socket.socket(socket.AF_UNIX) as one:
        before = os.getcwd()
        os.chdir(docker.folder / "src")
        try:
            one.bind("sock")
        finally:
            os.chdir(before)
    (docker.folder / "src/sock").chmod(0o666)
    (docker.folder / "src/pipe").chmod(0o622)
    found = docker.tree(copy("src", to="/n"))
    assert found["n/su"][1] == 0o4755
    assert found["n/sock"] == f("", 0o666)
    assert found["n/pipe"][:2] == ("6", 0o622)


def test_heredocs_are_files_of_root(docker):
    text = m.InlineFile("name", "one\n")
    assert made(docker.tree(copy(text, to="/n"))) == {"n": f("one\n")}
    both = copy(
        text, m.InlineFile("two", "2"), to="/n/", mode=m.Mode(octal=0o600), owner=m.Owner(5, "")
    )
    assert made(docker.tree(both)) == {
        "n": d(0o600, 5, 5),
        "n/name": f("one\n", 0o600, 5, 5),
        "n/two": f("2", 0o600, 5, 5),
    }


def test_an_empty_context_and_an_empty_folder(docker):
    assert made(docker.tree(copy(".", to="/n"))) == {"n": d()}
    assert made(docker.tree(copy(".", to="/"))) == {}

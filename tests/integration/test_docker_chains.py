"""Instructions on top of each other: overlaps, swaps, round trips, long chains, odd names."""

import shutil

import pytest
from support.dockered import Dockered, copy, run

from buildgraph.errors import UsageError
from buildgraph.spec import model as m


@pytest.fixture
def docker(tmp_path, monkeypatch):
    return Dockered.make(tmp_path, monkeypatch)


def test_names_in_any_script_are_themselves(docker):
    for name in ("ärger", "日本", "a b", "p+q", "50%C3%A4", "new\nline"):
        docker.write(f"src/{name}", name)
    found = docker.tree(copy("src", to="/n"), copy("src/ä*", to="/ö/"), copy("src/a b", to="/c d"))
    assert {k for k in found if k.startswith("n/")} == {
        "n/ärger", "n/日本", "n/a b", "n/p+q", "n/50%C3%A4", "n/new\nline",
    }  # fmt: skip
    assert found["ö/ärger"][4] == "ärger"
    assert found["c d"][4] == "a b"


def test_a_folder_may_become_a_file_between_builds_and_back(docker):
    docker.write("x/in", "1")
    kind = copy(".", to="/n/")
    assert docker.tree(kind)["n/x/in"][4] == "1"
    shutil.rmtree(docker.folder / "x")
    docker.write("x", "2")
    assert docker.tree(kind)["n/x"][4] == "2"
    (docker.folder / "x").unlink()
    docker.write("x/in", "1")
    assert docker.tree(kind)["n/x/in"][4] == "1"


def test_folders_over_folders_links_and_files(docker):
    docker.write("a/same", "A")
    docker.write("b/same", "B")
    docker.write("b/more", "B")
    (docker.folder / "b").chmod(0o700)
    for to in ("/n", "/n/"):
        found = docker.tree(
            run("mkdir -m 751 /n; echo 0 > /n/same"), copy("a", to=to), copy("b", to=to)
        )
        assert found["n"] == ("dir", 0o751, 0, 0, "")
        assert (found["n/same"][4], found["n/more"][4]) == ("B", "B")
    assert docker.tree(copy("a", "b", to="/n/"))["n/same"][4] == "B"
    linked = docker.tree(run("mkdir /d; ln -s d /n"), copy("a", to="/n"), copy("b", to="/n/"))
    assert linked["d/more"][4] == "B"
    swapped = run("rm -r /n; ln -s /opt /n"), run("rm /n; echo f > /n"), run("rm /n; mkdir /n")
    for at, what in enumerate(("link", "file", "dir"), 1):
        assert docker.tree(copy("a", to="/n"), *swapped[:at])["n"][0] == what
    with pytest.raises(UsageError, match="cannot copy to non-directory: /n"):
        docker.build(copy("a", to="/n"), *swapped[:2], copy("b", to="/n"))


def test_sources_in_each_others_way_are_refused(docker):
    docker.write("a/x/in")
    docker.write("b/x")
    with pytest.raises(UsageError, match="cannot replace to directory /n/x with file"):
        docker.build(copy("a", "b", to="/n/"))
    with pytest.raises(UsageError, match="cannot copy to non-directory: /n/x"):
        docker.build(copy("b", "a", to="/n/"))


def test_there_and_back_again_changes_nothing(docker):
    made = run(
        "mkdir -m 750 -p /d/e; echo 1 > /d/f; ln /d/f /d/e/g; ln -s ../f /d/e/l;"
        "busybox chown 7:8 /d/f; chmod 6755 /d/f; busybox mkfifo -m 600 /d/p"
    )
    first = docker.stage("first", made)
    second = docker.stage("second", copy("/d", to="/other", ref=first))
    there = {k.removeprefix("d/"): t for k, t in docker.tree(made).items() if k.startswith("d/")}
    found = docker.tree(copy("/other", to="/d", ref=second))
    back = {k.removeprefix("d/"): t for k, t in found.items() if k.startswith("d/")}
    assert back == there
    assert back["e/g"][1:4] == (0o6755, 7, 8)


def test_one_name_of_a_hard_linked_file_may_go(docker):
    found = docker.tree(run("echo 1 > /a; ln /a /b; ln /a /c"), run("rm /a"))
    assert {found["b"][4], found["c"][4]} <= {"1\n", "b", "c"}
    assert "a" not in found


def test_folders_of_the_base_keep_their_modes(docker):
    docker.write("x")
    kinds = (
        copy("x", to="/tmp/x"),
        copy("x", to="/root/x"),
        m.Workdir("/root/w"),
        run("echo > /tmp/y"),
    )
    said = run("stat -c %a / /tmp /root")
    docker.build(*kinds, said)
    assert docker.workspace.output("main-s4") == ["755", "1777", "700"]


def test_chains_of_more_layers_than_the_kernel_takes_at_once(docker):
    kinds = [copy(m.InlineFile("f", f"{n}"), to=f"/n/{n}") for n in range(130)]
    found = docker.tree(*kinds, run("ls /n | wc -l > /count"))
    assert found["count"][4].strip() == "130"

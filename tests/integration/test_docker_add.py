"""ADD of archives: told by content, unpacked where links lead, replacing what is in the way."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest
from support.dockered import Dockered, add, copy, run

from buildgraph.errors import BuildgraphError
from buildgraph.spec import model as m


@pytest.fixture
def docker(tmp_path, monkeypatch):
    return Dockered.make(tmp_path, monkeypatch)


def tar(*members):
    """``name/`` is a folder, ``name@target`` a link, ``name=other`` a hard link, anything else a file of 7:8."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in members:
            info = tarfile.TarInfo(member.rstrip("/"))
            info.uid, info.gid, info.mode = 7, 8, 0o750 if member.endswith("/") else 0o640
            data = b""
            if member.endswith("/"):
                info.type = tarfile.DIRTYPE
            elif "@" in member:
                info.name, info.linkname = member.split("@")
                info.type = tarfile.SYMTYPE
            elif "=" in member:
                info.name, info.linkname = member.split("=")
                info.type = tarfile.LNKTYPE
            else:
                data = b"in " + member.encode()
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def put(docker, name, content):
    (docker.folder / name).write_bytes(content)


def test_every_compression_is_told_by_content(docker):
    content = tar("d/", "d/f")
    want = {"d": ("dir", 0o750, 7, 8, ""), "d/f": ("file", 0o640, 7, 8, "in d/f")}
    for compress in (bytes, gzip.compress, bz2.compress, lzma.compress, _zstd):
        put(docker, "a.dat", compress(content))
        found = docker.tree(add("a.dat", to="/n"))
        assert {k.removeprefix("n/"): t for k, t in found.items() if k.startswith("n/")} == want
        assert found["n"] == ("dir", 0o755, 0, 0, "")


def _zstd(content):
    from backports import zstd as library

    return library.compress(content)


def test_what_is_no_archive_or_shall_not_be_unpacked_is_copied(docker):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x", "y")
    put(docker, "a.zip", packed.getvalue())
    put(docker, "a.tar", tar("f"))
    put(docker, "text.gz", gzip.compress(b"only text"))
    assert docker.tree(add("a.zip", "text.gz", to="/n/"))["n/a.zip"][0] == "file"
    assert docker.tree(add("a.tar", to="/n/", unpack=False))["n/a.tar"][0] == "file"
    assert docker.tree(copy("a.tar", to="/n/"))["n/a.tar"][0] == "file"
    assert set(docker.tree(add("*", to="/n/"))) >= {"n/a.zip", "n/text.gz", "n/f"}


def test_owners_and_folders(docker):
    put(docker, "a.tar", tar("d/e/f", "opt/", "opt/x"))
    found = docker.tree(run("mkdir -m 700 /d"), add("a.tar", to="/"))
    assert found["d"] == ("dir", 0o700, 0, 0, "")
    assert found["d/e"] == ("dir", 0o755, 0, 0, "")
    assert found["opt"] == ("dir", 0o755, 0, 0, "")
    assert found["opt/x"][2:4] == (7, 8)
    owned = docker.tree(add("a.tar", to="/n/", owner=m.Owner(5, 6), mode=m.Mode(octal=0o600)))
    assert {t[2:4] for k, t in owned.items() if k.startswith("n")} == {(5, 6)}
    assert owned["n/opt/x"][1] == 0o640


def test_links_in_the_image_are_followed_and_listed_folders_replace_them(docker):
    put(docker, "a.tar", tar("l/f"))
    below = run("mkdir /data; ln -s ../../data /l")
    found = docker.tree(below, add("a.tar", to="/"))
    assert found["data/f"][4] == "in l/f"
    assert found["l"][0] == "link"
    put(docker, "a.tar", tar("l/", "l/f"))
    found = docker.tree(below, add("a.tar", to="/"))
    assert found["l"][0] == "dir"
    assert found["l/f"][4] == "in l/f"
    assert "data/f" not in found


def test_anything_may_be_replaced_by_anything(docker):
    put(docker, "a.tar", tar("x", "y/", "y/z", "s@/opt", "h=x"))
    below = run("mkdir -p /x/deep /s; touch /y /x/deep/f; ln -s /opt /h")
    found = docker.tree(below, add("a.tar", to="/"))
    assert {found["h"][0], found["x"][0]} == {"hard", "file"}
    assert found["y/z"][4] == "in y/z"
    assert found["s"][0::4] == ("link", "/opt")
    assert "x/deep" not in found


def test_into_a_file_and_damaged_ones_fail(docker):
    put(docker, "a.tar", tar("f"))
    with pytest.raises(BuildgraphError, match="cannot copy to non-directory: /opt/old"):
        docker.build(add("a.tar", to="/opt/old"))
    put(docker, "a.tgz", gzip.compress(tar("f" * 50, *(f"g{n}" for n in range(200))))[:-500])
    [failure] = docker.attempt(add("a.tgz", to="/n/")).failures
    assert failure.code in ("bad-compression", "archive-truncated")
    assert str(failure.where) == "Dockerfile:3"


def test_a_second_build_unpacks_nothing(docker):
    put(docker, "a.tar", tar("f"))
    docker.build(add("a.tar", to="/n/"), run("ls /n"))
    docker.build(add("a.tar", to="/n/"), run("ls /n"))
    assert docker.workspace.ran() == set()
    put(docker, "a.tar", gzip.compress(tar("f")))
    docker.build(add("a.tar", to="/n/"), run("ls /n"))
    assert docker.workspace.ran() == {"main-s0"}

"""Contexts that do not lie in a folder: git repositories, archives and Dockerfiles at an address, streams."""

import io
import tarfile
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from support.dockerbuilds import Docker
from support.gitserver import Files, Repository

from buildgraph.build.checking import check
from buildgraph.errors import BuildgraphError, UsageError

FILE = "FROM box\nCOPY . /c/\nRUN cat /c/a > /a\n"


@pytest.fixture
def web() -> Iterator[Files]:
    with Files() as web:
        yield web


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker.make(tmp_path)


def archive(mode: str = "w", **files: str) -> bytes:
    """Each file is a day older than the one before it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for at, (name, text) in enumerate(files.items()):
            member = tarfile.TarInfo(name.replace("__", "/"))
            member.size, member.mtime = len(text), 864000 - at * 86400
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def test_a_repository_at_a_ref_and_a_folder_of_it(
    docker: Docker, web: Files, tmp_path: Path
) -> None:
    repo = Repository(tmp_path / "repo", web)
    repo.commit(Dockerfile=FILE, a="1", sub__Dockerfile=FILE, sub__a="2", x__f=FILE)
    repo.git("tag", "v1")
    repo.commit(a="3")
    url = f"{web.url}/r.git"
    found = docker.files(context=f"{url}#v1")
    assert (found["a"], "c/.git/HEAD" in found) == ("1", False)
    assert docker.counts() == {"executed": 2}
    assert docker.files(context=url)["a"] == "3"
    assert docker.files(context=f"{url}?branch=main&subdir=sub")["a"] == "2"
    assert docker.files(context=f"{url}#main:sub", file="Dockerfile")["a"] == "2"
    assert docker.files(context=url, file="x/f")["a"] == "3"
    docker.build(context=f"{url}#v1")
    assert docker.counts() == {"reused": 2}
    kept = docker.tree(context=url, args={"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"})
    assert "c/.git/HEAD" in kept
    for wrong in ("#none", "#main:none", "#main:../.."):
        with pytest.raises(BuildgraphError) as caught:
            docker.build(context=url + wrong)
        assert caught.value.code in ("git-ref-missing", "no-context")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_at_an_address(docker: Docker, web: Files, mode: str) -> None:
    web.files["/any.name"] = archive(mode, Dockerfile=FILE, a="1", d__f="FROM scratch\nCOPY a /b\n")
    assert docker.files(context=f"{web.url}/any.name")["a"] == "1"
    assert docker.files(context=f"{web.url}/to/any.name", file="d/f") == {"b": "1"}
    docker.workspace.write("own/File", "FROM scratch\nCOPY a /own\n")
    assert docker.files(context=f"{web.url}/any.name", file="own/File") == {"own": "1"}


def test_a_dockerfile_at_an_address(docker: Docker, web: Files) -> None:
    web.files["/some.txt"] = b"FROM box\nRUN echo 1 > /a\n"
    assert docker.files(context=f"{web.url}/some.txt") == {"a": "1\n"}
    with pytest.raises(UsageError) as caught:
        docker.build(context=f"{web.url}/some.txt", file="x")
    assert caught.value.code == "no-context"
    with pytest.raises(BuildgraphError) as caught:
        docker.build(context=f"{web.url}/none")
    assert caught.value.code == "fetch-failed"


def test_the_time_of_a_context(docker: Docker, web: Files, tmp_path: Path) -> None:
    repo = Repository(tmp_path / "repo", web)
    repo.commit(Dockerfile=FILE, a="1")
    web.files["/a.tar"] = archive(Dockerfile="FROM scratch\nCOPY a /\n", a="1")

    def created(**asked: object) -> object:
        args = {"SOURCE_DATE_EPOCH": "context"}
        return docker.config(docker.build(args=args, **asked))["created"]

    docker.write("Dockerfile", "FROM scratch\nCOPY a /\n")
    docker.write("a", "1")
    assert created() == docker.config(docker.build())["created"]
    assert created(context=f"{web.url}/a.tar") == "1970-01-11T00:00:00Z"
    stream = io.BytesIO(web.files["/a.tar"])
    assert created(context="-", stdin=stream) == "1970-01-11T00:00:00Z"
    web.modified = formatdate(86400, usegmt=True)
    assert created(context=f"{web.url}/a.tar") == "1970-01-02T00:00:00Z"
    assert created(context=f"{web.url}/r.git") == "2001-09-09T01:46:40Z"


def test_the_time_of_a_stage_that_is_made_of_sources(
    docker: Docker, web: Files, tmp_path: Path
) -> None:
    repo = Repository(tmp_path / "repo", web)
    repo.commit(a="1")
    web.files["/a.tar"] = archive(a="1")

    def created(stage: str, value: str = "src", **asked: object) -> object:
        text = f"ARG SOURCE_DATE_EPOCH={value}\nFROM scratch AS src\n{stage}\nFROM scratch\nCOPY Dockerfile /\n"
        return docker.config(docker.build(text, **asked))["created"]

    assert created(f"ADD {web.url}/r.git /") == "2001-09-09T01:46:40Z"
    assert created(f"ARG N=r\nADD {web.url}/${{N}}.git /", "SRC") == "2001-09-09T01:46:40Z"
    assert created(f"ADD {web.url}/a.tar /") == "1970-01-11T00:00:00Z"
    web.modified = formatdate(86400, usegmt=True)
    assert created(f"ADD {web.url}/a.tar /") == "1970-01-02T00:00:00Z"
    assert created(f"ADD {web.url}/a.tar /\nADD {web.url}/r.git /") == "2001-09-09T01:46:40Z"
    assert created("ADD a /", args={"SOURCE_DATE_EPOCH": "86400"}) == "1970-01-02T00:00:00Z"
    plain = docker.config(docker.build("FROM scratch\nCOPY Dockerfile /\n"))["created"]
    assert created("ADD a /", args={"SOURCE_DATE_EPOCH": ""}) == plain
    contexts = {"src": f"{web.url}/r.git"}
    assert created("ADD a /", contexts=contexts) == "2001-09-09T01:46:40Z"


def test_named_contexts_are_fetched_when_they_are_needed(
    docker: Docker, web: Files, tmp_path: Path
) -> None:
    repo = Repository(tmp_path / "repo", web)
    repo.commit(a="1", sub__b="2")
    web.files["/a.tar"] = archive(f="3")
    contexts = {
        "git": f"{web.url}/r.git#main:sub",
        "tar": f"{web.url}/a.tar",
        "no": f"{web.url}/no",
    }
    text = "FROM scratch\nCOPY --from=git b /\nCOPY --from=tar . /t/\n"
    assert docker.files(text, contexts=contexts) == {"b": "2", "t/f": "3"}
    repo.commit(sub__b="4")
    assert docker.files(text, contexts=contexts)["b"] == "4"
    web.seen.clear()
    docker.build("FROM scratch\nCOPY Dockerfile /\n", contexts=contexts)
    assert web.seen == []


def test_a_dockerfile_is_found_by_any_way_to_it(docker: Docker) -> None:
    folder = docker.workspace.folder
    docker.write("low/dockerfile", "FROM scratch\nCOPY dockerfile /low\n")
    assert set(docker.files(context="ctx/low")) == {"low"}
    docker.write("low/Dockerfile", "FROM scratch\nCOPY Dockerfile /high\n")
    assert set(docker.files(context="ctx/low")) == {"high"}
    (folder / "link").symlink_to("ctx/low/dockerfile")
    for file in ("link", str(folder / "link"), "./ctx/../link"):
        assert set(docker.files(context="ctx/low", file=file)) == {"low"}
    (folder / "away").symlink_to("ctx/low")
    assert set(docker.files(context="away")) == {"high"}
    assert set(docker.files(context=str(folder / "ctx/low"), file="ctx/low/dockerfile")) == {"low"}
    with pytest.raises(UsageError) as caught:
        docker.build(context="ctx", file="ctx/low")
    assert caught.value.code == "no-dockerfile"


@pytest.mark.parametrize("line", ["!", "[a", "x\\"])
def test_a_wrong_line_of_an_ignore_file_is_told(docker: Docker, line: str) -> None:
    docker.write(".dockerignore", f"# first\n\n{line}\n")
    with pytest.raises(UsageError) as caught:
        docker.build("FROM scratch\nCOPY . /\n")
    assert caught.value.code == "bad-pattern"
    assert str(caught.value.where) == ".dockerignore:3"
    assert caught.value.render().startswith(f".dockerignore:3:\n    {line}\n")


def test_the_time_of_a_stage_in_a_buildfile_is_that_of_the_same_dockerfile_alone(
    docker: Docker, web: Files
) -> None:
    web.files["/a"] = b"1"
    web.modified = formatdate(86400, usegmt=True)
    text = f"FROM scratch AS src\nADD {web.url}/a /\nFROM scratch\nCOPY Dockerfile /\n"
    alone = docker.build(text, args={"SOURCE_DATE_EPOCH": "src"})
    docker.workspace.buildfile(
        '[image.i]\ndockerfile = "Dockerfile"\ncontext = "ctx"\nargs = { SOURCE_DATE_EPOCH = "src" }\n'
    )
    mixed = docker.workspace.build("i")
    assert docker.config(mixed)["created"] == "1970-01-02T00:00:00Z"
    assert mixed.images[0].digest == alone.images[0].digest
    before = len(web.seen)
    assert check(docker.workspace.request()) == []
    assert len(web.seen) == before
    web.modified = formatdate(2 * 86400, usegmt=True)
    assert docker.config(docker.workspace.build("i"))["created"] == "1970-01-03T00:00:00Z"

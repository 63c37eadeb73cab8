"""COPY and ADD as they are written: what their words become, and where their mistakes are said to be."""

from pathlib import Path

import pytest
from support.dockerbuilds import Docker

from buildgraph.errors import UsageError

BELOW = """\
FROM box AS Below
RUN mkdir -p /w/in && echo f > /w/in/f && echo q > /w/q && ln -s /opt /lnk
WORKDIR /w/in
ENV E= U=5 G=6 M=u=rwX,go=
"""
BASE = ("usr", "bin", "lib", "etc", "var", "opt", "tmp", "root", ".")


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    docker = Docker.make(tmp_path)
    for path in ("a", "b c", "s/x/y/1.txt", "s/x/y/2.md", "s/z"):
        docker.write(path, path)
    return docker


def tree(docker: Docker, text: str) -> dict[str, tuple[int, int, int]]:
    """Mode and owner of what is not the base's."""
    return {
        path: (member.mode, member.uid, member.gid)
        for path, member in docker.tree(text).items()
        if path.partition("/")[0] not in BASE
    }


def below(docker: Docker, text: str) -> set[str]:
    made = {"lnk", "w", "w/in", "w/in/f", "w/q"}
    return set(tree(docker, BELOW + text)) - made


def test_destinations_are_words(docker: Docker) -> None:
    text = 'COPY a $E\nCOPY a ../up\nCOPY ["b c", "./d e/"]\nCOPY a /w/in/f\nCOPY s/z ..\n'
    want = {"w/in/a", "w/up", "w/in/d e", "w/in/d e/b c", "w/z"}
    assert below(docker, text) == want
    assert below(docker, 'COPY a ""\n') == below(docker, "COPY a ./\n") == {"w/in/a"}
    assert below(docker, "COPY --link a $E\nCOPY --link s/z .\n") == {"w/in/a", "w/in/z"}


def test_flags_are_words(docker: Docker) -> None:
    found = tree(docker, BELOW + "COPY --chown=$U:$G --chmod=$M s /own/er\n")
    assert found["own"] == found["own/er"] == (0o755, 5, 6)
    assert (found["own/er/x"], found["own/er/z"]) == ((0o700, 5, 6), (0o600, 5, 6))
    found = tree(docker, BELOW + "COPY --chown=$U --chmod=0 a /n\nCOPY --chmod=04711 a /m/o\n")
    assert (found["n"], found["m"], found["m/o"]) == ((0, 5, 5), (0o4711, 0, 0), (0o4711, 0, 0))


def test_stages_are_called_by_number_name_and_image(docker: Docker) -> None:
    text = (
        "FROM box\nCOPY --from=0 w/q /1\nCOPY --from=BELOW /w/in/ /2/\nCOPY --from=box opt/old /3\n"
    )
    assert set(tree(docker, BELOW + text)) == {"1", "2", "2/f", "3"}
    with pytest.raises(UsageError, match='"/f": not found') as caught:
        docker.build(BELOW + "FROM box\nCOPY --from=below f /4\n")
    assert str(caught.value.where) == "ctx/Dockerfile:6"


def test_a_linked_copy_does_not_look_below(docker: Docker) -> None:
    found = tree(docker, BELOW + "COPY --link a /lnk/a\n")
    assert (found["lnk"], "lnk/a" in found) == ((0o755, 0, 0), True)


def test_parents_and_what_is_left_out(docker: Docker) -> None:
    text = "COPY --parents s/./x/*/*.txt /p/\nCOPY --parents s/**/*.md ./q/\nCOPY --parents no*/x /n/\n"
    assert below(docker, text) == {
        "p", "p/x", "p/x/y", "p/x/y/1.txt", "n",
        "w/in/q", "w/in/q/s", "w/in/q/s/x", "w/in/q/s/x/y", "w/in/q/s/x/y/2.md",
    }  # fmt: skip
    text = (
        "COPY --exclude=*.md --exclude=x/y/1* s /e/\nADD --exclude=z s /f/\nCOPY --exclude=* s /g\n"
    )
    assert below(docker, text) == {
        "e", "e/x", "e/x/y", "e/x/y/2.md", "e/z", "f", "f/x", "f/x/y", "f/x/y/1.txt", "f/x/y/2.md", "g",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("COPY --chmod=64a a /x", "bad-mode"),
        ("COPY --chmod=10000 a /x", "bad-mode"),
        ("COPY --chown=nobody a /x", "unknown-user"),
        ("COPY --from=$U a /x", "variable-in-from"),
        ("COPY --from=9 a /x", "unknown-stage"),
        ("COPY nothing /x", "source-missing"),
        ("COPY --parents nothing /x/", "source-missing"),
        ("COPY http://127.0.0.1:9/x /x", "remote-copy"),
        ("ADD --checksum=sha256:00 a /x", "bad-checksum"),
        ("ADD --checksum=md5:00 http://127.0.0.1:9/x /x", "bad-checksum"),
        ("COPY a /opt/old/", "file-over-directory"),
        ("COPY s /opt/old", "file-over-directory"),
    ],
)
def test_a_mistake_stands_at_its_line(docker: Docker, line: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        docker.build(BELOW + line + "\nRUN true\n")
    assert caught.value.code == code
    assert str(caught.value.where) == "ctx/Dockerfile:5"
    assert f"| >>> {line}" in caught.value.render()

"""``convert`` of what copies and commands do less often; the images are the same all the same."""

import os
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from support.dockerbuilds import Docker
from support.dockercases import CASES, filled
from support.rewritten import check, converted

from buildgraph.errors import ErrorGroup, UsageError

SAME = {
    "archives": """
        FROM box
        ADD site.tar.gz /srv/
        ADD site.tar.gz packed /both/
        ADD --unpack=false packed /kept.tar
        COPY packed /copied/
    """,
    "many archives": """
        FROM scratch
        ADD *.tar.gz words.txt /all/
    """,
    "wildcards in folders": """
        FROM scratch
        COPY */deep/*.txt /found/
        COPY s[u]b/a.txt words.tx? /some/
        COPY w*.txt /one
        COPY none*.x words.txt /none/
    """,
    "folders that match": """
        FROM scratch
        COPY su* wor* /got/
        COPY --exclude=*.md su* wor* /less/
    """,
    "many files to one name": """
        FROM box
        COPY s[u]b/*.md words.txt /one
        COPY sub words.txt /folder
        COPY sub /other
        COPY words.txt /other
        COPY words.tx? /name
    """,
    "links that are named": """
        FROM scratch
        COPY link chain /named/
        COPY chain /as
        COPY folder /contents/
        COPY folder/a.txt /x/
        COPY inside /inside/
    """,
    "modes": """
        FROM scratch
        COPY secret bin/tool /m/
        WORKDIR /plain
        COPY --chmod=0644 sub words.txt ./
        COPY --chmod=1750 words.txt /x
    """,
    "into folders that are there": """
        FROM box
        WORKDIR /app
        COPY words.txt /app
        COPY bin/tool /opt/d
        RUN mkdir -p /made/here
        COPY words.txt /made/here
        COPY <<EOF /made
        text
        EOF
    """,
    "scripts of other interpreters": """
        FROM box
        RUN <<EOF
        #!/usr/bin/env sh
        echo in > /zero
        EOF
        RUN <<EOF
        #!/usr/bin/busybox cat
        kept
        EOF
    """,
    "binds": """
        FROM box
        RUN --mount=target=/c ls -a /c /c/sub > /seen
        RUN --mount=target=/c,source=sub cat /c/a.txt > /a && ls /c > /names
    """,
    "nothing": """
        FROM box
        COPY none*.x /none/
        COPY words.txt /none
        RUN touch /x
    """,
    "stages of scratch": """
        FROM scratch AS files
        COPY sub /data/
        FROM scratch AS more
        COPY --from=files /data/*.txt /
        FROM box
        COPY --from=files / /all/
        COPY --from=more --chown=3 /a.txt /opt/
        RUN --mount=from=files,target=/f,source=/data cat /f/a.txt > /a
    """,
    "what a stage passes on": """
        FROM box AS one
        ARG WHO=me
        ENV A=1 PATH=$PATH:/x
        USER 7
        WORKDIR /w
        RUN echo $WHO $A > made
        FROM one
        ENV B=2
        RUN echo $B >> made && id -u >> made
        ENTRYPOINT ["cat"]
    """,
}
SAME |= {
    "modes of folders and of many files": """
        FROM box
        COPY odd /odd/
        COPY --chmod=g-w odd /less/
        COPY --parents odd/shared/*.txt /way/
        RUN --mount=target=/c cp -r /c/odd /bound
    """,
    "folders that are there": """
        FROM box
        RUN mkdir -p /app/deep && chmod 0700 /app/deep && mkdir -m 0711 /app/kept
        COPY sub /app
        COPY --from=box /opt /app
        COPY empty /new/folder/
        COPY --exclude=** sub /nothing/left
    """,
    "folders of stages": """
        FROM box AS first
        RUN mkdir -p /one/two && chmod 0711 /one/two && chown 7:8 /one && echo x > /one/two/x
        FROM box
        COPY --from=first /one/ /new
        COPY --from=first /one/two/ /opt/d
    """,
    "folders that copies made": """
        FROM box
        COPY words.txt bin/tool /x
        COPY words.txt /x
        COPY words.txt /y/
        COPY bin/tool /y
    """,
    "links that a wildcard of a stage matches": """
        FROM box AS first
        RUN mkdir /w && cd /w && echo 1 > a.so.1 && ln -s a.so.1 a.so && ln -s /etc/passwd b.so
        FROM scratch
        COPY --from=first /w/*.so* /lib/
    """,
    "working directories of somebody": """
        FROM box
        USER 7
        WORKDIR /opt/d
        WORKDIR /of/seven
        USER 7:9
        WORKDIR /of/seven/more
    """,
}
WHOLE = {
    "parents of an owner": """
        FROM box
        COPY --chown=7:8 words.txt /deep/down/
        COPY --from=box --chown=7 --chmod=0600 /opt/d/one /from/stage/
        COPY --chown=7:8 sub /opt/other/sub
        COPY --chmod=0700 words.txt /closed/in/
        COPY --chmod=0644 sub words.txt /plain/
        COPY --chown=9 . /new
        COPY --chown=9 sub/ /opt/d/more/
        ADD --chown=7:8 packed /owned/
    """,
    "special bits of a stage": """
        FROM box AS first
        RUN mkdir -m 1777 /one && mkdir -m 2755 /one/two && echo x > /one/x && chmod 4755 /one/x
        FROM scratch
        COPY --from=first --chmod=0600 /one /closed
        COPY --from=first --chmod=1700 /one /sticky
    """,
    "texts and files": """
        FROM box
        COPY words.txt <<EOF /t/
        text
        EOF
        RUN cat /t/* > /all
    """,
}
IGNORED = ("*.md\n", "*\n!sub\nsub/deep\n!words.txt\n", "sub\n!sub/a.txt\nsub/deep\n!sub/deep\n")


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    made = Docker.make(tmp_path)
    for name in ("words.txt", "sub/a.txt", "sub/keep.md", "sub/deep/b.txt", "readme.md"):
        made.write(name, f"{name}\n")
    made.write("bin/tool", "#!/bin/sh\n", 0o755)
    made.write("secret", "s", 0o600)
    context = made.workspace.folder / "ctx"
    for name, target in (("link", "words.txt"), ("chain", "link"), ("folder", "sub")):
        os.symlink(target, context / name)
    (context / "inside").mkdir()
    os.symlink("../words.txt", context / "inside/link")
    pack(context / "site.tar.gz", "w:gz", "index.html", "css/main.css")
    pack(context / "packed", "w:xz", "./top", "./new/folder/file")
    modes_of_their_own(made)
    return made


def modes_of_their_own(docker: Docker) -> None:
    folder = docker.workspace.folder / "ctx"
    for number in range(30):
        docker.write(f"odd/shared/{number}.txt", "x", 0o664)
    docker.write("odd/closed/file", "x", 0o600)
    for name, mode in (("odd", 0o775), ("odd/shared", 0o2775), ("odd/closed", 0o700)):
        (folder / name).chmod(mode)
    (folder / "empty").mkdir()


def pack(path: Path, mode: str, *names: str) -> None:
    with tarfile.open(path, mode) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.uid, member.gid, member.mode = len(name), 5, 6, 0o640
            archive.addfile(member, BytesIO(name.encode()))
        link = tarfile.TarInfo(f"{names[0]}.link")
        link.type, link.linkname = tarfile.SYMTYPE, names[0].removeprefix("./")
        archive.addfile(link)


@pytest.mark.parametrize("case", SAME)
def test_the_layers_are_the_same(docker: Docker, case: str) -> None:
    check(docker, SAME[case])


@pytest.mark.parametrize("case", WHOLE)
def test_the_files_are_the_same(docker: Docker, case: str) -> None:
    check(docker, WHOLE[case], whole=True)


@pytest.mark.parametrize("case", CASES)
def test_dockerfiles_of_all_shapes(tmp_path: Path, case: str) -> None:
    docker = filled(Docker.make(tmp_path))
    if CASES[case].ignore:
        docker.write(".dockerignore", CASES[case].ignore)
    check(docker, CASES[case].text, whole=True)


@pytest.mark.parametrize("ignored", IGNORED)
def test_binds_see_what_is_not_ignored(docker: Docker, ignored: str) -> None:
    docker.write(".dockerignore", ignored)
    check(docker, "FROM box\nRUN --mount=target=/c cd /c && find . -type f | sort > /seen\n")


def test_wildcards_meet_what_is_taken_back(docker: Docker) -> None:
    docker.write(".dockerignore", "*\n!sub\nsub/*.md\n!sub/keep.md\n!*.txt\n")
    check(docker, "FROM scratch\nCOPY sub/*.md /one/\nCOPY *.txt /two/\nCOPY sub/* /three/\n")


def test_a_repository_is_copied_and_bound_as_docker_does(docker: Docker) -> None:
    docker.write(".git/HEAD", "ref: x\n")
    text = "FROM box\nCOPY . /all/\nCOPY .git /g/\nCOPY .git/HEAD /h\n"
    check(docker, text + "RUN --mount=target=/c cat /c/.git/HEAD > /head\n")


REFUSED = {
    "COPY --from=first /etc/* /x/": "copies what is in each folder there",
    "COPY --from=first /etc/pass* /x": "becomes that file, or goes into that folder",
    "ADD --chown=7 site.tar.gz /": "folders over folders",
    "ADD bin.tar /": "the base has links",
    "COPY --link words.txt /bin/words": "--link to /bin/words",
    "COPY --link words.txt /opt": "replaces the folder that is there",
    "COPY --chown=7 words.txt /home/app/": "WORKDIR /home/app",
    "COPY many /many": "120 files and folders of ctx/many",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_would_become_another_tree_is_refused(docker: Docker, line: str) -> None:
    context = docker.workspace.folder / "ctx"
    for number in range(120):
        docker.write(f"many/{number}", "", 0o607)
    for number in range(200):
        docker.write(f"many/usual/{number}", "")
    for name, folder in (("bin.tar", "bin"), ("site.tar.gz", "css")):
        with tarfile.open(context / name, "w") as archive:
            member = tarfile.TarInfo(folder)
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
    docker.write("Dockerfile", f"FROM box AS first\nFROM box\nRUN touch /x\n{line}\n")
    with pytest.raises(UsageError) as caught:
        converted(docker)
    told = caught.value
    assert (told.code, told.where.line) == ("cannot-convert", 4)
    assert REFUSED[line] in f"{told.message} {told.hint}"


def test_what_cannot_be_said_is_told_at_once(docker: Docker) -> None:
    docker.write(
        "Dockerfile",
        "FROM box\n"
        "ADD https://example.com/x /x\n"
        "ADD https://example.com/r.git#v1 /r\n"
        "RUN --mount=type=cache,target=/c,from=box,source=/opt true\n"
        "RUN --mount=type=cache,target=/c,source=in true\n",
    )
    with pytest.raises(ErrorGroup) as caught:
        converted(docker)
    assert [(e.code, e.where.line) for e in caught.value.errors] == [
        ("cannot-convert", line) for line in (2, 3, 4, 5)
    ]
    assert all(isinstance(error, UsageError) and error.hint for error in caught.value.errors)

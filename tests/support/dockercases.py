"""Dockerfiles of all shapes, for those who build them twice in different ways."""

import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO

from support.dockerbuilds import Docker


@dataclass(frozen=True)
class Case:
    text: str
    args: tuple[tuple[str, str], ...] = ()
    ignore: str = ""
    unlike: Mapping[str, str] = field(default_factory=dict)


SCRATCH = {"WorkingDir": "BuildKit's is / where nothing says otherwise, and there is no base"}

CASES = {
    "where copies go": Case("""
        FROM box
        COPY a.txt /x
        COPY a.txt /opt
        COPY a.txt /new/deep/
        COPY a.txt b.txt /two/
        COPY a.txt /two/b.txt
        WORKDIR /w/sub
        COPY a.txt .
        COPY a.txt ../up
        COPY a.txt rel/name
        COPY ["a b", "blank/"]
        COPY a.txt /tmp/
        COPY b.txt /bin/
    """),
    "folders": Case("""
        FROM box
        COPY sub /opt/d
        COPY sub/ /contents/
        COPY sub/. /dot
        COPY sub b.txt /mixed/
        COPY . /all/
        COPY sub/deep/../deep /back
        COPY / /root-of-context/
    """),
    "wildcards": Case(
        """
        FROM scratch
        COPY *.txt /star/
        COPY ?.txt /one/
        COPY [ab].txt /class/
        COPY sub/*.md b.t?t /several/
        COPY su* /folders/
        COPY sub/*/*.txt /inside/
    """,
        unlike=SCRATCH,
    ),
    "owners and modes": Case(
        """
        FROM box
        COPY --chown=7:8 a.txt /o/numbers
        COPY --chown=7 a.txt /o/number
        COPY --chown=root:root sub /o/names
        COPY --chown=9:9 a.txt /made/for/
        COPY --chmod=0600 a.txt /m/file
        COPY --chmod=755 a.txt b.txt /m/files/
        COPY --chown=7:8 sub /opt/d
        COPY tool closed /kept/
        """,
        unlike={"m": "BuildKit gives folders that it makes the mode of --chmod, too"},
    ),
    "links": Case(
        """
        FROM box
        COPY link /l/as-file
        COPY links /l/inside/
        COPY tofolder /l/folder/
        RUN ln -s /opt/d /through && ln -s d /opt/rel
        COPY a.txt /through/
        COPY a.txt /opt/rel/sub/
        """
    ),
    "archives": Case(
        """
        FROM box
        ADD site.tar.gz /srv/
        ADD site.tar.gz /opt/d
        COPY site.tar.gz /copied/
        ADD a.txt sub /plain/
        ADD --chown=7:8 site.tar.gz /owned/
        """,
        unlike=dict.fromkeys(
            ("owned/index.html", "owned/new/folder/file"), "BuildKit's --chown is for members, too"
        ),
    ),
    "what is ignored": Case(
        """
        FROM scratch
        COPY . /
        COPY sub /s
        COPY *.txt /star/
        """,
        ignore="# not these\n*.md\n!sub/keep.md\nsub/deep\n**/b.txt\n/closed\nnone/\n",
        unlike=SCRATCH,
    ),
    "only what is taken back": Case(
        "FROM scratch\nCOPY . /all/\n",
        ignore="*\n!sub\n!a.txt\nsub/*.md\n!sub/keep.md\n",
        unlike=SCRATCH,
    ),
    "working folders": Case("""
        FROM box
        WORKDIR /a
        WORKDIR b/c
        WORKDIR ../d
        ENV DIR=/from/env
        WORKDIR $DIR/x
        WORKDIR /tmp
        WORKDIR /opt/d/new
        RUN pwd > /pwd
    """),
    "environments": Case(
        """
        ARG VERSION=1
        FROM box AS base
        ARG VERSION
        ARG NAME=n OTHER
        ENV A=1 B="two words" C=back\\ slash
        ENV OLD form of old
        ENV PATH=/x:$PATH V=$VERSION N=${NAME:-none} O=${OTHER:-none} P=${NAME:+set}
        ENV A=2 D=$A
        ENV E='$A' F="$A" G=\\$A H=
        RUN echo "$A $D $V $N $GIVEN" > /env
        FROM base
        ARG GIVEN
        ENV GIVEN=$GIVEN A=3
        RUN echo "$A $GIVEN" > /given
        """,
        args=(("GIVEN", "from outside"), ("VERSION", "2")),
    ),
    "commands": Case("""
        FROM box AS both
        ENTRYPOINT ["/entry", "a"]
        CMD ["b"]
        FROM both
        ENTRYPOINT ["/other"]
    """),
    "a command alone": Case("""
        FROM box AS one
        ENTRYPOINT ["/entry"]
        CMD ["first"]
        CMD ["second", "$HOME"]
        FROM one
        CMD echo "$HOME"
    """),
    "shells": Case(
        """
        FROM box
        SHELL ["/bin/sh", "-ec"]
        RUN echo $0 > /zero
        CMD echo hi
        ENTRYPOINT run me
        """,
        unlike=dict.fromkeys(
            ("Cmd", "Entrypoint"), "SHELL is for them, too (Dockerfile reference)"
        ),
    ),
    "all of a config": Case("""
        FROM box
        LABEL a=1 b="two words" "c d"=e
        LABEL a=2 multi="x\\
        y"
        EXPOSE 80 443/tcp 53/udp
        VOLUME /data /more
        VOLUME ["/json"]
        USER 7:8
        STOPSIGNAL SIGINT
        HEALTHCHECK --interval=5s --timeout=3s --retries=2 CMD ["true"]
        MAINTAINER me
        WORKDIR /w
        ONBUILD RUN echo fired > /fired
        ONBUILD COPY a.txt /by-trigger
        ONBUILD ENV T=1
    """),
    "users": Case("""
        FROM box
        RUN echo me:x:7:8::/home/me:/bin/sh >> /etc/passwd && echo us:x:8: >> /etc/group
        COPY --chown=me:us a.txt /named
        COPY --chown=me a.txt /alone
        USER me
        RUN id -u > /tmp/id && id -g >> /tmp/id && echo $HOME >> /tmp/id
        USER 7
        RUN id -u > /tmp/seven
    """),
    "stages": Case("""
        FROM box AS build
        RUN mkdir /out && echo made > /out/x && chmod 0750 /out/x && ln -s x /out/l
        RUN chown 7:8 /out/x && ln /out/x /out/h
        FROM build AS more
        RUN echo more > /out/more
        FROM scratch AS files
        COPY sub /
        FROM box
        COPY --from=build /out /o/
        COPY --from=1 /out/more /m
        COPY --from=files / /f/
        COPY --from=box /etc/passwd /p
        COPY --from=build /out/x* /wild/
    """),
    "what commands change": Case(
        """
        FROM box
        RUN rm /opt/old && mkdir /opt/e && echo new > /opt/e/new
        RUN mv /opt/e /opt/moved && echo f > /opt/e
        RUN chmod 0700 /opt && chown 3:4 /opt/moved
        RUN ["/bin/sh", "-c", "echo exec > /exec"]
        RUN echo one; \\
            # a comment
            echo two > /lines
        VOLUME /opt/d
        RUN echo changed > /opt/d/one && echo new > /opt/d/three
        COPY a.txt /opt/d/copied
        """,
        unlike=dict.fromkeys(
            ("opt/d/one", "opt/d/three"), "BuildKit keeps what commands change below a volume"
        ),
    ),
}


TRIGGER = """\
FROM box
ONBUILD RUN echo fired > /fired
ONBUILD COPY a.txt /by-trigger
ONBUILD ENV T=1
"""


def filled(made: Docker) -> Docker:
    """With the files that the cases copy."""
    for name in ("a.txt", "b.txt", "a b", "a[1]", "sub/c.md", "sub/keep.md", "sub/deep/d.txt"):
        made.write(name, f"{name}\n")
    made.write("tool", "#!/bin/sh\n", 0o755)
    made.write("closed", "c", 0o600)
    root = made.workspace.folder / "ctx"
    for name, target in (("link", "a.txt"), ("tofolder", "sub"), ("links/to", "../a.txt")):
        (root / name).parent.mkdir(exist_ok=True)
        os.symlink(target, root / name)
    with tarfile.open(root / "site.tar.gz", "w:gz") as archive:
        for name, mode in (("index.html", 0o640), ("new/folder/file", 0o755)):
            member = tarfile.TarInfo(name)
            member.size, member.uid, member.gid, member.mode = len(name), 5, 6, mode
            archive.addfile(member, BytesIO(name.encode()))
    return made

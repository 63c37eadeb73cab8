"""``convert``: the images of the Buildfile have the layers' trees that those of the Dockerfile have."""

from pathlib import Path

import pytest
from support.dockerbuilds import Docker
from support.rewritten import check

CASES = {
    "one stage": """
        FROM box
        ENV A=1 B="x y" PATH=/opt/bin:$PATH
        WORKDIR /app
        # the words
        COPY words.txt ./
        COPY sub /app/sub/
        RUN cat words.txt > copied && \\
            echo "$A $B '$HOME'"   "a  b" > env && id -u >> env
        RUN echo '$A ${A} $$' > dollars; mkdir -p /var/log/apt && echo log > /var/log/apt/x
        USER 1000:1000
        CMD ["cat", "copied"]
    """,
    "stages": """
        ARG V=1
        FROM box AS build
        ARG V
        WORKDIR /src
        COPY . .
        RUN mkdir out && echo "$V" > out/v && cp bin/tool out/tool && chmod 0700 out/tool && ln out/v out/w
        FROM build AS more
        RUN echo more > /more
        COPY words.txt /words
        FROM box
        COPY --from=build /src/out/ /usr/local/out/
        COPY --from=more /more /words /got/
        COPY --from=box /etc/passwd /copied/passwd
    """,
    "several files": """
        FROM box AS made
        RUN echo 1 > /one && echo 2 > /two
        FROM box
        COPY words.txt readme.md /several
        COPY *.md words.txt none* /wild
        COPY readme.* none* /name
        COPY --from=made /one /two /stage/
    """,
    "owners and modes": """
        FROM box
        RUN echo app:x:7:8::/:/bin/sh >> /etc/passwd && echo app:x:8: >> /etc/group
        WORKDIR /app
        COPY --chown=1000:1000 sub /app/
        COPY --chown=app words.txt /app/named
        COPY --chmod=0700 words.txt bin/tool /app/
        COPY --chmod=u=rwX,go= sub /app/closed
        ADD sub/*.txt /added/
        USER app
        WORKDIR home/work
        RUN echo x > y; stat -c %u . > /tmp/owner
    """,
    "documents": """
        FROM box
        SHELL ["/bin/sh", "-ec"]
        COPY <<ONE <<"TWO" /docs/
        it's 'one' $HOME
        ONE
        \\"\\"\\" ''' two $HOME \\ ${x}
        TWO
        RUN <<EOF
        set -u
        cat /docs/* > /all
        EOF
        RUN <<EOF
        #!/bin/sh -e
        echo "script $0" | wc -c > /dev/null
        echo in > /script
        EOF
        RUN cat <<A > /a
        text
        A
    """,
    "mounts": """
        FROM box AS tools
        RUN echo tool > /tool
        FROM box
        RUN --mount=type=bind,target=/in --mount=from=tools,source=/tool,target=/t --mount=type=tmpfs,target=/tmp \\
            cat /in/words.txt /t > /both && touch /tmp/gone
        RUN --mount=type=cache,target=/root/.cache,id=my/cache touch /root/.cache/x && echo done > /done
        RUN --network=none --mount=target=sub,source=sub,rw touch sub/new && ls sub > /names
    """,
    "nothing below": """
        FROM scratch
        COPY words.txt /
        WORKDIR /a/b
        COPY --parents sub/./deep/*.txt /p/
        ENTRYPOINT ["/words.txt"]
    """,
}
IGNORED = {
    "": "",
    "plain": "*.md\nsub/deep\n# comment\n**/tool\n",
    "taken back": "*\n!words.txt\n!sub\n!bin\nsub/*.md\n",
    "one taken back": "**/*.md\n!sub/keep.md\n",
}


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    made = Docker.make(tmp_path)
    for name in ("words.txt", "sub/a.txt", "sub/keep.md", "sub/deep/b.txt", "readme.md"):
        made.write(name, f"{name}\n")
    made.write("bin/tool", "#!/bin/sh\n", 0o755)
    return made


@pytest.mark.parametrize("case", CASES)
def test_the_layers_are_the_same(docker: Docker, case: str) -> None:
    check(docker, CASES[case])


@pytest.mark.parametrize("ignored", IGNORED)
def test_what_is_ignored_is_not_copied(docker: Docker, ignored: str) -> None:
    docker.write(".dockerignore", IGNORED[ignored])
    check(docker, "FROM scratch\nCOPY . /all/\nCOPY sub /sub\nCOPY words.txt sub/*.txt /some/\n")


def test_a_repository_is_copied_as_docker_does(docker: Docker) -> None:
    docker.write(".git/HEAD", "ref: x\n")
    check(docker, "FROM scratch\nCOPY . /all/\n")

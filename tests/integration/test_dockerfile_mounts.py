"""RUN --mount, built: what is seen, what is kept, what is left behind, and what enters keys."""

from pathlib import Path

import pytest
from support.dockerbuilds import Docker
from support.workspace import Workspace

from buildgraph.build.request import SecretSpec
from buildgraph.errors import BuildgraphError, StepFailedError, UsageError


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker.make(tmp_path)


def wrong(docker: Docker, text: str, **asked: object) -> BuildgraphError:
    with pytest.raises(BuildgraphError) as caught:
        docker.build(text, **asked)
    assert caught.value.where is not None
    return caught.value


BINDS = """FROM box AS made
RUN mkdir /d && echo made > /d/f && ln -s f /d/l
FROM box
WORKDIR /work
RUN --mount=target=/ctx cat /ctx/a; echo x > /ctx/a || echo read-only
RUN --mount=type=bind,src=sub,dst=rel --mount=source=a,target=one,rw cat rel/b one; echo new >> one; cat one
RUN --mount=from=made,source=/d,destination=/m,readonly cat /m/l; rm /m/f || echo read-only
RUN --mount=from=made,source=d,target=/m,rw rm /m/f && ls /m
RUN --mount=from=made,source=d/f,target=/etc/passwd cat /etc/passwd
RUN --mount=from=files,target=/m cat /m/n
RUN --mount=from=made,source=/d/l,target=/m cat /m
RUN cat one 2>/dev/null || echo gone; ls /work; wc -l < /etc/passwd
"""


def test_binds(docker: Docker) -> None:
    docker.write("a", "A\n")
    docker.write("sub/b", "B\n")
    docker.workspace.write("named/n", "N\n")
    assert docker.said(BINDS, contexts={"files": "named"}) == [
        *("A", "/bin/sh: can't create /ctx/a: Read-only file system", "read-only"),
        *("B", "A", "A", "new"),
        *("made", "rm: can't remove '/m/f': Read-only file system", "read-only"),
        "l",
        "made",
        "N",
        "made",
        *("gone", "1"),
    ]
    assert (docker.workspace.folder / "ctx/a").read_text() == "A\n"
    tree = docker.tree(contexts={"files": "named"})
    assert not {"ctx", "m", "work/one", "work/rel"} & set(tree)


def test_targets_of_all_kinds_are_left_as_they_were(docker: Docker) -> None:
    docker.write("f", "F\n")
    docker.write("d/g", "G\n")
    text = (
        "FROM box\nRUN mkdir -p /real/in /e && ln -s real /lnk && ln -s /nowhere/far /dead && echo old > /e/f\n"
        "RUN --mount=source=f,target=/e/f --mount=source=d,target=/e/new/er cat /e/f /e/new/er/g; touch /e/own\n"
        "RUN --mount=source=d,target=/lnk/in cat /real/in/g\n"
        "RUN --mount=type=tmpfs,target=/lnk/x touch /lnk/x/y\n"
        "RUN --mount=source=d,target=/dead cat /nowhere/far/g\n"
        "RUN cat /e/f; ls /real /real/in /e\n"
    )
    assert docker.said(text) == [
        *("F", "G"),
        "G",
        "G",
        *("old", "/e:", "f", "own", "", "/real:", "in", "", "/real/in:"),
    ]
    assert "nowhere" not in docker.tree()


def test_mounts_inside_of_mounts_and_over_each_other(docker: Docker) -> None:
    for name in ("a/x", "b/x", "c/x"):
        docker.write(name, f"{name}\n")
    text = (
        "FROM box\nRUN --mount=source=b,target=/m/in --mount=source=a,target=/m,rw --mount=source=c,target=/m/in/x/y "
        "cat /m/x /m/in/x/y/x\n"
    )
    with pytest.raises(UsageError):
        docker.build(text)
    text = text.replace("/m/in/x/y", "/m/in2")
    assert docker.said(text.replace("cat /m/x /m/in2/x", "cat /m/x /m/in/x /m/in2/x")) == [
        "a/x",
        "b/x",
        "c/x",
    ]
    text = "FROM box\nRUN --mount=source=a,target=/m --mount=source=b,target=/m cat /m/x\n"
    assert docker.said(text) == ["b/x"]


def test_only_what_a_bind_shows_enters_the_key(docker: Docker) -> None:
    for name in ("a/one", "a/two", "b"):
        docker.write(name, "1")
    text = (
        "FROM box AS made\nCOPY b /made/b\nCOPY b /made/c\nFROM box\n"
        "RUN --mount=source=a/one,target=/1 --mount=source=a/two,target=/2 true\n"
        "RUN --mount=from=made,source=/made/b,target=/b true\n"
    )
    docker.build(text)
    docker.write("unrelated", "1")
    docker.build()
    assert docker.workspace.ran() == set()
    docker.write("a/two", "2")
    docker.build()
    assert docker.workspace.ran() == {"ctx/stage-1/2-run"}
    docker.build(text.replace("COPY b /made/c", "COPY a/two /made/c"))
    assert "ctx/stage-1/3-run" not in docker.workspace.ran()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("source=missing,target=/m", "source-missing"),
        ("from=made,source=/missing,target=/m", "source-missing"),
        ("target=/", "bad-mount"),
        ("target=../..", "bad-mount"),
        ("source=.", "bad-mount"),
        ("target=/proc/x", "bad-mount-target"),
        ("target=/m,ro,rw", "bad-mount"),
        ("from=$A,target=/m", "variable-in-from"),
        ("typ=bind,target=/m", "unknown-mount-key"),
    ],
)
def test_what_cannot_be_mounted(docker: Docker, options: str, code: str) -> None:
    text = f"FROM box AS made\nFROM box\nARG A=made\nRUN --mount={options} true\n"
    error = wrong(docker, text)
    assert (error.code, error.where and error.where.line) == (code, 4)


CACHES = """FROM box AS a
RUN --mount=type=cache,target=/c echo -n 1 >> /c/n; cat /c/n; echo; ls -d /other || true
FROM box
COPY --from=a /opt/old /a
RUN --mount=type=cache,target=/elsewhere,id=/c cat /elsewhere/n; echo
RUN --mount=type=cache,target=/d test ! -e /d/n
RUN --mount=type=cache,id=/c,target=/c,uid=7 test ! -e /c/n; stat -c %u /c
RUN --mount=type=cache,id=/c,target=/c,ro touch /c/no || echo read-only
"""


def test_caches_are_shared_by_id_and_kept(docker: Docker) -> None:
    want = [
        *("1", "ls: /other: No such file or directory"),
        "1",
        "7",
        *("touch: /c/no: Read-only file system", "read-only"),
    ]
    assert docker.said(CACHES) == want
    tree = docker.tree()
    assert not {"c", "d", "elsewhere"} & set(tree)
    other = Docker(Workspace(docker.workspace.folder.parent / "two", docker.workspace.home))
    other.workspace.folder.mkdir()
    other.workspace.base()
    text = "FROM box\nRUN --mount=type=cache,target=/c cat /c/n; echo 2 >> /c/n\n"
    assert other.said(text) == ["1"]
    assert other.said(text + "RUN --mount=type=cache,target=/c cat /c/n\n") == ["12"]


def test_what_a_cache_holds_is_in_no_key(docker: Docker) -> None:
    text = "FROM box\nRUN --mount=type=cache,target=/c echo x >> /c/n\n"
    docker.build(text + "RUN true\n")
    docker.build(text + "RUN --mount=type=cache,target=/c echo y >> /c/n\n")
    docker.build(text + "RUN true\n")
    assert docker.workspace.ran() == set()


def test_no_cache_empties_caches_and_keeps_their_mode(docker: Docker) -> None:
    text = "FROM box\nRUN --mount=type=cache,target=/c,mode=0751 echo x >> /c/n; cat /c/n; stat -c %a /c\n"
    assert docker.said(text) == ["x", "751"]
    assert docker.said(text, no_cache=True) == ["x", "751"]


def test_a_cache_begins_with_what_it_is_from(docker: Docker) -> None:
    text = (
        "FROM box AS seed\nRUN mkdir -p /s/in && echo S > /s/in/f\nFROM box\n"
        "RUN --mount=type=cache,from=seed,source=/s,target=/c cat /c/in/f; echo more > /c/f\n"
        "RUN --mount=type=cache,from=seed,source=s,target=/c cat /c/f\n"
        "RUN --mount=type=cache,target=/c test ! -e /c/f\n"
    )
    assert docker.said(text) == ["S", "more"]


def test_private_caches_are_kept_and_never_shared_at_once(docker: Docker) -> None:
    """The two commands meet in a pipe, so both have the cache at one time."""
    meeting = "--mount=type=cache,target=/meet --mount=type=cache,target=/p,sharing=private"
    text = (
        f"FROM box AS a\nRUN {meeting} busybox mkfifo /meet/f || true; echo go > /meet/f; echo >> /p/n; wc -l < /p/n\n"
        f"FROM box AS b\nRUN {meeting} busybox mkfifo /meet/f || true; cat /meet/f; echo >> /p/n; wc -l < /p/n\n"
        "FROM box\nCOPY --from=a /opt/old /a\nCOPY --from=b /opt/old /b\n"
    )
    said = [line for line in docker.said(text, jobs=2) if "mkfifo" not in line]
    assert said == ["1", "go", "1"]
    after = "FROM box\nRUN --mount=type=cache,target=/p,sharing=private wc -l < /p/n\n"
    assert docker.said(after) == ["1"]


def test_locked_caches_wait(docker: Docker) -> None:
    lock = "--mount=type=cache,target=/l,sharing=locked"
    one = "mkdir /l/busy && echo x >> /l/n && rmdir /l/busy"
    stages = "".join(f"FROM box AS s{n}\nRUN {lock} {one} # {n}\n" for n in range(4))
    copies = "".join(f"COPY --from=s{n} /opt/old /x{n}\n" for n in range(4))
    assert docker.said(f"{stages}FROM box\n{copies}RUN {lock} wc -l < /l/n\n", jobs=4) == ["4"]


def test_memory(docker: Docker) -> None:
    text = (
        "FROM box\nRUN --mount=type=tmpfs,target=/t,size=64k ls /t; head -c 70000 /dev/zero > /t/x || ls -d /t\n"
        "RUN --mount=type=tmpfs,target=/t test ! -e /t/x && touch /t/y\nRUN test ! -e /t\n"
    )
    assert docker.said(text)[-1] == "/t"
    assert "t" not in docker.tree()


SECRETS = """FROM box
USER 5
RUN --mount=type=secret,id=k,uid=5 cat /run/secrets/k; echo; stat -c '%a %u' /run/secrets/k
USER 0
RUN --mount=type=secret,id=k,target=/root/in/key,mode=0444,gid=3 stat -c '%a %g' /root/in/key
RUN --mount=type=secret,id=k,env=KEY test -n "$KEY" && test ! -e /run/secrets/k && echo "<$KEY>"
RUN --mount=type=secret,id=k,env=KEY,target=/both test "$(cat /both)" = "$KEY"
RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent
RUN test ! -e /run/secrets -a ! -e /root/in -a -z "$KEY"
"""


def test_secrets(docker: Docker) -> None:
    docker.workspace.environ["V"] = "s3cret-v4lue"
    given = (SecretSpec("k", env="V"),)
    assert docker.said(SECRETS, secrets=given) == ["***", "400 5", "444 3", "<***>"]
    docker.workspace.environ["V"] = "another-v4lue"
    summary = docker.build(secrets=given)
    assert docker.workspace.ran() == set()
    assert not {"run", "root/in", "both"} & set(docker.tree(secrets=given))
    assert "v4lue" not in str(docker.config(summary))
    assert "v4lue" not in str(docker.workspace.events)
    text = "FROM box\nRUN --mount=type=secret,id=absent,required true\n"
    error = wrong(docker, text, secrets=given)
    assert error.code == "secret-missing"
    assert "absent" in error.message


def test_variables_in_mounts(docker: Docker) -> None:
    docker.write("src/f", "F\n")
    text = (
        "ARG GLOBAL=src\nFROM box AS a\nENV DIR=/d\nARG ID=cache\nFROM a\nARG GLOBAL TYPE=bind\n"
        "RUN --mount=type=$TYPE,source=$GLOBAL,target=${DIR}/in --mount=type=cache,id=${ID}-1,target=$DIR/c "
        "cat /d/in/f; echo 1 > /d/c/n\nRUN --mount=type=cache,id=cache-1,target=/x cat /x/n\n"
    )
    assert docker.said(text) == ["F", "1"]


def test_a_step_that_fails_leaves_no_mount_behind(docker: Docker) -> None:
    text = (
        "FROM box\nRUN --mount=type=tmpfs,target=/t --mount=type=cache,target=/c "
        "--mount=target=/m,rw touch /m/x; exit 1\n"
    )
    with pytest.raises(StepFailedError):
        docker.build(text)
    home = str(docker.workspace.home)
    assert home not in Path("/proc/self/mountinfo").read_text()
    assert docker.files("FROM box\nRUN ls / > /all; test ! -e /m -a ! -e /t -a ! -e /c\n")

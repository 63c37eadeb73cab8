"""RUN as Docker does it: who it runs as, what it sees, what is mounted."""

import pytest
from support.dockered import BOX, Dockered, copy, run

from buildgraph.build.request import SecretSpec
from buildgraph.errors import StepFailedError, UsageError
from buildgraph.spec import model as m

USERS = run(
    "echo app:x:1000:1001::/home/app:/bin/sh >> /etc/passwd;"
    "echo web:x:33:app,root >> /etc/group; echo own:x:1001: >> /etc/group"
)


@pytest.fixture
def docker(tmp_path, monkeypatch):
    return Dockered.make(tmp_path, monkeypatch)


def text(value):
    return m.Text((value,))


def said(docker, *kinds, **more):
    """What the last of the commands says."""
    docker.build(*kinds, **more)
    return docker.workspace.output(f"main-s{len(kinds) - 1}")


def test_users_have_the_groups_that_the_image_gives_them(docker):
    for user, ids in (
        ("", "0 0 0 33"),
        ("app", "1000 1001 1001 33"),
        ("1000", "1000 1001 1001 33"),
        ("app:own", "1000 1001 1001"),
        ("app:7", "1000 7 7"),
        ("55", "55 0 0"),
    ):
        who = text(user) if user else None
        assert said(docker, USERS, run("echo $(id -u; id -g; id -G)", user=who)) == [ids]
    [failure] = docker.attempt(run("true", user=text("nobody"))).failures
    assert failure.code == "unknown-user"
    assert str(failure.where) == "Dockerfile:3"


def test_the_environment_is_what_was_given_and_home_and_the_epoch(docker):
    seen = said(docker, USERS, run("env | grep -v SHLVL", env={"A": "1"}, user=text("app")))
    assert sorted(seen) == [
        "A=1",
        "HOME=/home/app",
        "PATH=/usr/bin:/bin",
        "PWD=/",
        "SOURCE_DATE_EPOCH=315532800",
    ]
    assert "HOME=/x" in said(docker, run("env", env={"HOME": "/x"}))


def test_proxies_are_seen_and_change_nothing(docker):
    see = "echo $HTTP_PROXY"
    assert said(docker, run(see, proxies={"HTTP_PROXY": "http://one"})) == ["http://one"]
    docker.build(run(see, proxies={"HTTP_PROXY": "http://two"}))
    assert docker.workspace.ran() == set()
    mine = run(see, env={"HTTP_PROXY": "mine"}, proxies={"HTTP_PROXY": "http://one"})
    assert said(docker, mine) == ["mine"]


def test_names_and_limits(docker):
    see = "cat /proc/sys/kernel/hostname; grep -c 10.0.0.9 /etc/hosts"
    assert said(docker, run(see, hostname="h", hosts={"db": "10.0.0.9"})) == ["h", "1"]
    shm = run("set -- $(busybox df -k /dev/shm | grep shm); echo $2", shm_size=1 << 20)
    assert said(docker, shm) == ["1024"]
    assert said(docker, run("ulimit -n; ulimit -Hn", ulimits={"nofile": (100, 200)})) == [
        "100",
        "200",
    ]


def test_only_an_insecure_command_may_do_everything(docker):
    see = "grep CapEff /proc/self/status; grep Seccomp: /proc/self/status"
    [caps, filtered] = said(docker, run(see))
    assert (caps.split()[1], filtered.split()[1]) == ("00000000a80425fb", "2")
    [caps, filtered] = said(docker, run(see, insecure=True))
    assert int(caps.split()[1], 16) & 1 << 21
    assert filtered.split()[1] == "0"


def test_a_user_may_become_another_by_setuid(docker):
    see = run("grep NoNewPrivs /proc/self/status", user=text("app"))
    assert said(docker, USERS, see)[0].split()[1] == "0"


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("su app -c 'sudo x' || true", "0"),
        ("/usr/bin/sudo -u app x || true", "0"),
        ("echo pseudo sum ./su.sh su-do", "1"),
    ],
)
def test_root_may_start_a_user_s_command_that_becomes_another(docker, command, flag):
    see = run(f"grep NoNewPrivs /proc/self/status; {command}")
    assert said(docker, see)[0].split()[1] == flag


def test_a_setuid_program_without_its_rights_is_told(docker):
    script = "echo 'the \"no new privileges\" flag is set' >&2; false"
    [failure] = docker.attempt(run(script)).failures
    assert failure.hint.startswith("a setuid program did not get its rights")
    [failure] = docker.attempt(USERS, run(script, user=text("app"))).failures
    assert failure.hint == "look around with: --shell-on-failure"


def test_where_no_runtime_gives_privileges_root_s_commands_run_all_the_same(docker, monkeypatch):
    monkeypatch.setattr("buildgraph.sandbox.runtime.Runtimes.can", lambda *_: False)
    assert said(docker, run("echo sudo")) == ["sudo"]


def test_the_working_directory_is_made_for_the_user(docker):
    found = docker.tree(
        USERS, run("pwd > here", user=text("app"), workdir=text("/a/b")), m.Workdir("/c/d", "app")
    )
    assert found["a/b/here"] == ("file", 0o644, 1000, 1001, "/a/b\n")
    assert found["c"] == found["c/d"] == ("dir", 0o755, 1000, 1001, "")
    assert docker.tree(m.Workdir("/w", "1000"))["w"][2:4] == (1000, 1000)
    assert docker.tree(m.Workdir("/opt/d/", "7:8"))["opt/d"][2:4] == (0, 0)
    assert docker.tree(run("ln -s /opt /l"), m.Workdir("/l/x", ""))["opt/x"][2:4] == (0, 0)


@pytest.mark.parametrize(
    ("path", "way"),
    [("/opt/old", "/opt/old"), ("/opt/old/x/y", "/opt/old"), ("/l/l/z", "/l/l")],
)
def test_a_working_directory_that_is_a_file_is_told(docker, path, way):
    below = run("ln -s /opt/old /opt/l; ln -s /opt /l")
    with pytest.raises(UsageError) as caught:
        docker.build(below, m.Workdir(path, "7"))
    assert caught.value.code == "file-over-directory"
    assert caught.value.message == f"WORKDIR {path}: {way} is there and is no folder"
    assert caught.value.where is not None


def bind(source, target, **more):
    return m.BindMount(
        m.Selection(source, **more.pop("of", {"context": "context"})), text(target), **more
    )


def test_binds_show_the_context_and_forget_what_is_written(docker):
    docker.write("src/a", "A", 0o600)
    docker.write("one", "1")
    docker.write("other")
    reading = run(
        "cat /in/a; stat -c %a /in/a; echo x > /in/b || echo no", mounts=(bind("src", "/in"),)
    )
    assert said(docker, reading)[:2] == [
        "A600",
        "/bin/sh: can't create /in/b: Read-only file system",
    ]
    docker.write("other", "changed")
    docker.build(reading)
    assert docker.workspace.ran() == set()
    writing = run(
        "echo x > /in/b; echo y > /f; cat /f /in/b",
        mounts=(bind("src", "/in", write=True), bind("one", "/f", write=True)),
    )
    assert said(docker, writing) == ["y", "x"]
    assert not (docker.folder / "src/b").exists()
    assert {"in", "f"}.isdisjoint(docker.tree(writing))
    with pytest.raises(UsageError, match='"/gone": not found'):
        docker.build(run("true", mounts=(bind("gone", "/in"),)))


def test_binds_of_stages(docker):
    ref = docker.stage("made", run("mkdir /d; echo m > /d/f"))
    one = bind("/d", "/in", of={"ref": ref})
    other = bind("/d/f", "/one", of={"ref": ref})
    assert said(docker, run("cat /in/f /one", mounts=(one, other))) == ["m", "m"]


def test_a_script_of_the_dockerfile_itself(docker):
    script = m.BindMount(m.Selection("."), text("/run/buildgraph/x"), inline="#!/bin/cat\nhello\n")
    argv = (text("/run/buildgraph/x"),)
    kind = m.Run(argv, env={}, dockerfile=True, discard=(), mounts=(script,))
    assert said(docker, kind) == ["#!/bin/cat", "hello"]
    assert "run" not in docker.tree(kind)


def cache(name, **more):
    return m.CacheMount(name, text("/c"), owner=more.pop("owner", m.Owner(0, 0)), **more)


def test_caches_begin_as_asked_and_last(docker):
    docker.write("seed/s", "S")
    seeded = cache("one", seed=m.Selection("seed", context="context"))
    assert said(docker, run("cat /c/s; echo; echo n > /c/n", mounts=(seeded,))) == ["S"]
    reading = run("cat /c/n; echo x > /c/x || echo no", mounts=(cache("one", read_only=True),))
    assert said(docker, reading)[0] == "n"
    assert said(docker, reading, no_cache=True)[-1] == "no"
    owned = cache("two", owner=m.Owner(7, 8), mode=m.Mode(octal=0o750))
    assert said(docker, run("stat -c '%u %g %a' /c", mounts=(owned,))) == ["7 8 750"]
    assert "c" not in docker.tree(run("echo 1 > /c/1", mounts=(owned,)))


def test_no_cache_begins_with_an_empty_cache(docker):
    adding = run("echo x >> /c/x; wc -l < /c/x", mounts=(cache("one"),))
    assert said(docker, adding) == ["1"]
    assert said(docker, adding, run("wc -l < /c/x", mounts=(cache("one"),)), no_cache=True) == ["1"]


def test_memory_and_secrets(docker):
    memory = m.TmpfsMount(text("/t"), size=65536)
    full = run("head -c 100000 /dev/zero > /t/x || echo full", mounts=(memory,))
    assert said(docker, full)[-1] == "full"
    (docker.workspace.folder / "key").write_text("v4lue-of-it")
    given = (SecretSpec("k", file="key"),)
    mounts = (
        m.SecretMount("k", text("/run/secrets/k"), owner=m.Owner(0, 0), mode=m.Mode(octal=0o400)),
        m.SecretMount("k", env="K"),
        m.SecretMount("none", text("/run/secrets/none")),
    )
    see = run("stat -c %a /run/secrets/k; test ! -e /run/secrets/none; echo $K", mounts=mounts)
    assert said(docker, see, secrets=given) == ["400", "***"]
    assert "run" not in docker.tree(see, secrets=given)
    needed = m.SecretMount("none", text("/s"), required=True)
    [failure] = docker.attempt(run("true", mounts=(needed,))).failures
    assert failure.code == "secret-missing"


def test_a_command_that_fails_says_so(docker):
    [failure] = docker.attempt(run("echo last; exit 3")).failures
    assert isinstance(failure, StepFailedError)
    assert failure.detail == ("last",)


def test_what_a_stage_made_is_copied_as_it_is(docker):
    ref = docker.stage(
        "made",
        USERS,
        run(
            "mkdir -m 750 /d; echo 1 > /d/a; ln /d/a /d/b; ln -s a /d/l; busybox chown 1000:33 /d/a; chmod 4711 /d/a"
        ),
    )
    found = docker.tree(copy("/d", to="/to", ref=ref))
    assert found["to"] == ("dir", 0o755, 0, 0, "")
    assert found["to/a"] == ("file", 0o4711, 1000, 33, "1\n")
    assert found["to/b"] == ("hard", 0o4711, 1000, 33, "to/a")
    assert found["to/l"][4] == "a"
    assert docker.tree(copy("d/l", to="/x", ref=ref))["x"][4] == "1\n"
    assert docker.tree(copy("d/*", to="/x/", ref=ref), on=(BOX,))["x/l"][0] == "file"
    with pytest.raises(UsageError, match='"/gone": not found'):
        docker.build(copy("gone", to="/x", ref=ref))


def test_locked_caches_in_any_order_do_not_wait_for_each_other(docker):
    one = m.CacheMount("one", text("/c"), "locked", m.Owner(0, 0))
    two = m.CacheMount("two", text("/d"), "locked", m.Owner(0, 0))
    nested = m.CacheMount("two", text("/c/d"), "locked", m.Owner(0, 0))
    first = docker.stage("first", run("echo 1 >> /c/x", mounts=(one, nested)))
    second = docker.stage("second", run("echo 2 >> /c/x", mounts=(two, one, nested)))
    docker.build(copy("/opt", to="/a", ref=first), copy("/opt", to="/b", ref=second))
    assert docker.workspace.ran() == {"first-s0", "second-s0", "main-s0", "main-s1"}


def test_a_folder_of_a_cache_is_looked_for_inside_it(docker):
    making = "mkdir -p /c/in; echo I > /c/in/f; ln -s in /c/l; ln -s /etc /c/abs; ln -s ../../../etc /c/up"
    docker.build(run(making, mounts=(cache("one"),)))
    for path in ("in", "l"):
        assert said(docker, run(f"cat /c/f # {path}", mounts=(cache("one", path=path),))) == ["I"]
    for path in ("abs", "up", "none", "in/f"):
        [failure] = docker.attempt(run("ls /c", mounts=(cache("one", path=path),))).failures
        assert failure.code == "source-missing"

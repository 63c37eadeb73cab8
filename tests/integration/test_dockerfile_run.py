"""RUN, built: its shell and its arguments, heredocs, what it sees, what it leaves, how it fails."""

from pathlib import Path

import pytest
from support.dockerbuilds import Docker

from buildgraph.build.request import SecretSpec
from buildgraph.errors import StepFailedError


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker.make(tmp_path)


def failure(docker: Docker, text: str, **asked: object) -> StepFailedError:
    with pytest.raises(StepFailedError) as caught:
        docker.build(text, **asked)
    return caught.value


SHELLS = r"""FROM box
ENV A=a
ENTRYPOINT ["/nothing"]
RUN echo $A # here \
# a comment
  $A; \

  echo "2  $0"
RUN echo $A \
# a comment
  "2  $0"
RUN ["echo", "$A", "b  c"]
RUN ["/bin/sh", "-c", "echo $A"]
SHELL ["/bin/busybox", "sh", "-xc"]
RUN echo $A
RUN ["a"]x || echo no
SHELL ["/bin/echo"]
RUN  two   words
RUN <<E
here  $A
E
"""


def test_shells_and_arguments(docker: Docker) -> None:
    assert docker.said(SHELLS) == [
        "a",
        "a 2  /bin/sh",
        "$A b  c",
        "a",
        *("+ echo a", "a"),
        *("+ '[a]x'", "sh: [a]x: not found", "+ echo no", "no"),
        "two   words",
        *("here  $A", ""),
    ]


HEREDOCS = r"""FROM box
ARG name=world
WORKDIR /dest
RUN <<EOF
echo "i am" > one
id -u >> one
EOF
RUN <<-EOF
	echo "
	foo" > two
	EOF
RUN <<EOF
#!/bin/sh -e
echo hello $name > three; cat $0 | wc -l >> three
EOF
RUN cat <<EOF1 | tr '[:upper:]' '[:lower:]' > four; \
	cat <<EOF2 | tr '[:lower:]' '[:upper:]' > five
hello WORLD
EOF1
HELLO world
EOF2
RUN <<EOF 3<<IN1 4<<IN2 sh
cat <&3 > six; cat <&4 > seven
EOF
$name 1
IN1
$name 2
IN2
RUN <<EOF sh > eight
echo "
	foo"
EOF
RUN <<'EOF'
name="new $name"
echo "Hello ${name}! \$name" > nine
EOF
SHELL ["/bin/busybox", "awk"]
RUN <<EOF
BEGIN {
	print "a" > "ten"
}
EOF
"""


def test_heredocs(docker: Docker) -> None:
    found = docker.files(HEREDOCS)
    assert {path.removeprefix("dest/"): text for path, text in found.items()} == {
        "one": "i am\n0\n",
        "two": "\nfoo\n",
        "three": "hello world\n2\n",
        "four": "hello world\n",
        "five": "HELLO WORLD\n",
        "six": "world 1\n",
        "seven": "world 2\n",
        "eight": "\n\tfoo\n",
        "nine": "Hello new world! $name\n",
        "ten": "a\n",
    }


def test_failures_say_what_ran_and_how_it_ended(docker: Docker) -> None:
    error = failure(docker, "FROM box\nRUN echo before && \\\n  invalidcmd\n")
    assert error.message == (
        "'/bin/sh -c echo before && invalidcmd' did not complete: exit code: 127"
    )
    assert error.detail == ("before", "/bin/sh: invalidcmd: not found")
    assert error.where is not None
    assert (error.where.line, error.where.last) == (2, 3)
    assert failure(docker, "FROM box\nRUN sh -c 'kill -9 $$'; exit $?\n").message.endswith(
        "killed by signal 9"
    )
    for text, code in (
        ('FROM box\nRUN ["/missing"]\n', 127),
        ('FROM box\nRUN ["missing"]\n', 127),
        ("FROM scratch\nRUN true\n", 127),
        ('FROM box\nRUN ["/etc/passwd"]\n', 126),
        ("FROM box\nRUN exit 42\n", 42),
    ):
        assert failure(docker, text).message.endswith(f"exit code: {code}")


def test_a_failure_never_tells_a_secret(docker: Docker) -> None:
    text = "FROM box\nRUN --mount=type=secret,id=k,env=K echo $K v4lue-of-it; exit 1\n"
    docker.workspace.environ["V"] = "v4lue-of-it"
    error = failure(docker, text, secrets=(SecretSpec("k", env="V"),))
    assert "v4lue" not in f"{error.message}{error.detail}"
    assert "***; exit 1" in error.message


def test_a_failure_keeps_no_layer(docker: Docker) -> None:
    text = "FROM box\nRUN echo 1 > /one\nRUN echo 2 > /two; exit 1\n"
    failure(docker, text)
    failure(docker, text)
    assert docker.workspace.outcomes()["ctx/stage-0/2-run"] == "reused"
    assert docker.files("FROM box\nRUN echo 1 > /one\n") == {"one": "1\n"}


def test_only_what_is_declared_is_in_the_environment(docker: Docker) -> None:
    docker.workspace.environ |= {"LEAK": "1", "TERM": "xterm"}
    text = 'FROM box\nENV E=e\nARG A=a N M=\nRUN ["env"]\nENV PATH=/bin HOME=/h\nRUN ["env"]\n'
    fixed = {"SOURCE_DATE_EPOCH=315532800", "PWD=/", "E=e", "A=a", "M="}
    said = docker.said(text)
    assert set(said[:7]) == fixed | {"PATH=/usr/bin:/bin", "HOME=/root"}
    assert set(said[7:]) == fixed | {"PATH=/bin", "HOME=/h"}


def test_files_of_the_run_are_in_no_layer(docker: Docker) -> None:
    docker.write("own", "mine\n")
    text = (
        "FROM box\nCOPY own /etc/hosts\nRUN grep -c -e localhost -e db /etc/hosts; echo x >> /etc/hosts\n"
        "RUN cat /etc/hostname; test -e /etc/resolv.conf; echo mine >> /etc/resolv.conf\n"
        "RUN touch /dev/shm/x /dev/x\nFROM scratch\nCOPY --from=0 /etc/hosts /h\n"
    )
    args = {"BUILDKIT_SANDBOX_HOSTNAME": "me"}
    assert docker.said(text, hosts={"db": "10.0.0.9"}, args=args) == ["3", "me"]
    assert docker.files() == {"h": "mine\n"}
    tree = docker.tree(target="0")
    assert not {"etc/hostname", "etc/resolv.conf", "dev", "proc", "sys", "dev/x"} & set(tree)


DEVICES = """FROM box
RUN for d in null zero full random urandom tty ptmx shm pts; do test -e /dev/$d || echo no $d; done
RUN cat /proc/keys /proc/interrupts 2>/dev/null | wc -c; ls /sys/firmware; mkdir /sys/x 2>/dev/null || echo read-only
RUN grep 'Cap[BE]' /proc/self/status
RUN --security=sandbox grep 'Cap[BE]' /proc/self/status
"""


def test_devices_masks_and_capabilities(docker: Docker) -> None:
    caps = ["CapEff:\t00000000a80425fb", "CapBnd:\t00000000a80425fb"]
    assert docker.said(DEVICES) == ["0", "read-only", *caps, *caps]


def test_networks(docker: Docker) -> None:
    see = "for i in /sys/class/net/*; do echo ${i##*/}; done"
    assert docker.said(f"FROM box\nRUN --network=none {see}\n") == ["lo"]
    assert docker.said(f"FROM box\nRUN {see}; true\n", network="none") == ["lo"]
    machine = sorted(path.name for path in Path("/sys/class/net").iterdir() if path.is_dir())
    text = f"FROM box\nRUN --network=host {see}\n"
    said = docker.said(text, allow=frozenset({"network.host"}))
    assert set(machine) <= set(said)


def test_machines_without_a_private_network_share_results(
    docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def problem() -> str:
        asked.append(1)
        return "there is no /dev/net/tun"

    monkeypatch.setattr("buildgraph.execute.ops_run.private_network_problem", problem)
    text = "FROM box\nRUN ls /sys/class/net > /x\n"
    docker.build(text)
    assert asked
    assert docker.counts()["executed"] == 1
    monkeypatch.undo()
    docker.build(text)
    assert "executed" not in docker.counts()


def test_what_a_step_started_ends_with_it(docker: Docker) -> None:
    text = "FROM box\nRUN (sleep 1000 &) ; sleep 1000 & echo done\nRUN sh -c 'exit 0' & sleep 0; exit 0\n"
    assert docker.said(text) == ["done"]


def test_any_kind_of_file_becomes_any_other(docker: Docker) -> None:
    text = (
        "FROM box\nRUN mkdir -p /t/dir/sub /t/gone /t/mode && cd /t && echo f > file && echo 1 > dir/in && "
        "ln -s file link && echo h > hard1 && ln hard1 hard2 && echo x > dir/sub/x && echo g > gone/g\n"
        "RUN cd /t && rm -rf dir file link gone && echo now > dir && mkdir file link && echo in > file/in && "
        "ln -s dir gone && chmod 700 mode && rm hard1\n"
        "RUN cd /t && rm dir && mkdir dir && echo again > dir/again && rm -rf file && ln -s /t file && mv link moved\n"
        "RUN cd /t && rm -rf moved && mkdir moved && busybox mkfifo fifo && busybox chown 7 mode && "
        "chmod 4755 hard2 && touch -d @5 dir/again\n"
    )
    found = {
        path.removeprefix("t/"): (one.type, one.mode, one.uid, one.linkname)
        for path, one in docker.tree(text).items()
        if path.startswith("t/")
    }
    assert found == {
        "dir": (b"5", 0o755, 0, ""),
        "dir/again": (b"0", 0o644, 0, ""),
        "fifo": (b"6", 0o644, 0, ""),
        "file": (b"2", 0o777, 0, "/t"),
        "gone": (b"2", 0o777, 0, "dir"),
        "hard2": (b"0", 0o4755, 0, ""),
        "mode": (b"5", 0o700, 7, ""),
        "moved": (b"5", 0o755, 0, ""),
    }


def test_a_name_of_a_hard_link_goes_and_the_other_stays(docker: Docker) -> None:
    text = (
        "FROM box\nRUN echo h > /h1 && ln /h1 /h2 && ln /h1 /h3\nRUN rm /h1\nRUN echo more >> /h3\n"
    )
    assert docker.files(text) == {"h2": "h\n", "h3": "h\nmore\n"}


def test_base_folders_keep_their_modes(docker: Docker) -> None:
    text = "FROM box\nRUN chmod 1777 /tmp && chmod 700 /root\n"
    more = (
        "RUN touch /tmp/a /root/b /c\nWORKDIR /tmp/w\nCOPY Dockerfile /tmp/d/\nCOPY Dockerfile /\n"
    )
    want = ["755", "1777", "700"]
    see = "RUN stat -c %a / /tmp /root\n"
    assert docker.said(text + see + more + see) == want + want
    tree = docker.tree()
    assert [tree[path].mode for path in ("tmp", "root")] == [0o1777, 0o700]


def test_volumes_keep_what_comes_later(docker: Docker) -> None:
    text = (
        "FROM box\nRUN mkdir /v && echo 1 > /v/a\nVOLUME /v\n"
        "RUN busybox chown -R 7 /v && echo 2 > /v/b\nCOPY Dockerfile /v/c\n"
    )
    tree = docker.tree(text)
    assert {p: one.uid for p, one in tree.items() if p.startswith("v/")} == {
        "v/a": 7,
        "v/b": 0,
        "v/c": 0,
    }
    assert tree["v"].uid == 7
    assert docker.config(docker.build())["config"]["Volumes"] == {"/v": {}}


def test_working_directories(docker: Docker) -> None:
    text = (
        "FROM box\nRUN echo app:x:1000:1001::/home/app:/bin/sh >> /etc/passwd\nARG D=deep\n"
        "WORKDIR one\nWORKDIR $D/er/\nUSER app\nWORKDIR ../own/x\nRUN pwd; touch made\nWORKDIR /opt\n"
        "COPY --chown=app Dockerfile /one/deep/own/y/\nCOPY --chown=app Dockerfile .\n"
        "WORKDIR /a/../b//c\nRUN pwd\nFROM scratch\nWORKDIR /only/this\n"
    )
    tree = docker.tree(text, target="0")
    owners = {path: (one.uid, one.gid, one.mode) for path, one in tree.items()}
    assert owners["one"] == owners["one/deep/er"] == (0, 0, 0o755)
    assert owners["one/deep/own"] == owners["one/deep/own/x"] == (1000, 1001, 0o755)
    assert owners["one/deep/own/x/made"] == (1000, 1001, 0o644)
    assert owners["one/deep/own/y"] == (1000, 1001, 0o755)
    assert owners["opt"] == (0, 0, 0o755)
    assert owners["b/c"] == (1000, 1001, 0o755)
    only = docker.tree()
    assert {path for path in only if path != "."} == {"only", "only/this"}
    assert docker.config(docker.build())["config"]["WorkingDir"] == "/only/this"

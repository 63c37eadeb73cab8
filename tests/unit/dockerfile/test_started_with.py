"""What a container of the image is started with: USER, CMD, ENTRYPOINT, SHELL, EXPOSE, VOLUME, STOPSIGNAL, HEALTHCHECK."""

import pytest
from support.dockerfiles import Asked

from buildgraph.errors import UsageError
from buildgraph.oci.config import Config, Healthcheck

BASE = Config(
    "amd64",
    "linux",
    env=(("PATH", "/bin"),),
    entrypoint=("/e",),
    cmd=("c",),
    stop_signal="SIGINT",
    user="app",
    healthcheck=Healthcheck(("CMD", "base"), interval=5),
)


def config(text: str) -> Config:
    return Asked(f"FROM box AS a\n{text}", {"box:latest": BASE}).config


def wrong(line: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        config(f"ARG one\n{line}\n")
    assert caught.value.where is not None
    assert caught.value.where.line == 3
    return caught.value


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("me", "me"),
        ("me:us", "me:us"),
        ("1000", "1000"),
        ("1000:us", "1000:us"),
        ("${U}:$G", "u:33"),
        ('"$U"', "u"),
    ],
)
def test_users_are_kept_as_they_are_written(written: str, kept: str) -> None:
    made = Asked(f"FROM box\nARG U=u\nENV G=33\nUSER {written}\nRUN 1\n", {"box:latest": BASE})
    assert made.config.user == kept
    assert made.kind("stage-0/2-run").user.fill({}) == kept
    assert made.history[2] == f"USER {kept}"


@pytest.mark.parametrize(
    ("text", "entrypoint", "cmd"),
    [
        ("", ("/e",), ("c",)),
        ("CMD x y\n", ("/e",), ("/bin/sh", "-c", "x y")),
        ('CMD ["x", "$y"]\nCMD ["z"]\n', ("/e",), ("z",)),
        ("CMD []\n", ("/e",), ()),
        ("ENTRYPOINT x  $y\n", ("/bin/sh", "-c", "x  $y"), None),
        ("ENTRYPOINT []\n", (), None),
        ("ENTRYPOINT []random\n", ("/bin/sh", "-c", "[]random"), None),
        ('ENTRYPOINT ["x"]\nCMD ["y"]\n', ("x",), ("y",)),
        ('CMD ["y"]\nENTRYPOINT ["x"]\n', ("x",), ("y",)),
        ('CMD ["y"]\nFROM a\nENTRYPOINT ["x"]\n', ("x",), None),
        ('CMD ["y"]\nFROM a\nCMD ["z"]\nENTRYPOINT ["x"]\n', ("x",), ("z",)),
        ('SHELL ["ash", "-x"]\nCMD y\nENTRYPOINT x\n', ("ash", "-x", "x"), ("ash", "-x", "y")),
        ('CMD y\nSHELL ["ash"]\nFROM a\nCMD z\n', ("/e",), ("ash", "z")),
    ],
)
def test_the_command(text: str, entrypoint: tuple[str, ...], cmd: tuple[str, ...] | None) -> None:
    found = config(text)
    assert (found.entrypoint, found.cmd) == (entrypoint, cmd)


def test_a_shell_is_kept_and_is_for_what_follows() -> None:
    text = 'FROM box\nRUN 1\nSHELL ["a b", "-c"]\nRUN 2\nRUN <<E\n3\nE\nHEALTHCHECK CMD 4\nFROM stage-0\nRUN 5\n'
    made = Asked(text.replace("FROM box", "FROM box AS stage-0"), {"box:latest": BASE})
    shells = [made.argv(step)[:-1] for step in made.steps]
    assert shells == [["/bin/sh", "-c"], *[["a b", "-c"]] * 3]
    assert made.config.shell == ("a b", "-c")
    assert made.config.healthcheck == Healthcheck(("CMD-SHELL", "4"))
    assert wrong("SHELL /bin/sh -c").code == "bad-arguments"


def test_ports_and_volumes() -> None:
    text = 'ARG P=70 R="80-81 90/UDP"\nEXPOSE $P/sctp 443\nEXPOSE $R "$P"\n'
    text += 'VOLUME /b\t"/c"\nVOLUME ["/a b", "/$P"]\n'
    made = Asked(f"FROM box\n{text}", {"box:latest": BASE})
    assert made.config.exposed == (
        *("443/tcp", "70/sctp", "70/tcp"),
        *("80/tcp", "81/tcp", "90/udp"),
    )
    assert made.history[1] == "EXPOSE [70/sctp 443/tcp]"
    assert made.config.volumes == ("/70", "/a b", "/b", "/c")
    assert wrong("EXPOSE 80/http").code == "bad-port"
    assert wrong('VOLUME [""]').code == "bad-arguments"
    assert wrong('VOLUME "/a b"').code == "unclosed-quote"
    assert wrong("VOLUME $one").code == "bad-volume"


@pytest.mark.parametrize(
    "signal", ["SIGTERM", "TERM", "term", "9", "$S", "RTMIN+15", "SIGRTMAX-14"]
)
def test_stop_signals(signal: str) -> None:
    assert config(f"ENV S=SIGUSR1\nSTOPSIGNAL {signal}\n").stop_signal in (signal, "SIGUSR1")


@pytest.mark.parametrize("signal", ["SIGFOO", "0", "-1", "RTMIN+16", "$one", "9x"])
def test_what_is_no_signal(signal: str) -> None:
    assert wrong(f"STOPSIGNAL {signal}").code == "bad-signal"


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("", BASE.healthcheck),
        ("NONE", Healthcheck(("NONE",))),
        ("none", Healthcheck(("NONE",))),
        ("CMD x $y", Healthcheck(("CMD-SHELL", "x $y"))),
        ('CMD ["x"]', Healthcheck(("CMD", "x"))),
        ("--interval=0 --retries=0 CMD x", Healthcheck(("CMD-SHELL", "x"))),
        (
            "--interval=1m30s --timeout=1s --start-period=2s --start-interval=1ms --retries=3 CMD x",
            Healthcheck(("CMD-SHELL", "x"), 90 * SECOND, SECOND, 2 * SECOND, 1_000_000, 3),
        ),
    ],
)
def test_health_checks(text: str, check: Healthcheck) -> None:
    line = f"HEALTHCHECK CMD first\nHEALTHCHECK {text}\n" if text else ""
    assert config(line).healthcheck == check


@pytest.mark.parametrize(
    "text",
    [
        *("CMD", "FOO x", "NONE x", "--interval=-1s CMD x", "--timeout=1us CMD x"),
        *("--retries=-1 CMD x", "--retries=a CMD x", "--interval=5 CMD x", "--foo=1 CMD x"),
    ],
)
def test_what_is_no_health_check(text: str) -> None:
    assert wrong(f"HEALTHCHECK {text}").code in ("bad-arguments", "bad-flag-value", "unknown-flag")

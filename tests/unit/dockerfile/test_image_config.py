"""What instructions make of an image: its config, its history, the variables that a RUN sees."""

import time

import pytest
from support.dockerfiles import PATH, Asked

from buildgraph.dockerfile.convert import image_config
from buildgraph.dockerfile.options import Options
from buildgraph.errors import UsageError
from buildgraph.oci.config import Config, Healthcheck, History

BASE = Config(
    "arm64",
    "linux",
    "v8",
    env=(("PATH", "/usr/bin"), ("A", "base")),
    user="app",
    workdir="/srv",
    entrypoint=("/e",),
    cmd=("c",),
    exposed=("1/tcp",),
    volumes=("/v",),
    labels={"x": "1", "y": "2"},
    shell=("/bin/bash", "-c"),
    stop_signal="SIGINT",
    history=(History(created_by="base"),),
    runtime_extra={"Domainname": "kept"},
    extra={"os.version": "10"},
)


def made(text: str, **options: object) -> Asked:
    return Asked("FROM box\n" + text, {"box:latest": BASE}, **options)


def test_all_of_the_base_is_inherited() -> None:
    config, history = image_config("FROM box\n", BASE)
    assert config == Config(**{**{f: getattr(BASE, f) for f in BASE.__match_args__}, "history": ()})
    assert history == BASE.history


def test_config_and_history_are_known_without_building() -> None:
    text = (
        "ARG foo\nFROM box\nARG foo bar=123\nRUN x\nCOPY src dst\nENV a=1\nEXPOSE 2375 1234/UDP\n"
    )
    config, history = image_config(text, Config.empty(BASE.platform), Options(args={"foo": "bar2"}))
    assert config.env == (("PATH", PATH), ("a", "1"))
    told = [(h.created_by, h.empty_layer) for h in history]
    assert told == [
        ("ARG foo=bar2 bar=123", True),
        ("RUN |2 foo=bar2 bar=123 /bin/sh -c x # buildkit", False),
        ("COPY src dst # buildkit", False),
        ("ENV a=1", True),
        ("EXPOSE [1234/udp 2375/tcp]", True),
    ]
    assert {h.comment for h in history} == {"buildkit.dockerfile.v0"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('ENV a="x y" b=$A', "ENV a=x y b=base"),
        ("ENV a the rest", "ENV a=the rest"),
        ("LABEL b=2 a=1", "LABEL b=2 a=1"),
        ("USER $A", "USER base"),
        ("WORKDIR rel", "WORKDIR /srv/rel"),
        ("WORKDIR /", "WORKDIR /"),
        ("VOLUME /a /b", "VOLUME [/a /b]"),
        ("STOPSIGNAL SIGTERM", "STOPSIGNAL SIGTERM"),
        ('SHELL ["/bin/ash", "-c"]', "SHELL [/bin/ash -c]"),
        ("CMD a b", 'CMD ["/bin/bash" "-c" "a b"]'),
        ('ENTRYPOINT ["a", "b\\"c"]', 'ENTRYPOINT ["a" "b\\"c"]'),
        ("ENTRYPOINT []", "ENTRYPOINT []"),
        ("HEALTHCHECK NONE", "HEALTHCHECK {Test:[NONE] " + "Interval:0s Timeout:0s StartPeriod:0s "
         "StartInterval:0s Retries:0}"),
        ("MAINTAINER a b", "MAINTAINER a b"),
        ("ARG z", "ARG z"),
        ("ARG z=", "ARG z="),
        ("COPY --chown=1:2 --chmod=644 a $A", "COPY --chown=1:2 --chmod=644 a base # buildkit"),
        ("COPY --parents a b/", "COPY --parents a b/ # buildkit"),
        ("ADD https://x.example/a /", "ADD https://x.example/a / # buildkit"),
        ("COPY a <<x b/\nhi\nx", "COPY a <<x b/ # buildkit"),
        ('RUN ["a", "b c"]', "RUN a b c # buildkit"),
        ("RUN <<E\na\nb\nE", "RUN /bin/bash -c a\nb\n # buildkit"),
        ("RUN <<E\n#!/bin/x\nE", "RUN /bin/bash -c /dev/pipes/E # buildkit"),
        ("RUN cat <<E\na\nE", "RUN /bin/bash -c cat <<E\na\nE # buildkit"),
    ],
)  # fmt: skip
def test_history_lines(line: str, told: str) -> None:
    assert made(line + "\n").history == [told]


def test_only_layers_have_steps_in_history() -> None:
    text = "WORKDIR /\nWORKDIR /a\nRUN x\nENV A=1\nADD a /\n"
    steps = [line.step is not None for line in made(text).found.image.history]
    assert steps == [False, True, True, False, True]


def test_a_value_replaces_in_place() -> None:
    config = made("ENV Z=1\nENV A=2 Y=\nENV Z=3\n").config
    assert config.env == (("PATH", "/usr/bin"), ("A", "2"), ("Z", "3"), ("Y", ""))
    assert made('LABEL y="a b" z=1\n', labels={"z": "2"}).config.labels["z"] == "2"


def test_a_line_sees_the_values_from_before_it() -> None:
    assert dict(made("ENV A=1 B=$A PATH=/x:$PATH\n").config.env) == {
        "A": "1",
        "B": "base",
        "PATH": "/x:/usr/bin",
    }


@pytest.mark.parametrize(
    ("text", "entrypoint", "cmd"),
    [
        ('ENTRYPOINT ["x"]\n', ("x",), None),
        ('CMD ["d"]\n', ("/e",), ("d",)),
        ('CMD ["d"]\nENTRYPOINT ["x"]\n', ("x",), ("d",)),
        ('CMD ["d"]\nFROM stage-0\nENTRYPOINT ["x"]\n', ("x",), None),
        ("CMD []\n", ("/e",), ()),
        ('ENTRYPOINT ["a"]\nENTRYPOINT b\n', ("/bin/bash", "-c", "b"), None),
        ('SHELL ["s"]\nCMD d\n', ("/e",), ("s", "d")),
    ],
)
def test_entrypoint_and_cmd(
    text: str, entrypoint: tuple[str, ...], cmd: tuple[str, ...] | None
) -> None:
    found = Asked("FROM box AS stage-0\n" + text, {"box:latest": BASE}).config
    assert (found.entrypoint, found.cmd) == (entrypoint, cmd)


def test_the_rest_of_a_config() -> None:
    text = "EXPOSE 80-81\nVOLUME /w\nHEALTHCHECK --interval=5s --retries=3 CMD a b\nMAINTAINER me\n"
    found = made(text + 'STOPSIGNAL RTMIN+3\nHEALTHCHECK CMD ["a"]\n').config
    assert found.exposed == ("1/tcp", "80/tcp", "81/tcp")
    assert found.volumes == ("/v", "/w")
    assert found.healthcheck == Healthcheck(("CMD", "a"))
    assert (found.author, found.stop_signal) == ("me", "RTMIN+3")
    assert found.extra == BASE.extra
    assert made("CMD x\n").config.runtime_extra == {"Domainname": "kept", "ArgsEscaped": True}
    assert made("HEALTHCHECK --timeout=1s CMD a b\n").config.healthcheck == Healthcheck(
        ("CMD-SHELL", "a b"), timeout=1_000_000_000
    )


def test_ports_from_variables_are_split_at_blanks() -> None:
    for word in ("$P", '"$P"'):
        assert made(f'ENV P="3000 4000/udp"\nEXPOSE {word}\n').config.exposed == (
            "1/tcp",
            "3000/tcp",
            "4000/udp",
        )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("EXPOSE 1:2:3:4", "bad-port"),
        ("STOPSIGNAL SIGFOO", "bad-signal"),
        ("STOPSIGNAL 0", "bad-signal"),
        ("VOLUME $none", "bad-volume"),
        ("RUN --security=insecure x", "not-allowed"),
        ("RUN --network=host x", "not-allowed"),
        ("RUN --device=x y", "unsupported"),
        ("RUN --mount=target=/ x", "bad-mount"),
        ("RUN --mount=type=cache x", "bad-mount"),
        ("RUN []", "empty-command"),
        ("COPY --chmod=64a a b", "bad-mode"),
        ("COPY --chmod=10000 a b", "bad-mode"),
        ("COPY https://x.example/a b", "remote-copy"),
        ("ADD --checksum=md5:1 https://x.example/a b", "bad-checksum"),
        ("ADD --checksum=sha256:1 a b", "bad-checksum"),
        ("ENV a=${b:x}", "bad-substitution"),
    ],
)
def test_mistakes_stand_at_their_line(line: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(f"ENV q=1\n{line}\n")
    assert caught.value.code == code
    assert caught.value.where is not None
    assert caught.value.where.line == 3
    assert ">>>" in caught.value.where.excerpt


def test_arguments_enter_a_run_from_their_line_on() -> None:
    text = "RUN 1\nARG B=1 C D=\nRUN 2\nENV B=2\nRUN 3\nARG A=arg\nRUN 4\n"
    found = made(text, args={"B": "given"})
    assert found.env("stage-0/2-run") == {"A": "base"}
    assert found.env("stage-0/3-run") == {"A": "base", "B": "given", "D": ""}
    assert found.env("stage-0/4-run")["B"] == "2"
    assert found.env("stage-0/5-run")["A"] == "arg"
    assert dict(found.config.env)["A"] == "base"
    assert found.history[2] == "RUN |3 B=given C= D= /bin/bash -c 2 # buildkit"


def test_arguments_before_from_count_once_declared_again() -> None:
    text = "ARG V=1\nARG W=${V}2\nFROM box\nRUN 1\nARG V W=own\nRUN 2\n"
    found = Asked(text)
    assert found.env("stage-0/2-run") == {}
    assert found.env("stage-0/3-run") == {"V": "1", "W": "own"}
    given = Asked(text, args={"V": "7", "W": "8"})
    assert given.env("stage-0/3-run") == {"V": "7", "W": "8"}


def test_arguments_carry_over_to_stages_that_begin_with_theirs_only() -> None:
    text = "FROM box AS a\nARG V=1\nRUN 1\nFROM a AS b\nRUN 2\nFROM box AS c\nRUN 3\n"
    found = Asked(text + "COPY --from=b /x /\n")
    assert found.env("b/1-run") == {"V": "1"}
    assert found.env("c/2-run") == {}
    inherited = Asked(text, target="b").history
    assert inherited[-1] == "RUN |1 V=1 /bin/sh -c 2 # buildkit"


def test_predefined_arguments() -> None:
    text = "FROM box AS a\nRUN 1\nARG TARGETARCH TARGETSTAGE BUILDOS TARGETVARIANT\nRUN 2\n"
    found = Asked(text, args={"BUILDOS": "mine"})
    assert found.env("a/2-run") == {}
    assert found.env("a/3-run") == {
        "TARGETARCH": "amd64",
        "TARGETSTAGE": "a",
        "BUILDOS": "mine",
        "TARGETVARIANT": "",
    }
    assert Asked("FROM box\nARG TARGETSTAGE\nRUN 1\n").env("stage-0/2-run")["TARGETSTAGE"] == (
        "default"
    )


def test_proxies_and_the_host_name_need_no_arg() -> None:
    args = {"https_proxy": "p", "BUILDKIT_SANDBOX_HOSTNAME": "h"}
    found = made("RUN 1\nARG https_proxy\nRUN 2\n", args=args, hostname="other")
    run = found.kind("stage-0/2-run")
    assert run.proxies == {"https_proxy": "p", "HTTPS_PROXY": "p"}
    assert run.hostname == "h"
    assert found.env("stage-0/2-run") == {"A": "base"}
    assert found.env("stage-0/3-run")["https_proxy"] == "p"
    assert "https_proxy" not in dict(found.config.env)


def test_unused_arguments_are_told() -> None:
    args = dict.fromkeys(("USED", "TYPO", "http_proxy", "BUILDKIT_X", "TARGETOS"), "")
    assert Asked("FROM box\nARG USED\n", args=args).found.unused_args == ("TYPO",)


@pytest.mark.parametrize(
    ("head", "args", "epoch", "seen"),
    [
        ("", {}, None, None),
        ("", {"SOURCE_DATE_EPOCH": "12"}, 12, "12"),
        ("ARG SOURCE_DATE_EPOCH=7\n", {}, 7, "7"),
        ("ARG SOURCE_DATE_EPOCH=7\n", {"SOURCE_DATE_EPOCH": "12"}, 12, "12"),
        ("ARG SOURCE_DATE_EPOCH=7\n", {"SOURCE_DATE_EPOCH": ""}, None, None),
        ("ARG SOURCE_DATE_EPOCH=context\n", {}, None, None),
    ],
)
def test_the_time_of_the_image(
    head: str, args: dict[str, str], epoch: int | None, seen: str | None
) -> None:
    found = Asked(f"{head}FROM box\nARG SOURCE_DATE_EPOCH\nRUN 1\n", args=args)
    assert found.found.epoch == epoch
    assert found.env("stage-0/2-run").get("SOURCE_DATE_EPOCH") == seen


def test_nonsense_is_no_time() -> None:
    with pytest.raises(UsageError) as caught:
        Asked("FROM box\n", args={"SOURCE_DATE_EPOCH": "soon"})
    assert caught.value.code == "bad-epoch"


@pytest.mark.parametrize("text", ["[]random", "['a', 'b']", '["a", 1]', '["a"]x', '["a"'])
def test_what_is_no_json_is_text_of_the_shell(text: str) -> None:
    config, _ = image_config(f"FROM scratch\nENTRYPOINT {text}\nCMD {text}\n")
    assert config.entrypoint == config.cmd == ("/bin/sh", "-c", text)
    assert image_config('FROM scratch\nCMD []\nENTRYPOINT ["a"]\n')[0].cmd == ()


@pytest.mark.parametrize(
    "line",
    [
        "ARG a%d=1",
        "COPY a%d /",
        "ENV A%d=1 B=$A",
        "EXPOSE %d",
        "LABEL l%d=1",
        "ONBUILD RUN %d",
        "VOLUME /v%d",
        "WORKDIR /w%d",
    ],
)
def test_many_lines_take_time_in_proportion(line: str) -> None:
    text = "FROM scratch\n" + "".join(f"{line % (at + 1)}\n" for at in range(12_000))
    start = time.process_time()
    image_config(text)
    assert time.process_time() - start < 2


SOURCE = "ADD https://example.org/a.tar /\n"


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        ("FROM box AS src\n" + SOURCE, "begins with box"),
        ("FROM scratch AS src\n" + SOURCE + "RUN 1\n", "has RUN"),
        ("FROM scratch AS src\nADD a /\n", "adds a"),
        ("FROM scratch AS src\n", "adds nothing"),
        ("FROM scratch AS src\nADD <<E /\nE\n", "adds a document"),
    ],
)
def test_a_stage_that_is_no_source_has_no_time(stage: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        Asked(f"{stage}FROM box\n", args={"SOURCE_DATE_EPOCH": "src"})
    assert (caught.value.code, why in caught.value.message) == ("epoch-of-stage", True)
    assert caught.value.where is not None
    assert caught.value.where.line == 1


def test_without_a_network_nobody_knows_the_time_of_a_stage() -> None:
    with pytest.raises(UsageError) as caught:
        Asked(f"FROM scratch AS src\n{SOURCE}FROM box\n", args={"SOURCE_DATE_EPOCH": "src"})
    assert caught.value.code == "epoch-of-stage"

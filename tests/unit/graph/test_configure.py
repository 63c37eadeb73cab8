from dataclasses import replace

import pytest

from buildgraph.errors import Location, UsageError
from buildgraph.graph.configure import configure
from buildgraph.oci.config import Config, Healthcheck, History
from buildgraph.spec import model
from buildgraph.spec.model import EnvName, ImageConfig, Text, Unset


def text(value: str) -> Text:
    """``a${X}b`` with X as an environment name."""
    parts: list[str | EnvName] = []
    for piece in value.split("${"):
        name, closed, rest = piece.partition("}")
        parts += [EnvName(name), rest] if closed else [piece]
    return Text(tuple(part for part in parts if part != ""))


BASE = Config(
    "amd64",
    "linux",
    env=(("PATH", "/bin"), ("LANG", "C")),
    user="app",
    workdir="/srv",
    entrypoint=("/bin/entry",),
    cmd=("serve",),
    exposed=("80/tcp",),
    volumes=("/data",),
    labels={"vendor.a": "1", "keep": "2"},
    stop_signal="SIGINT",
    onbuild=("RUN a",),
    healthcheck=Healthcheck(("CMD", "true"), interval=5, retries=3),
    history=(History(created_by="base"),),
    runtime_extra={"ArgsEscaped": True},
)


def test_no_own_keys_change_nothing():
    assert configure(BASE, ImageConfig()) == BASE


def test_env_keeps_the_inherited_order_and_appends_new_names():
    own = {"NEW": text("n"), "PATH": text("/opt/bin:${PATH}"), "ALSO": text("${LANG}")}
    assert configure(BASE, ImageConfig(env=own)).env == (
        ("PATH", "/opt/bin:/bin"),
        ("LANG", "C"),
        ("NEW", "n"),
        ("ALSO", "C"),
    )


def test_env_names_mean_the_inherited_values_even_when_unset():
    own = ImageConfig(env={"OLD": text("${PATH}")}, unset=Unset(env=("PATH",)))
    assert configure(BASE, own).env == (("LANG", "C"), ("OLD", "/bin"))


def test_own_entrypoint_drops_the_inherited_cmd_but_not_an_own_one():
    own = ImageConfig(entrypoint=(text("/x"),))
    assert (configure(BASE, own).entrypoint, configure(BASE, own).cmd) == (("/x",), None)
    both = configure(BASE, replace(own, cmd=(text("a"),)))
    assert (both.entrypoint, both.cmd) == (("/x",), ("a",))


def test_own_cmd_keeps_the_inherited_entrypoint():
    config = configure(BASE, ImageConfig(cmd=(text("a"), text("${LANG}"))))
    assert (config.entrypoint, config.cmd) == (("/bin/entry",), ("a", "C"))


def test_empty_argv_clears():
    assert configure(BASE, ImageConfig(cmd=())).cmd == ()


@pytest.mark.parametrize(
    ("inherited", "own", "expected"),
    [
        (None, None, ("/bin/sh", "-c")),
        (("/bin/bash", "-c"), None, ("/bin/bash", "-c")),
        (("/bin/bash", "-c"), ("/bin/ash", "-ec"), ("/bin/ash", "-ec")),
    ],
)
def test_a_string_is_run_by_the_images_shell(inherited, own, expected):
    base = replace(BASE, shell=inherited)
    config = configure(base, ImageConfig(cmd=text("exec serve"), shell=own))
    assert config.cmd == (*expected, "exec serve")
    assert config.shell == (own or inherited)


def test_sets_and_maps_merge():
    own = ImageConfig(
        expose=("53/UDP", "8080"), volumes=("/a",), labels={"keep": text("3"), "x": text("${LANG}")}
    )
    config = configure(BASE, own)
    assert config.exposed == ("53/udp", "80/tcp", "8080/tcp")
    assert config.volumes == ("/a", "/data")
    assert config.labels == {"vendor.a": "1", "keep": "3", "x": "C"}


def test_unset_cuts_by_glob_and_flag():
    flags = frozenset({"entrypoint", "cmd", "healthcheck", "user", "workdir", "onbuild"})
    config = configure(
        BASE,
        ImageConfig(unset=Unset(("P*",), ("vendor.*",), ("*",), ("80",), flags)),
    )
    assert config == replace(
        BASE,
        env=(("LANG", "C"),),
        labels={"keep": "2"},
        volumes=(),
        exposed=(),
        entrypoint=None,
        cmd=None,
        healthcheck=None,
        user="",
        workdir="",
        onbuild=(),
    )


def test_own_keys_come_after_unset():
    own = ImageConfig(
        user=text("root"),
        onbuild=("RUN b",),
        labels={"vendor.b": text("1")},
        unset=Unset(labels=("vendor.*",), flags=frozenset({"user", "onbuild"})),
    )
    config = configure(BASE, own)
    assert (config.user, config.onbuild) == ("root", ("RUN b",))
    assert config.labels == {"keep": "2", "vendor.b": "1"}


@pytest.mark.parametrize(
    ("own", "expected"),
    [("/x//y/", "/x/y"), ("sub", "/srv/sub"), ("..", "/"), ("${LANG}", "/srv/C")],
)
def test_workdir(own, expected):
    assert configure(BASE, ImageConfig(workdir=text(own))).workdir == expected


def test_healthcheck_replaces_or_adjusts():
    own = model.Healthcheck((text("CMD-SHELL"), text("curl ${LANG}")), timeout=7)
    assert configure(BASE, ImageConfig(healthcheck=own)).healthcheck == Healthcheck(
        ("CMD-SHELL", "curl C"), timeout=7
    )
    slower = configure(BASE, ImageConfig(healthcheck=model.Healthcheck(interval=9)))
    assert slower.healthcheck == Healthcheck(("CMD", "true"), interval=9, retries=3)


def test_unknown_env_names_the_variable_the_key_and_the_line():
    where = {"env": Location("Buildfile.toml", 7)}
    with pytest.raises(UsageError, match=r"\$\{env\.PTAH\}") as caught:
        configure(BASE, ImageConfig(env={"X": text("${PTAH}")}), where)
    assert caught.value.code == "unknown-env"
    assert caught.value.where == Location("Buildfile.toml", 7)
    assert "${env.PATH}" in caught.value.hint

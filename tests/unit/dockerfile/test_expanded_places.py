"""Where variables are expanded, and where they are left to the shell."""

from support.dockerfiles import Asked

from buildgraph.dockerfile.convert import image_config
from buildgraph.spec.model import Mode, Owner

HEAD = "FROM scratch\nARG A=one B=/two C=3\nENV A=$A B=$B C=$C\n"


def test_words_of_the_config_are_expanded():
    config, _ = image_config(
        HEAD + "ENV $A=x-$B\nLABEL l.$A=$B\nEXPOSE $C/udp\nSTOPSIGNAL $C\nUSER $A:$C\nVOLUME $B\n"
        'VOLUME ["$B/v"]\nWORKDIR $B/w\nARG D=$A$C\nENV E=$D\n'
    )
    assert config.environment["one"] == "x-/two"
    assert dict(config.labels) == {"l.one": "/two"}
    assert (config.exposed, config.stop_signal, config.user) == (("3/udp",), "3", "one:3")
    assert (config.volumes, config.workdir) == (("/two", "/two/v"), "/two/w")
    assert config.environment["E"] == "one3"


def test_commands_are_not():
    config, _ = image_config(
        HEAD
        + 'CMD echo $A\nENTRYPOINT ["$A"]\nHEALTHCHECK CMD echo $A\nSHELL ["$A"]\nONBUILD RUN $A\n'
    )
    assert config.cmd == ("/bin/sh", "-c", "echo $A")
    assert config.entrypoint == ("$A",)
    assert config.healthcheck is not None
    assert config.healthcheck.test == ("CMD-SHELL", "echo $A")
    assert (config.shell, config.onbuild) == (("$A",), ("RUN $A",))


def test_the_text_of_a_run_is_not_but_its_mounts_are():
    found = Asked(HEAD + "RUN --mount=type=cache,target=$B,id=$A echo $A\n")
    assert found.argv("stage-0/1-run")[-1] == "echo $A"
    (mount,) = found.kind("stage-0/1-run").mounts
    assert (mount.id, mount.target.fill({})) == ("one", "/two")


def test_copies_and_the_bodies_of_their_heredocs_are():
    found = Asked(
        HEAD + "COPY --chown=$C:$C --chmod=$C --exclude=$A <<E <<'F' a/$A $B/\n$A\nE\n$A\nF\n"
    )
    copy = found.kind("stage-0/1-copy")
    expanded, raw, path = copy.sources
    assert (expanded.content, raw.content, path.pattern) == ("one\n", "$A\n", "/a/one")
    assert (copy.to, copy.owner, copy.mode) == ("/two/", Owner(3, 3), Mode(0o3))
    assert copy.exclude == ("one",)

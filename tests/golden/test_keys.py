"""Keys that must not change unless a step's schema version changes with them: a new key rebuilds everybody's cache."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.golden import check

from buildgraph.digest import Digest
from buildgraph.errors import Location
from buildgraph.fs import tree
from buildgraph.fs.tree import Entry
from buildgraph.graph.key import SANDBOX_PROFILE, Inputs, document, key
from buildgraph.graph.recipe import of_write
from buildgraph.graph.step import (
    BindFiles,
    CacheDir,
    ContextFiles,
    CopyPart,
    CopyStep,
    PackagesStep,
    RunStep,
    SecretFile,
    StackFiles,
    StepId,
    TmpfsDir,
    WriteStep,
)
from buildgraph.sandbox import profile
from buildgraph.spec.model import DEFAULT_DISCARD, Mode, Owner, Reuse, WriteItem

HERE = Location("Buildfile.toml", 1)
DEBIAN, TOOLS = StepId("base:debian"), StepId("step:tools")
LISTING = tree.digest((Entry(b"a", tree.FILE, 0o644, size=1, content="0" * 64),))
FILES = ContextFiles("src", ("**/*.py",), ("**/*_test.py",))
DIST = StackFiles((DEBIAN, TOOLS), "/dist", name="step:tools")
INPUTS = Inputs(
    {DEBIAN: ["sha256:" + "d" * 64], TOOLS: "7" * 64},
    {FILES: LISTING},
)

RUN = RunStep(
    id=StepId("step:deps"),
    stack=(DEBIAN, TOOLS),
    tools=(),
    argv=("/bin/sh", "-euc", "make"),
    env=(("PATH", "/bin"), ("SOURCE_DATE_EPOCH", "315532800")),
    user="",
    workdir="/",
    network="none",
    mounts=(
        BindFiles(FILES, "/in"),
        BindFiles(DIST, "/dist"),
        CacheDir("pip", "/root/.cache/pip", "shared", None, None),
        TmpfsDir("/tmp", 0, None, Mode(0o1777)),
        SecretFile("token", "/run/token", "", True, None, None),
    ),
    outputs=("/out/**",),
    discard=DEFAULT_DISCARD,
    hosts=(("db", "10.0.0.1"),),
    platform="linux/amd64",
    keep_time=False,
    where=HERE,
)
COPY = CopyStep(
    StepId("step:copy"),
    (CopyPart(DIST, "/srv/", Owner(1, 2), Mode(symbolic="u=rwX,go=rX"), HERE),),
    (),
    None,
    False,
    HERE,
)
WRITE = WriteStep(
    StepId("step:write"),
    (
        WriteItem("file", "/etc/motd", "hello\n"),
        WriteItem("dir", "/data", mode=Mode(0o700), owner=Owner(5, 6)),
        WriteItem("link", "/etc/link", "motd"),
    ),
    HERE,
)
PACKAGES = PackagesStep(
    StepId("step:os"), ("curl",), "bookworm", "linux/amd64", ("curl:amd64=7.88.1-10",), "", "", HERE
)


@pytest.mark.parametrize(
    ("name", "step", "recipe"),
    [
        ("run", RUN, None),
        ("copy-from-step", COPY, None),
        ("copy-settled", COPY, LISTING),
        ("write", WRITE, of_write(WRITE).digest),
        ("packages", PACKAGES, None),
    ],
)
def test_key(name, step, recipe):
    made = document(step, INPUTS, recipe)
    text = json.dumps(made, indent=1, sort_keys=True, default=str)
    check(Path(__file__).parent / "keys" / f"{name}.txt", f"{key(made)}\n{text}\n")


@pytest.mark.parametrize(
    "change",
    [
        {"timeout": 5},
        {"cpus": 2.0},
        {"memory": 1 << 30},
        {"pool": "big"},
        {"reuse": Reuse(never=True)},
        {"where": Location("elsewhere", 9)},
        {"merge_strict": True},
        {"id": StepId("step:renamed")},
    ],
)
def test_what_cannot_change_a_result_is_not_in_the_key(change):
    assert key(document(replace(RUN, **change), INPUTS)) == key(document(RUN, INPUTS))


@pytest.mark.parametrize(
    "change",
    [
        {"argv": ("/bin/sh", "-euc", "make all")},
        {"env": ()},
        {"user": "1000"},
        {"workdir": "/w"},
        {"network": "host"},
        {"mounts": ()},
        {"outputs": None},
        {"discard": ()},
        {"hosts": ()},
        {"platform": "linux/arm64"},
        {"keep_time": True},
        {"stack": (DEBIAN,)},
        {"tools": (TOOLS,)},
    ],
)
def test_what_can_change_a_result_is_in_the_key(change):
    assert key(document(replace(RUN, **change), INPUTS)) != key(document(RUN, INPUTS))


def test_a_shared_cache_mount_is_keyed_by_id_and_target_alone():
    def with_cache(sharing):
        return replace(RUN, mounts=(CacheDir("pip", "/c", sharing, None, None),))

    assert key(document(with_cache("shared"), INPUTS)) == key(
        document(with_cache("locked"), INPUTS)
    )


def test_a_selection_is_keyed_by_its_files_however_it_was_written():
    other = ContextFiles("./src", ("**",))
    inputs = Inputs(INPUTS.names, {FILES: LISTING, other: LISTING})
    one = replace(RUN, mounts=(BindFiles(FILES, "/in"),))
    two = replace(RUN, mounts=(BindFiles(other, "/in"),))
    assert key(document(one, inputs)) == key(document(two, inputs))
    three = Inputs(INPUTS.names, {FILES: Digest("blake3:" + "1" * 64)})
    assert key(document(one, three)) != key(document(one, inputs))


def test_commands_that_see_another_machine_have_other_keys():
    assert SANDBOX_PROFILE == profile.VERSION

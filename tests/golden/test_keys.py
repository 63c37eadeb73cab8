"""Keys that must not change unless a step's schema version changes with them: a new key rebuilds everybody's cache."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from support.golden import check

from buildgraph.digest import Digest
from buildgraph.errors import Location
from buildgraph.fs import tree
from buildgraph.fs.tree import Entry
from buildgraph.graph.key import SANDBOX_PROFILE, Inputs, Keyed, document, key
from buildgraph.graph.recipe import of_write
from buildgraph.graph.step import (
    BindFiles,
    CacheDir,
    ContextFiles,
    CopyPart,
    CopyStep,
    DockerCopyStep,
    DockerFiles,
    FetchStep,
    GitStep,
    PackagesStep,
    RunStep,
    ScriptFile,
    SecretFile,
    SshSocket,
    StackFiles,
    StepId,
    TmpfsDir,
    WorkdirStep,
    WriteStep,
)
from buildgraph.sandbox import profile
from buildgraph.spec.model import (
    DEFAULT_DISCARD,
    InlineFile,
    Limits,
    Mode,
    Owner,
    Retry,
    Reuse,
    WriteItem,
)

HERE = Location("Buildfile.toml", 1)
DEBIAN, TOOLS = StepId("base:debian"), StepId("step:tools")
LISTING = tree.digest((Entry(b"a", tree.FILE, 0o644, size=1, content="0" * 64),))
FILES = ContextFiles("src", ("**/*.py",), ("**/*_test.py",))
DIST = StackFiles((DEBIAN, TOOLS), "/dist", name="step:tools")
WORD = DockerFiles("src/*.py", exclude=("*_test.py",))
OUT = DockerFiles("/out/./lib", (DEBIAN, TOOLS), parents=True, unpack=True, name="tools")
INPUTS = Inputs(
    {DEBIAN: ["sha256:" + "d" * 64], TOOLS: "7" * 64},
    {FILES: LISTING, WORD: LISTING},
    "the version",
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
DOCKER_RUN = replace(
    RUN,
    dockerfile=True,
    hostname="builder",
    insecure=True,
    network="default",
    outputs=None,
    discard=(),
    mounts=(
        ScriptFile("#!/bin/sh\nmake\n", "/dev/pipes/EOF"),
        CacheDir("m", "/m", "locked", Owner(1, 2), Mode(0o700), FILES, read_only=True, path="sub"),
        SshSocket("default", "/run/ssh", False, None, None),
        BindFiles(FILES, "/in", write=True, executable=True),
    ),
)
DOCKER_COPY = DockerCopyStep(
    StepId("step:add"),
    (WORD, OUT, InlineFile("EOF", "hello\n")),
    "/srv/",
    Owner("www", ""),
    Mode(symbolic="u+x"),
    link=True,
    names=(DEBIAN,),
    where=HERE,
)
WORKDIR = WorkdirStep(StepId("step:workdir"), "/srv/app", "www", (DEBIAN,), HERE)
URL = "https://example.com/a.tar"
FETCH = FetchStep(StepId("step:fetch"), URL, "a.tar", "", HERE)
FETCH_CHECKED = replace(FETCH, checksum="sha256:" + "c" * 64)
GIT = GitStep(
    StepId("step:git"), URL, "main", "sub", "", keep_git_dir=False, submodules=False, where=HERE
)
GIT_WHOLE = replace(GIT, keep_git_dir=True, submodules=True)
DOCUMENTS = [
    ("run", RUN, None),
    ("copy-from-step", COPY, None),
    ("copy-settled", COPY, LISTING),
    ("write", WRITE, of_write(WRITE).digest),
    ("packages", PACKAGES, None),
    ("packages-normalized", replace(PACKAGES, keep_time=True, git_modes=True), None),
    ("docker-run", DOCKER_RUN, None),
    ("docker-copy", DOCKER_COPY, None),
    ("docker-copy-times", replace(DOCKER_COPY, keep_time=True), None),
    ("docker-copy-settled", DOCKER_COPY, LISTING),
    ("workdir", WORKDIR, None),
    ("workdir-settled", WORKDIR, LISTING),
    ("fetch", FETCH, None),
    ("fetch-checked", FETCH_CHECKED, None),
    ("git", GIT, None),
    ("git-whole", GIT_WHOLE, None),
]


def test_every_kind_of_step_has_a_key_here():
    assert {type(step) for _, step, _ in DOCUMENTS} == set(get_args(Keyed))


@pytest.mark.parametrize(
    ("name", "step", "recipe"),
    DOCUMENTS,
    ids=[name for name, _, _ in DOCUMENTS],
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
        {"retry": Retry(3, ("network",))},
        {"proxies": (("http_proxy", "http://p"),)},
        {"shm_size": 1 << 26},
        {"ulimits": (("nofile", 1, 2),)},
        {"limits": Limits(cpu_shares=512)},
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
        {"git_modes": True},
        {"stack": (DEBIAN,)},
        {"tools": (TOOLS,)},
        {"dockerfile": True},
        {"dockerfile": True, "hostname": "h"},
        {"dockerfile": True, "insecure": True},
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


@pytest.mark.parametrize(
    ("secret", "public"),
    [
        ("https://me:s3cret@h.example/a.git", "https://h.example/a.git"),
        ("https://s3cret@h.example/a.git", "https://h.example/a.git"),
        ("http://me:s3:cret@h.example:8080/a@b.git", "http://h.example:8080/a@b.git"),
        ("ssh://git:s3cret@h.example/a.git", "ssh://git@h.example/a.git"),
    ],
)
def test_no_credential_is_in_a_document(secret, public):
    for step in (GIT_WHOLE, FETCH):
        made = document(replace(step, url=secret), INPUTS)
        assert "s3" not in json.dumps(made)
        assert made == document(replace(step, url=public), INPUTS)


def test_commands_that_see_another_machine_have_other_keys():
    assert SANDBOX_PROFILE == profile.VERSION

"""RUN, COPY, ADD and WORKDIR as steps of a model."""

from support.dockerfiles import Asked

from buildgraph.spec.model import (
    BindMount,
    CacheMount,
    DockerSource,
    GitTree,
    InlineFile,
    Mode,
    Owner,
    Ref,
    RemoteFile,
    SecretMount,
    Selection,
    SshMount,
    Text,
    TmpfsMount,
    Workdir,
)


def one(text: str, name: str, **options: object) -> object:
    return Asked("FROM scratch\nWORKDIR /w\n" + text, **options).kind(f"stage-0/2-{name}")


def test_a_copy() -> None:
    text = "ENV D=sub\nCOPY --chown=1 --chmod=0640 --link --exclude=$D/x a* ../$D/ ./\n"
    copy = one(text, "copy")
    assert copy.sources == (
        DockerSource("/a*", context="context"),
        DockerSource("/sub", context="context"),
    )
    assert (copy.to, copy.add, copy.link) == ("/w/", False, True)
    assert (copy.owner, copy.mode, copy.exclude) == (Owner(1, 1), Mode(0o640), ("sub/x",))


def test_destinations_and_owners() -> None:
    found = Asked(
        "FROM scratch\nWORKDIR /w\nCOPY a b\nCOPY a /x/\nCOPY a $no\nCOPY a ../y\nCOPY a /\n"
        "COPY --chown=app a .\nCOPY --chown=app:7 a b/.\nCOPY --chmod=go-w,u=rwX a b\n"
    )
    copies = [step.kind for step in found.found.steps.values()][1:]
    to = [copy.to for copy in copies]
    assert to == ["/w/b", "/x/", "/w/", "/y", "/", "/w/", "/w/b/", "/w/b"]
    assert [c.owner for c in copies[5:7]] == [Owner("app", ""), Owner("app", 7)]
    assert copies[7].mode == Mode(symbolic="go-w,u=rwX")


def test_parents_keep_their_pivot() -> None:
    """The first ``/./``; a leading ``./`` is none, as in the example of the Dockerfile reference."""
    text = "COPY --parents ./a/./b/*.c a/./b /./c/./d ././e/./f ./g . /x/\n"
    copy = one(text, "copy")
    patterns = ["/a/./b/*.c", "/a/./b", "/./c/./d", "/./e/./f", "/g", "/."]
    assert [source.pattern for source in copy.sources] == patterns
    assert copy.parents


def test_documents() -> None:
    text = "ENV A=1\nCOPY <<one <<'two' /x/\n$A \\$A\none\n$A\ntwo\n"
    assert one(text, "copy").sources == (InlineFile("one", "1 $A\n"), InlineFile("two", "$A\n"))


def test_remote_sources() -> None:
    digest = "sha256:" + "a" * 64
    text = f"ADD --checksum={digest} --unpack https://x.example/d/f.tar?q=1 /\n"
    add = one(text, "add")
    assert add.sources == (RemoteFile("https://x.example/d/f.tar?q=1", "f.tar", digest),)
    assert (add.add, add.unpack) == (True, True)
    assert one("ADD http://x.example /\n", "add").sources[0].name == "__unnamed__"
    assert one("ADD --keep-git-dir https://x.example/r.git#v1:sub /\n", "add").sources == (
        GitTree("https://x.example/r.git", "v1", "sub", keep_git_dir=True),
    )


def test_workdirs_below_root_alone_are_steps() -> None:
    found = Asked("FROM scratch\nUSER app\nWORKDIR a\nWORKDIR ../b/\nWORKDIR /\n")
    assert [step.kind for step in found.found.steps.values()] == [
        Workdir("/a", "app"),
        Workdir("/b", "app"),
    ]


def test_a_run_stands_on_what_its_stage_has_so_far() -> None:
    found = Asked("FROM x\nCOPY a /\nRUN 1\nCOPY b /\nCOPY c /\nRUN 2\n").found
    assert [tuple(map(str, step.on)) for step in found.steps.values()] == [
        (),
        ("base:x:latest", "step:stage-0/2-copy"),
        (),
        (),
        ("step:stage-0/3-run", "step:stage-0/4-copy", "step:stage-0/5-copy"),
    ]


def test_what_a_run_sees() -> None:
    text = "USER u:g\nRUN --network=none x\n"
    run = one(text, "run", hosts={"h": "1.2.3.4"}, shm_size=9, ulimits={"nofile": (1, 2)})
    assert (run.user, run.workdir, run.network) == (Text(("u:g",)), Text(("/w",)), "none")
    assert (run.hosts, run.shm_size, run.ulimits) == ({"h": "1.2.3.4"}, 9, {"nofile": (1, 2)})
    assert (run.discard, run.dockerfile, run.insecure) == ((), True, False)


def test_networks() -> None:
    def network(flag: str, **options: object) -> object:
        return one(f"RUN {flag} x\n", "run", **options).network

    assert network("") == "default"
    assert network("", network="none") == "none"
    assert network("--network=default", network="none") == "default"
    assert network("--network=host", allow_host=True) == "host"
    assert one("RUN --security=insecure x\n", "run", allow_insecure=True).insecure


def test_commands() -> None:
    found = Asked(
        "FROM scratch\nRUN a \\\n  b\nRUN <<E\nx\nE\nRUN <<-E\n\ty\n\tE\nRUN cat <<E 3<<F\n1\nE\n2\nF\n"
        'RUN ["a", "$b"]\nRUN <<E\n#!/bin/x\nz\nE\n'
    )
    argvs = [found.argv(name)[-1] for name in found.steps]
    assert argvs == [
        "a   b",
        "x\n",
        "y\n",
        "cat <<E 3<<F\n1\nE\n2\nF",
        "$b",
        "/run/buildgraph/E",
    ]
    assert found.argv("stage-0/5-run") == ["a", "$b"]
    [script] = found.kind("stage-0/6-run").mounts
    assert (script.inline, script.target) == ("#!/bin/x\nz\n", Text(("/run/buildgraph/E",)))


def test_binds() -> None:
    text = "RUN --mount=target=m --mount=type=bind,source=../a/b,target=/m,rw x\n"
    mounts = one(text, "run").mounts
    assert mounts == (
        BindMount(Selection(".", context="context"), Text(("/w/m",))),
        BindMount(Selection("a/b", context="context"), Text(("/m",)), write=True),
    )
    [image] = one("RUN --mount=from=tools:1,source=/t,target=/t x\n", "run").mounts
    assert image.source == Selection("/t", Ref("base", "tools:1"))


def test_caches() -> None:
    def cache(options: str) -> CacheMount:
        [found] = one(f"RUN --mount=type=cache,{options} x\n", "run").mounts
        return found

    assert cache("target=/c") == CacheMount("/c", Text(("/c",)), "shared", Owner(0, 0), Mode(0o755))
    assert cache("target=/c,id=i,sharing=locked,ro").read_only
    assert cache("target=/c,id=i,uid=7").id != cache("target=/d,id=i").id
    assert cache("target=/c,id=i").id == cache("target=/d,id=i").id
    seeded = cache("target=/c,from=box,source=/s")
    assert seeded.seed == Selection("/s", Ref("base", "box:latest"))
    assert seeded.id != cache("target=/c").id


def test_memory_and_secrets() -> None:
    text = "RUN --mount=type=tmpfs,target=/t,size=1k --mount=type=secret,id=a/b,required x\n"
    assert one(text, "run").mounts == (
        TmpfsMount(Text(("/t",)), 1024, Owner(0, 0), Mode(0o1777)),
        SecretMount(
            "a/b", Text(("/run/secrets/b",)), "", True, owner=Owner(0, 0), mode=Mode(0o400)
        ),
    )
    text = "RUN --mount=type=secret,id=t,env=T --mount=type=secret,target=/s,mode=0444,uid=3 x\n"
    assert one(text, "run").mounts == (
        SecretMount("t", env="T"),
        SecretMount("s", Text(("/s",)), owner=Owner(3, 0), mode=Mode(0o444)),
    )
    both = one("RUN --mount=type=secret,id=t,env=T,target=/f x\n", "run").mounts
    assert [(mount.env, mount.target) for mount in both] == [("T", None), ("", Text(("/f",)))]


def test_agents() -> None:
    text = "RUN --mount=type=ssh --mount=type=ssh,id=k,target=/s,mode=0666,uid=7,gid=8,required x\n"
    first, second = one(text, "run").mounts
    assert (first.id, first.required, first.mode, first.owner) == (
        "default",
        False,
        Mode(0o600),
        Owner(0, 0),
    )
    assert second == SshMount("k", Text(("/s",)), True, Owner(7, 8), Mode(0o666))


def test_mounts_expand_the_stage_s_variables() -> None:
    text = "ARG V=v\nRUN --mount=type=cache,id=$V,target=/$V x\n"
    [found] = one(text, "run").mounts
    assert (found.id, found.target) == ("v", Text(("/v",)))

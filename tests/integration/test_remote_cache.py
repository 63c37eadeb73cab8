"""A remote cache between machines: what one of them made, the other one reuses."""

from pathlib import Path

import pytest
from support.machines import Machines, overlooked, runs
from support.registry import Registry, running

from buildgraph.build.request import OutputSpec
from buildgraph.errors import RemoteError
from buildgraph.store.gc import collect
from buildgraph.store.local import LocalStore
from buildgraph.store.verify import verify

TEXT = """FROM box AS builder
COPY src /src
RUN cat /src/a > /made; echo 1 > /also
RUN mkdir /out; cp /made /out/result; date > /dev/null
FROM box
WORKDIR /app
COPY --from=builder /out /app/out
RUN cat out/result > copy; ln copy link
ENV A=1
"""


@pytest.fixture(params=["file", "registry"])
def machines(request, tmp_path):
    if request.param == "file":
        yield _made(tmp_path, f"file://{tmp_path}/cache")
        return
    with running(tmp_path / "registry") as registry:
        yield _made(tmp_path, f"registry://{registry.host}/team/cache")


@pytest.fixture
def registry(tmp_path):
    with running(tmp_path / "registry") as registry:
        yield registry


def _made(tmp_path: Path, *urls: str) -> Machines:
    machines = Machines.make(tmp_path, *urls)
    machines.docker.write("src/a", "a\n")
    return machines


def _folder(machines: Machines) -> Path:
    return Path(machines.urls[0].place)


def test_a_second_machine_runs_nothing_and_makes_the_same_image(machines):
    first, made = machines.build("one", TEXT)
    assert len(runs(first)) == 3
    second, again = machines.build("two", TEXT)
    assert second.workspace.ran() == set()
    assert second.workspace.warnings() == []
    assert again.images[0].digest == made.images[0].digest
    assert machines.on("three").build(TEXT).images[0].digest == made.images[0].digest
    with LocalStore.open(second.workspace.home) as store:
        assert verify(store).findings == ()


def test_what_changed_runs_and_what_lies_above_it_unchanged_does_not(machines):
    machines.build("one", TEXT)
    changed = TEXT.replace("echo 1 > /also", "echo 2 > /also")
    machines.build("two", changed)
    third, _ = machines.build("three", changed.replace("date > /dev/null", "date"))
    assert third.workspace.outcomes()["ctx/builder/2-copy"] == "reused"
    assert runs(third) == {"ctx/builder/4-run"}  # the last one has the inputs that it had


def test_of_stages_that_are_thrown_away_the_bytes_are_written_with_max_alone(tmp_path):
    machines = _made(tmp_path, f"file://{tmp_path}/cache?steps=images")
    _, made = machines.build("one", TEXT)
    small = _size(machines)
    second, again = machines.build("two", TEXT)
    assert second.workspace.ran() == set()  # what a stage yields is known, and nobody needs it
    with LocalStore.open(second.workspace.home) as store:
        assert verify(store).findings == ()
    assert again.images[0].digest == made.images[0].digest
    changed = TEXT.replace("date >", "date >>")
    third, _ = machines.build("three", changed)
    assert runs(third) == {"ctx/builder/3-run", "ctx/builder/4-run"}
    assert third.workspace.warnings() == []
    every = machines.with_urls(f"file://{tmp_path}/cache")
    every.build("one", TEXT)
    assert _size(machines) > small
    fourth, _ = every.build("four", changed.replace("/dev/null", "/dev/zero"))
    assert runs(fourth) == {"ctx/builder/4-run"}
    assert runs(machines.build("five", TEXT + "RUN cat /app/copy\n")[0]) == {"ctx/stage-1/5-run"}


def _size(machines: Machines) -> int:
    return sum(path.stat().st_size for path in (_folder(machines) / "blobs").rglob("*"))


def test_a_cache_that_is_only_read_stays_as_it_is(tmp_path):
    machines = _made(tmp_path, f"file://{tmp_path}/cache?mode=read")
    machines.build("one", TEXT)
    assert not _folder(machines).exists()


def test_a_cache_that_is_only_written_is_not_asked(tmp_path):
    machines = _made(tmp_path, f"file://{tmp_path}/cache?mode=write")
    machines.build("one", TEXT)
    second, _ = machines.build("two", TEXT)
    assert len(runs(second)) == 3


def test_several_caches_are_asked_in_order(tmp_path):
    one = _made(tmp_path, f"file://{tmp_path}/first")
    one.build("one", TEXT)
    both = one.with_urls(f"file://{tmp_path}/second", f"file://{tmp_path}/first?mode=read")
    assert runs(both.build("two", TEXT)[0]) == set()
    third = one.with_urls(f"file://{tmp_path}/second")
    assert runs(third.build("three", TEXT)[0]) == set()  # it was handed on


def test_written_again_after_everything_was_collected(machines):
    """Also what came from the cache can be written to the next one; and so on."""
    digests = set()
    for _ in range(3):
        docker, summary = machines.build("one", TEXT)
        digests.add(summary.images[0].digest)
        with LocalStore.open(docker.workspace.home) as store:
            store.images.untag(next(name for name, _ in store.images.list()))
            collect(store, max_size=0)
    assert len(digests) == 1
    assert runs(docker) == set()
    assert docker.workspace.warnings() == []


def test_what_this_machine_had_before_is_written_too(machines):
    machines.on("one").build(TEXT)
    again, _ = machines.build("one", TEXT)
    assert again.workspace.ran() == set()
    assert runs(machines.build("two", TEXT)[0]) == set()


def test_a_deleted_folder_is_written_again(tmp_path):
    machines = _made(tmp_path, f"file://{tmp_path}/cache")
    _, summary = machines.build("one", TEXT)
    assert summary.facts is not None
    assert any(b"buildgraph-cache.json" in path for path in overlooked(summary.facts))


# -- what is wrong with a cache costs time, and a warning


def test_a_cache_that_is_not_there_warns(tmp_path, registry):
    machines = _made(
        tmp_path, f"file://{tmp_path}/none?mode=read", f"registry://{registry.host}/none?mode=read"
    )
    docker, _ = machines.build("one", TEXT)
    assert docker.workspace.warnings() == ["cache-empty", "cache-empty"]


def test_a_registry_that_is_down_warns_once(tmp_path, registry):
    machines = _made(tmp_path, f"registry://{registry.host}/team/cache")
    registry.stop()
    docker, summary = machines.build("one", TEXT)
    assert docker.workspace.warnings() == ["cache-failed"]
    assert summary.ok
    assert summary.facts is None  # the next build tries again


def test_who_insists_on_the_cache_gets_an_error_in_the_end(tmp_path, registry):
    machines = _made(tmp_path, f"registry://{registry.host}/team/cache")
    machines = machines.strict()
    registry.stop()
    docker = machines.on("one")
    docker.write("Dockerfile", TEXT)
    summary = docker.workspace.attempt(**docker.request(), caches=machines.urls)
    assert not summary.ok
    assert isinstance(summary.failures[0], RemoteError)
    assert len(runs(docker)) == 3


@pytest.mark.parametrize("what", ["blobs", "records"])
def test_what_is_damaged_there_is_made_again(tmp_path, what):
    machines = _made(tmp_path, f"file://{tmp_path}/cache")
    _, made = machines.build("one", TEXT)
    damaged = [path for path in (_folder(machines) / what).rglob("*") if path.is_file()]
    for path in damaged:
        path.write_bytes(bytes(path.stat().st_size))
    second, again = machines.build("two", TEXT)
    assert len(runs(second)) == 3
    assert set(second.workspace.warnings()) == {"cache-damaged"}
    assert again.images[0].digest == made.images[0].digest
    machines.build("three", TEXT)
    fourth, _ = machines.build("four", TEXT)  # and it was mended
    assert (runs(fourth), fourth.workspace.warnings()) == (set(), [])


def test_a_damaged_blob_of_a_registry_is_a_miss(tmp_path, registry):
    machines = _made(tmp_path, f"registry://{registry.host}/team/cache")
    _, made = machines.build("one", TEXT)
    for path in (registry.folder / "storage").rglob("data"):
        if path.stat().st_size > 2 and not path.read_bytes().startswith(b"{"):
            path.write_bytes(bytes(path.stat().st_size))
    second, again = machines.build("two", TEXT)
    assert len(runs(second)) == 3
    assert set(second.workspace.warnings()) == {"cache-damaged"}
    assert again.images[0].digest == made.images[0].digest


def test_a_blob_that_is_gone_is_a_miss(tmp_path):
    machines = _made(tmp_path, f"file://{tmp_path}/cache")
    machines.build("one", TEXT)
    for path in (_folder(machines) / "blobs/sha256").iterdir():
        path.unlink()
    second, _ = machines.build("two", TEXT)
    assert len(runs(second)) == 3
    assert runs(machines.build("three", TEXT)[0]) == set()


# -- forced, nondeterministic and aged steps

RANDOM = "FROM box\nRUN head -c 16 /dev/urandom > /a\nRUN sha256sum /a > /b\n"


def test_results_of_two_machines_are_never_joined(tmp_path):
    machines = _made(tmp_path, f"file://{tmp_path}/cache?mode=write")
    _, one = machines.build("one", RANDOM)
    _, two = machines.build("two", RANDOM)
    assert one.images[0].digest != two.images[0].digest
    shared = machines.with_urls(f"file://{tmp_path}/cache")
    _, three = shared.build("three", RANDOM)
    assert three.images[0].digest == one.images[0].digest  # the first one stays
    assert shared.build("two", RANDOM)[1].images[0].digest == two.images[0].digest


def test_a_forced_step_overrules(tmp_path):
    machines = _made(tmp_path, f"file://{tmp_path}/cache")
    machines.build("one", RANDOM)
    _, forced = machines.build("two", RANDOM, no_cache=True)
    third, again = machines.build("three", RANDOM)
    assert runs(third) == set()
    assert again.images[0].digest == forced.images[0].digest


# -- where caches are named


def test_the_environment_and_the_buildfile_name_caches(tmp_path):
    machines = _made(tmp_path, "file://x")
    ws = machines.workspace
    text = '[workspace]\ncache = ["file://shared"]\n[step.a]\non = ["box"]\nrun = "echo a > /a"\n'
    ws.buildfile(text)
    ws.build()
    assert (ws.folder / "shared/buildgraph-cache.json").is_file()
    ws.home = tmp_path / "other"
    ws.build()
    assert ws.ran() == set()
    ws.home = tmp_path / "third"
    ws.environ = {"BUILDGRAPH_CACHE": f"file://{tmp_path}/elsewhere?mode=read"}
    ws.build()
    assert ws.ran() == {"a"}
    assert ws.warnings() == ["cache-empty"]
    ws.home = tmp_path / "fourth"
    ws.build(caches=())
    assert (ws.ran(), ws.warnings()) == ({"a"}, [])


def test_inline_is_the_repository_of_the_image(tmp_path, registry):
    machines = _made(tmp_path).inline()
    name = f"{registry.host}/team/app:1"
    _, made = machines.build("one", TEXT, tags=(name,), push="all")
    reader = machines.with_urls(f"registry://{registry.host}/team/app?mode=read")
    second, again = reader.build("two", TEXT)
    assert runs(second) == set()
    assert again.images[0].digest == made.images[0].digest
    changed, _ = reader.build("four", TEXT.replace("date >", "date >>"))
    assert runs(changed) == {"ctx/builder/3-run", "ctx/builder/4-run"}
    unpushed, _ = machines.build("three", TEXT)
    assert unpushed.workspace.warnings() == ["cache-unpushed"]


def test_a_push_mounts_what_the_cache_has(tmp_path, registry: Registry):
    machines = _made(tmp_path, f"registry://{registry.host}/team/cache")
    docker, summary = machines.build("one", TEXT, tags=(f"{registry.host}/team/app:1",), push="all")
    mounted = [a for a in registry.accesses() if a.method == "POST" and "from=team/cache" in a.path]
    assert mounted
    assert summary.metadata["bytes"]["mounted"] > 0
    assert docker.workspace.warnings() == []


CROSS = """FROM --platform=$BUILDPLATFORM box AS builder
ARG TARGETARCH
RUN echo for $TARGETARCH > /made
FROM scratch
COPY --from=builder /made /made
"""


@pytest.mark.parametrize("options", ["", "?steps=images"])
def test_platforms_share_a_cache_without_meeting(tmp_path, options):
    machines = _made(tmp_path, f"file://{tmp_path}/cache{options}")
    both = "linux/amd64,linux/arm64"
    first, made = machines.build("one", CROSS, platform=both)
    assert len(first.workspace.ran()) == 4  # a command and a copy for each
    second, again = machines.build("two", CROSS, platform=both)
    assert second.workspace.ran() == set()
    assert again.images[0].digest == made.images[0].digest
    for platform in both.split(","):
        alone, _ = machines.build("three", CROSS, platform=platform)
        assert alone.workspace.ran() == set()


def test_files_of_a_cached_step_can_be_had(machines, tmp_path):
    machines.build("one", TEXT)
    out = tmp_path / "out"
    machines.build("two", TEXT, outputs=(OutputSpec("local", str(out)),))
    assert (out / "app/copy").read_text() == "a\n"
    third, _ = machines.build("three", TEXT + "RUN cat /app/link /app/out/result\n")
    [last] = runs(third)
    assert third.workspace.output(last) == ["a", "a"]

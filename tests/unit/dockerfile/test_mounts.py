import pytest

from buildgraph.dockerfile.instructions import MountFlag, Run
from buildgraph.dockerfile.mounts import MountSpec, memory_size, mount_origin, read_mount
from buildgraph.dockerfile.parse import parse as parse_file
from buildgraph.dockerfile.words import expand
from buildgraph.errors import UsageError


def flag(text: str) -> MountFlag:
    [run] = parse_file(f"FROM x\nRUN --mount={text} true").stages[0].instructions
    assert isinstance(run, Run)
    return run.mounts[0]


def parse(text: str, **env: str) -> MountSpec:
    return read_mount(flag(text), lambda value: expand(value, env))


def test_a_bind_is_the_default_and_read_only() -> None:
    assert parse("target=/x") == MountSpec(target="/x", read_only=True)
    assert parse("type=bind,src=a,dst=/x,rw") == MountSpec(source="a", target="/x", read_only=False)
    assert parse("destination=/x,ro=false").read_only is False


def test_a_cache_is_writable_with_all_its_keys() -> None:
    found = parse("type=cache,id=i,target=/c,sharing=LOCKED,uid=1,gid=2,mode=0750,from=b,source=/s")
    assert found == MountSpec(
        type="cache",
        origin="b",
        source="/s",
        target="/c",
        id="i",
        sharing="locked",
        read_only=False,
        mode=0o750,
        uid=1,
        gid=2,
    )


def test_values_are_expanded_and_quoted_like_csv() -> None:
    assert parse("type=$T,target=/$d", T="tmpfs", d="x").type == "tmpfs"
    assert parse("'\"target=/a,b\"',type=tmpfs,size=1.5k") == MountSpec(
        type="tmpfs", target="/a,b", read_only=False, size=1536
    )


def test_secrets() -> None:
    assert parse("type=secret,id=t,required").required
    assert parse("type=secret,id=t,env=TOKEN").env == "TOKEN"
    assert parse("type=secret,target=/run/x,required=false").required is False


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("type=$A,target=/x", "'tmp'", "tmpfs"),
        ("type=cache,target=/x,sharing=$B", "'share'", "shared"),
        ("target=/x,ro,rw", "not both", ""),
        ("type=cache,target=/x,size=1m", "no size", ""),
        ("target=/x,mode=0644", "no mode", ""),
        ("target=/x,sharing=locked", "no sharing", ""),
        ("target=/x,required", "no required", ""),
        ("type=secret,from=a,id=x", "no from", ""),
        ("type=secret,source=a,id=x", "not both", ""),
        ("type=secret", "needs an id", ""),
        ("type=cache,target=/x,mode=9", "'mode=9'", ""),
        ("type=cache,target=/x,uid=-1", "'uid=-1'", ""),
        ("type=tmpfs,target=/x,size=big", "'size=big'", ""),
        ("target=/x,ro=maybe", "'ro=maybe'", ""),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, A="tmp", B="share")
    assert caught.value.code == "bad-mount"
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_only_from_is_read_before_anything_is_expanded() -> None:
    assert mount_origin(flag("type=$T,from=build,target=$x")) == "build"
    assert mount_origin(flag("target=/x")) == ""
    assert mount_origin(flag("type=tmpfs,from=build,target=/x")) == ""


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("2k", 2048), ("3MB", 3 << 20), ("1GiB", 1 << 30), ("1.5k", 1536)]
)
def test_sizes(text: str, size: int) -> None:
    assert memory_size(text) == size

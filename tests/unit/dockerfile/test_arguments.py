"""ARG, ENV and LABEL: which value holds where, and what a RUN sees of it."""

import pytest
from support.dockerfiles import Asked

from buildgraph.errors import UsageError
from buildgraph.oci.config import Config

BASE = Config("amd64", "linux", env=(("PATH", "/bin"), ("FROM_BASE", "b")), labels={"x": "0"})


def run_env(text: str, **args: str) -> dict[str, str]:
    """What the last RUN sees."""
    made = Asked(text, {"box:latest": BASE}, args=args)
    env = made.env(made.steps[-1])
    assert env.pop("FROM_BASE", "b") == "b"
    return env


@pytest.mark.parametrize(
    ("head", "args", "base"),
    [
        ("ARG T=1\n", {}, "box:1"),
        ("ARG T=1\n", {"T": "2"}, "box:2"),
        ("ARG A='x y' T=\"2\"\n", {}, "box:2"),
        ("ARG A=1\nARG T=${A}2\n", {}, "box:12"),
        ("ARG A=1 T=$A-2\n", {}, "box:1-2"),
        ("ARG T=1\nARG A=2\nARG T=${T}${A}\nARG T=${T}3\n", {}, "box:123"),
        ("ARG T=1\nARG T=${T}2\n", {"T": "9"}, "box:9"),
        ("ARG T\nARG T=${T:-d}\n", {}, "box:d"),
        ("ARG N=idle3\nARG T=${N#idle}\n", {}, "box:3"),
        ("ARG T=1\nARG T\n", {}, "box:1"),
        ('ARG T=${T:?"why"}\n', {"T": "4"}, "box:4"),
    ],
)
def test_arguments_of_the_first_lines_are_for_from(
    head: str, args: dict[str, str], base: str
) -> None:
    made = Asked(f"{head}FROM box:$T\nRUN 1\n", args=args)
    assert list(made.found.bases) == [base]
    assert made.env("stage-0/2-run") == {}


def test_an_argument_that_must_be_given_says_so_at_its_line() -> None:
    for text, line in (
        ("FROM a AS a\nFROM box:${T:?say-which}\n", 2),
        ('ARG A\nARG T=${T:?"say which"}\nFROM box\n', 2),
        ('FROM box\nARG F\nARG T=${T:?"say which"}\nRUN 1\n', 3),
    ):
        with pytest.raises(UsageError, match=r"T: say.which") as caught:
            Asked(text)
        assert caught.value.where is not None
        assert caught.value.where.line == line
    assert run_env('FROM box\nARG T=${A:?"x"}\nRUN 1\n', T="1") == {"T": "1"}


def test_values_with_and_without() -> None:
    text = "FROM box\nARG A B= C=c D=${C}d E=${FROM_BASE}\nRUN 1\n"
    assert run_env(text) == {"B": "", "C": "c", "D": "cd", "E": "b"}
    assert run_env(text, A="1", C="") == {"A": "1", "B": "", "C": "", "D": "d", "E": "b"}
    text = "FROM box\nARG C=c\nARG D=${C}d\nRUN 1\n"
    assert run_env(text) == {"C": "c", "D": "cd"}
    assert run_env(text, C="x") == {"C": "x", "D": "xd"}


def test_an_argument_holds_from_its_line_on_and_in_its_stage() -> None:
    text = "FROM box\nRUN 1\nARG A=1\nRUN 2\nFROM box\nRUN 3\nCOPY --from=0 /a /\n"
    made = Asked(text, {"box:latest": BASE}, args={"A": "given"})
    assert "A" not in made.env("stage-0/2-run")
    assert made.env("stage-0/3-run")["A"] == "given"
    assert "A" not in made.env("stage-1/2-run")
    assert "A" not in dict(made.config.env)


def test_env_wins_over_arg_and_what_is_given_for_it() -> None:
    text = "FROM box\nARG A=1\nENV A=2 B=${A}\nENV C=$A\nRUN 1\n"
    assert run_env(text, A="given") == {"A": "2", "B": "given", "C": "2"}
    assert Asked(text, {"box:latest": BASE}).history[-1] == "RUN |1 A=2 /bin/sh -c 1 # buildkit"


def test_the_later_of_env_and_arg_holds_as_in_buildkit() -> None:
    assert run_env("FROM box\nENV A=2\nARG A=1\nRUN 1\n", A="given") == {"A": "given"}
    config = Asked("FROM box\nENV A=2\nARG A=1\n", {"box:latest": BASE}).config
    assert dict(config.env)["A"] == "2"


@pytest.mark.parametrize(
    ("args", "seen"),
    [
        ({}, {"own": "3", "taken": "1", "none": ""}),
        ({"own": "9", "taken": "8", "none": "7"}, {"own": "9", "taken": "8", "none": "7"}),
    ],
)
def test_precedence(args: dict[str, str], seen: dict[str, str]) -> None:
    text = 'ARG own=1 taken=1\nARG none=""\nFROM box\nARG own=3 taken none\nRUN 1\n'
    assert run_env(text, **args) == seen


@pytest.mark.parametrize(("args", "one"), [({}, "1"), ({"a": "9"}, "9")])
def test_arguments_of_one_line_see_each_other(args: dict[str, str], one: str) -> None:
    made = Asked("FROM box\nARG a=1 b=$a c=${b}2\nRUN 1\n", {"box:latest": BASE}, args=args)
    assert run_env("FROM box\nARG a=1 b=$a c=${b}2\nRUN 1\n", **args) == {
        "a": one,
        "b": one,
        "c": f"{one}2",
    }
    assert made.history[0] == f"ARG a={one} b={one} c={one}2"


def test_env_in_its_order_and_with_values_of_any_kind() -> None:
    text = (
        "FROM box\nARG my_arg\nENV one 1 and  the rest\nENV two=${my_arg:-def}\nENV three=\nENV one=x\n"
        'ENV long="a \\\n  b" PATH=/x:$PATH p=%s%d q="$FROM_BASE \\$x"\nENV cut ${two%%f*}\n'
    )
    assert Asked(text, {"box:latest": BASE}).config.env == (
        ("PATH", "/x:/bin"),
        ("FROM_BASE", "b"),
        ("one", "x"),
        ("two", "def"),
        ("three", ""),
        ("long", "a   b"),
        ("p", "%s%d"),
        ("q", "b $x"),
        ("cut", "de"),
    )
    assert dict(Asked(text, args={"my_arg": ""}).config.env)["two"] == "def"
    assert dict(Asked(text, args={"my_arg": "v"}).config.env)["two"] == "v"


def test_labels_of_base_file_and_command_line() -> None:
    text = 'FROM box\nLABEL b=1 a="x \\"y\\"\\\n z" x=1\nLABEL b=2 $FROM_BASE=$FROM_BASE\n'
    made = Asked(text, {"box:latest": BASE}, labels={"a": "given", "n": "new"})
    assert made.config.labels == {"x": "1", "b": "b", "a": "given", "n": "new"}
    assert made.history == ['LABEL b=1 a=x "y" z x=1', "LABEL b=2 b=b"]
    assert Asked("FROM box\n", {"box:latest": BASE}).config.labels == {"x": "0"}


def test_special_arguments_are_seen_where_they_are_declared() -> None:
    args = {
        "BUILDKIT_SANDBOX_HOSTNAME": "h",
        "SOURCE_DATE_EPOCH": "1",
        "BUILDKIT_MULTI_PLATFORM": "1",
        "BUILDKIT_INLINE_CACHE": "1",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1",
        "BUILDKIT_SBOM_SCAN_CONTEXT": "true",
        "BUILDKIT_SBOM_SCAN_STAGE": "true",
    }
    assert run_env("FROM box\nRUN 1\n", **args) == {}
    names = " ".join(args)
    hidden = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")
    assert run_env(f"FROM box\nARG {names}\nRUN 1\n", **args) == {
        name: value for name, value in args.items() if name not in hidden
    }
    assert Asked("FROM box\nRUN 1\n", args=args).found.unused_args == ()


def test_all_proxies_in_both_cases() -> None:
    args = {"HTTP_PROXY": "1", "https_proxy": "2", "ftp_proxy": "3", "NO_PROXY": "4"}
    args |= {"all_proxy": "5", "PROXY": "6"}
    made = Asked("FROM box\nRUN 1\n", args=args)
    assert made.kind("stage-0/2-run").proxies == {
        f: value
        for name, value in args.items()
        if "_" in name
        for f in (name.lower(), name.upper())
    }
    assert made.env("stage-0/2-run") == {}
    assert made.found.unused_args == ("PROXY",)
    assert "|" not in made.history[-1]

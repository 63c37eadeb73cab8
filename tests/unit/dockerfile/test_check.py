"""The 22 build checks, each with a text that it finds something in and one that it does not."""

import pytest

from buildgraph.dockerfile.check import check
from buildgraph.dockerfile.options import Options
from buildgraph.dockerfile.rules import RULES
from buildgraph.errors import UsageError
from buildgraph.oci.config import Config

BOX = Config("amd64", "linux", env=(("PATH", "/bin"), ("FROM_BASE", "1")))


def told(text, *, args=None, target="", ignore=(), reached=False, configs=None):
    """``line: rule: message`` of every finding."""
    configs = {"box": BOX} if configs is None else configs
    options = Options(args=args or {}, target=target)
    report = check(text, options, configs, ignore=ignore, reached=reached)
    return [f"{f.where.first}: {f.rule.name}: {f.message}" for f in report.findings]


CASES = {
    "stage names are lower case": (
        "FROM scratch AS BadStageName\nFROM scratch as base2\nFROM scratch AS base3\n",
        [
            "1: StageNameCasing: Stage name 'BadStageName' should be lowercase",
            "2: FromAsCasing: 'as' and 'FROM' keywords' casing do not match",
        ],
    ),
    "as follows from": (
        "from scratch AS base\nfrom scratch as base2\n",
        ["1: FromAsCasing: 'AS' and 'from' keywords' casing do not match"],
    ),
    "empty continuation lines": (
        "FROM scratch\nCOPY Dockerfile \\\n\n.\nCOPY Dockerfile \\\n.\n",
        ["4: NoEmptyContinuation: Empty continuation line"],
    ),
    "the majority's casing": (
        "FROM scratch\ncopy a /b\nCOPY a /c\n",
        [
            "2: ConsistentInstructionCasing: Command 'copy' should match the case of the command majority (uppercase)"
        ],
    ),
    "mixed casing": (
        "frOM scratch as base\nfrom scratch as base2\n",
        [
            "1: ConsistentInstructionCasing: Command 'frOM' should match the case of the command majority (lowercase)"
        ],
    ),
    "heredocs have no casing": ("FROM scratch\nRUN <<'EOT'\nenv\nEOT\n", []),
    "duplicate stage names": (
        "FROM scratch AS b\nFROM scratch AS b\n",
        ['2: DuplicateStageName: Duplicate stage name "b", stage names should be unique'],
    ),
    "reserved stage names": (
        "FROM scratch AS scratch\nFROM scratch AS context\n",
        [
            '1: ReservedStageName: Stage name should not use the same name as reserved stage "scratch"',
            '2: ReservedStageName: Stage name should not use the same name as reserved stage "context"',
        ],
    ),
    "shell form of CMD": (
        "FROM scratch\nCMD mycommand\n",
        [
            (
                "2: JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS"
                " signals"
            )
        ],
    ),
    "shell form with a shell of one's own": (
        'FROM scratch AS base\nSHELL ["/x"]\nFROM base\nENTRYPOINT mycommand\nCMD x\n',
        [],
    ),
    "maintainer": (
        "FROM scratch\nMAINTAINER me@example.org\n",
        ["2: MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label"],
    ),
    "arguments of FROM are declared": (
        "ARG base=scratch\nARG DEBUG\nFROM $base\nFROM --platform=$BUILDPLATFORM scratch${DEBUG}\n",
        [],
    ),
    "an argument of FROM that is not": (
        "ARG tag=latest\nFROM box:${tag}${version} AS b\nCOPY Dockerfile .\n",
        ["2: UndefinedArgInFrom: FROM argument 'version' is not declared"],
    ),
    "a typo in FROM": (
        "FROM --platform=$BULIDPLATFORM scratch\n",
        [
            "1: UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?)"
        ],
    ),
    "relative workdir": (
        "FROM scratch\nWORKDIR app/\nWORKDIR more\n",
        [
            '2: WorkdirRelativePath: Relative workdir "app/" can have unexpected results if the base image changes'
        ],
    ),
    "relative to a parent stage's": ("FROM scratch AS a\nWORKDIR /a\nFROM a\nWORKDIR b\n", []),
    "variables of stages and bases": (
        (
            "FROM box AS base\nARG foo=Dockerfile\nFROM base\nCOPY $foo ${FROM_BASE} .\nRUN echo $nothing\n"
            'CMD ["$none"]\nENV P=$PATH Q=${no:-x} R=${no+x}\n'
        ),
        [],
    ),
    "an undefined variable": (
        "FROM box\nCOPY $foo .\nARG foo=bar\nRUN echo $foo\n",
        ["2: UndefinedVar: Usage of undefined variable '$foo'"],
    ),
    "a declared argument without a value": ("FROM scratch\nARG foo\nCOPY a${foo} .\n", []),
    "a typo in a variable": (
        "FROM box\nARG DIR_ASSETS=a/\nCOPY $DIR_ASSET .\nENV PATH=$PAHT:/tmp/bin\n",
        [
            "3: UndefinedVar: Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?)",
            "4: UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?)",
        ],
    ),
    "bodies of heredocs": (
        "FROM scratch\nCOPY <<A <<'B' /\n$x\nA\n$y\nB\n",
        ["2: UndefinedVar: Usage of undefined variable '$x'"],
    ),
    "what only the last one counts of": (
        (
            'FROM scratch\nENTRYPOINT ["/a"]\nCMD ["/a"]\nHEALTHCHECK CMD ["/a"]\nENTRYPOINT ["/b"]\nCMD ["/b"]\n'
            'HEALTHCHECK CMD ["/b"]\n'
        ),
        [
            f"{line}: MultipleInstructionsDisallowed: Multiple {name} instructions should not be used in the same"
            " stage because only the last one will be used"
            for line, name in ((2, "ENTRYPOINT"), (3, "CMD"), (4, "HEALTHCHECK"))
        ],
    ),
    "one in each stage": ('FROM scratch AS a\nCMD ["/a"]\nFROM a\nCMD ["/b"]\n', []),
    "the old form": (
        "FROM scratch\nENV testkey value\nLABEL key value\n",
        [
            '2: LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format',
            '3: LegacyKeyValueFormat: "LABEL key=value" should be used instead of legacy "LABEL key value" format',
        ],
    ),
    "the target platform": (
        "FROM --platform=${TARGETPLATFORM} scratch\n",
        [
            (
                "1: RedundantTargetPlatform: Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this"
                " is the default behavior"
            )
        ],
    ),
    "a constant platform": (
        "FROM --platform=linux/amd64 scratch\nFROM --platform=arm64 scratch\nFROM --platform=arm64 scratch AS arm64\n",
        [
            f'{line}: FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "{value}"'
            for line, value in ((1, "linux/amd64"), (2, "arm64"))
        ],
    ),
    "a constant platform that the stage is named for": (
        "FROM --platform=linux/amd64 scratch AS my_amd64_stage\nFROM --platform=linux/amd64 scratch AS linux\n",
        [],
    ),
    "secrets": (
        (
            "FROM scratch\nARG SECRET_PASSPHRASE\nENV SUPER_Secret=foo\nENV password=bar secret=baz sunflower=1\n"
            "ARG auth=bar public_token\nENV PUBLIC_KEY= TOKEN_FILE=x KEY_VERSION=1 MONKEY=x\n"
        ),
        [
            f"{line}: SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data ({name})"
            for line, name in (
                (2, 'ARG "SECRET_PASSPHRASE"'),
                (3, 'ENV "SUPER_Secret"'),
                (4, 'ENV "password"'),
                (4, 'ENV "secret"'),
                (5, 'ARG "auth"'),
            )
        ],
    ),
    "ports": (
        'FROM scratch\nARG P="82 81/udp"\nEXPOSE 80/TCP "$P" 127.0.0.1:82:82 83:83\n',
        [
            (
                "3: ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found"
                " '127.0.0.1:82:82'"
            ),
            "3: ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
            (
                "3: ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found"
                " '83:83'"
            ),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_findings(name):
    text, expected = CASES[name]
    assert told(text) == expected


def test_there_are_22_rules():
    assert len({rule.name for rule in RULES}) == 22
    assert all(rule.url.startswith("https://docs.docker.com/") for rule in RULES if rule.page)


@pytest.mark.parametrize(
    ("text", "args", "found"),
    [
        ("ARG VERSION\nFROM box:$VERSION\n", {"VERSION": "latest"}, "box:$VERSION"),
        ("ARG IMAGE\nFROM $IMAGE\n", {"IMAGE": "box"}, "$IMAGE"),
        ('ARG SFX="box:"\nFROM busy${SFX}\n', {"SFX": "box:latest"}, "busy${SFX}"),
        ("ARG V=latest\nFROM box:${V}\n", {}, ""),
        ("ARG V\nFROM box:1${V}\n", {"V": "-x"}, ""),
        ("ARG V\nFROM box:${V:-1}\n", {}, ""),
    ],
)
def test_defaults_of_bases(text, args, found):
    expected = f"2: InvalidDefaultArgInFrom: Default value for ARG {found} results in empty or invalid base image name"
    assert told(text, args=args) == ([expected] if found else [])


def test_bases_of_another_platform():
    base = Config("arm64", "linux", diff_ids=("sha256:0",))
    assert told("ARG B=box\nFROM $B\n", configs={"box": base}) == [
        (
            '2: InvalidBaseImagePlatform: Base image box was pulled with platform "linux/arm64", expected "linux/amd64" for'
            " current build"
        )
    ]


def test_descriptions_are_checked_where_asked_for():
    text = (
        "# check=experimental=InvalidDefinitionDescription\n# foo this is the foo\nARG foo=bar\n\n# good comment\n\n"
        "FROM scratch AS base\n# bar this\nARG version=latest\n# bad\nARG foo=baz bar=qux\n#\nARG bit\n# x\nCOPY a .\n"
    )
    rule = "InvalidDefinitionDescription: Comment for ARG should follow the format: `#"
    assert told(text) == [
        f"9: {rule} version <description>`",
        f"11: {rule} <arg_key> <description>`",
    ]
    assert told(text.partition("\n")[2]) == []


@pytest.mark.parametrize(
    ("ignore", "source", "found"),
    [
        (["Dockerfile"], "Dockerfile", True),
        (["Dockerfile"], "./x/../Dockerfile", True),
        (["Dockerfile"], ".", False),
        ([".*"], ".", False),
        (["*"], ".", True),
        (["**"], "/", True),
        (["a"], "a/b", True),
        (["a", "!a/b"], "a/c", True),
        (["a", "!b"], "a/c", True),
        (["!a/c", "a"], "a/c", True),
        (["a", "!a/b"], "a", False),
        (["a", "!a/b"], "a/b", False),
        (["a", "!a/b"], "a/*", False),
        (["a", "!a/b"], "a/[bc]", False),
        (["a/x", "!a/b/c"], "a/x/*", True),
        (["*", "!a"], ".", False),
        (["a.b", "!a\\.b/c"], "a.b", False),
        ([], "a", False),
    ],
)
def test_ignored_sources(ignore, source, found):
    text = f"FROM scratch AS base\nCOPY {source} /x\nFROM base\nCOPY --from=base {source} /y\n"
    assert bool(told(text, ignore=ignore)) is found


def test_sources_of_add():
    found = told("FROM scratch\nADD http://x/a a /\n", ignore=["a", "http:"])
    assert found == [
        '2: CopyIgnoredFile: Attempting to Add file "a" that is excluded by .dockerignore'
    ]


FROM_AND_COPY = "FROM scratch as base\ncopy a .\nCOPY b .\n"


@pytest.mark.parametrize(
    ("control", "rules", "fatal"),
    [
        ("skip=all", [], ()),
        ("skip=all;error=true", [], ()),
        ("skip=ConsistentInstructionCasing,FromAsCasing", [], ()),
        ("skip=ConsistentInstructionCasing", ["FromAsCasing"], ()),
        ("skip=ConsistentInstructionCasing;error=true", ["FromAsCasing"], ("FromAsCasing",)),
        (" error = false ; skip = FromAsCasing ", ["ConsistentInstructionCasing"], ()),
    ],
)
def test_the_file_says_which_rules_run(control, rules, fatal):
    for text, args in (
        (f"# check={control.replace(' ', '')}\n{FROM_AND_COPY}", {}),
        (f"#!x\n# syntax=y\n# check={control.replace(' ', '')}\n{FROM_AND_COPY}", {}),
        (f"# check=skip=all\n{FROM_AND_COPY}", {"BUILDKIT_DOCKERFILE_CHECK": control}),
    ):
        report = check(text, Options(args=args))
        assert [finding.rule.name for finding in report.findings] == rules
        assert report.fatal == fatal


@pytest.mark.parametrize("control", ["skip", "skp=all", "error=maybe", "all"])
def test_wrong_options(control):
    with pytest.raises(UsageError) as caught:
        check(f"# check={control}\nFROM scratch\n")
    assert caught.value.code == "bad-check-option"


def test_a_comment_above_an_instruction_counts_for_it_alone():
    text = (
        "FROM scratch\n# check=skip=JSONArgsRecommended\nCMD a\n\n# check=nonsense\nENTRYPOINT b\n"
    )
    assert [line.split(": ")[:2] for line in told(text)] == [["6", "JSONArgsRecommended"]]
    assert len(told("FROM scratch\n# check=skip=all\n\nCMD a\n")) == 1


def test_what_stands_before_a_mistake_is_told():
    report = check("FROM scratch AS BadStageName\nMAINTAINER me\nBADCMD\n")
    assert [f.rule.name for f in report.findings] == ["StageNameCasing", "MaintainerDeprecated"]
    assert report.error is not None
    assert report.error.code == "unknown-instruction"


def test_mistakes_after_parsing_are_in_the_report():
    report = check("FROM scratch\nCMD x\nCOPY ${a:?no} /\n")
    assert [finding.rule.name for finding in report.findings] == ["JSONArgsRecommended"]
    assert report.error is not None
    assert (report.error.code, report.error.where.line) == ("variable-required", 3)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("EXPOSE 80/xyz", "bad-port"),
        ("STOPSIGNAL NOPE", "bad-signal"),
        ("RUN --mount=type=cache,size=1 x", "bad-mount"),
        ("COPY --from=7 a b", "unknown-stage"),
    ],
)
def test_what_would_fail_in_a_build_is_told(line, code):
    report = check(f"FROM scratch\n{line}\n")
    assert report.error is not None
    assert (report.error.code, report.error.where.line) == (code, 2)


def test_a_build_checks_what_it_needs():
    text = "FROM scratch AS a\nFROM a AS b\nENV x y\nFROM a AS c\nCMD z\n"
    assert len(told(text)) == 2
    assert len(told(text, reached=True)) == 1
    assert len(told(text, target="b")) == 1
    assert told(text, target="a") == []


def test_triggers_are_checked_where_they_fire():
    base = Config("amd64", "linux", onbuild=("COPY $foo /",))
    assert told("FROM box AS x\nFROM scratch\n", configs={"box": base}) == [
        "1: UndefinedVar: Usage of undefined variable '$foo'"
    ]


def test_a_finding_shows_its_lines():
    (finding,) = check("FROM scratch\nCMD a \\\n  b\n").findings
    assert str(finding.location) == "Dockerfile:2-3"
    assert finding.location.excerpt.count(">>>") == 2

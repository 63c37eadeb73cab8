"""A mistake hides no other: what does not fit is left out, and the rest of its table is checked all the same."""

import pytest
from support.buildfile import mistakes, read

from buildgraph.errors import ErrorGroup
from buildgraph.fs.pattern import parse_all


def codes(text: str) -> list[str]:
    found = mistakes(text, glob=lambda pattern: parse_all((pattern,)))
    return [told.partition(":")[0] for told in found]


def test_a_command_that_does_not_fit_hides_nothing_of_its_step():
    told = codes("""
    [step.a]
    on = ["box"]
    run = ["true", 3]
    workdir = "rel"
    timeout = -4
    outputs = ["rel"]
    """)
    assert told == ["wrong-type", "relative-destination", "bad-duration", "relative-glob"]


def test_an_item_that_does_not_fit_is_no_missing_key():
    assert codes('[step.a]\non = ["box", 4]\nrun = "true"\n') == ["wrong-type"]
    assert codes('[step.a]\ncopy = [{ from = "b", to = 3 }, { from = "/a", to = "/" }]\n') == [
        "wrong-type",
        "absolute-source",
    ]


def test_a_pattern_that_cannot_be_used_is_told_wherever_it_stands():
    told = codes("""
    [step.a]
    on = ["box"]
    run = "true"
    mounts = [{ bind = "src", include = ["[z"], target = "/x" }]
    outputs = ["/[z"]
    discard = ["**/{a"]
    [step.b]
    copy = [{ from = "src", exclude = ["ok", "{a"], to = "/x" }]
    """)
    assert told == ["bad-glob"] * 4
    head = 'buildfile = 1\n[workspace]\nignore = ["!x"]\n'
    assert codes("") == []
    assert mistakes("", head=head, glob=lambda pattern: parse_all((pattern,)))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('[step.a]\ncopy = "x"\n', 'write copy = [{ from = "x", to = "/…" }]'),
        (
            '[step.a]\non = ["box"]\nrun = "true"\nmounts = "x"\n',
            'write mounts = [{ bind = "x", target = "/…" }]',
        ),
        ('[image.a]\non = "box"\n', 'write on = ["box"]'),
    ],
)
def test_an_array_of_tables_is_shown_as_one(text, hint):
    with pytest.raises(ErrorGroup) as caught:
        read(text)
    assert [error.hint for error in caught.value.errors] == [hint]


@pytest.mark.parametrize("on", ["", 'on = ["box"]'])
def test_written_files_have_owners_by_number(on):
    told = codes(f"""
    [step.a]
    {on}
    write = {{ "/a" = {{ text = "", owner = "www-data" }} }}
    dirs = {{ "/d" = {{ owner = "1000:users" }}, "/e" = {{ owner = "root:7" }} }}
    """)
    assert told == ["owner-names", "owner-names"]


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ('[stp.late]\nrun = "true"\n[step.a]\non = ["box", "late"]\nrun = "true"\n', "unknown-key"),
        ('[late]\nrun = "true"\n[step.a]\non = ["box", "late"]\nrun = "true"\n', "unknown-key"),
        ('[vars]\nv = 3\n[step.a]\non = ["box"]\nrun = "${v} ${v}"\n', "wrong-type"),
        (
            '[vars]\nv = "${w}"\nw = "${v}"\n[step.a]\non = ["box"]\nrun = "${v}"\n',
            "variable-cycle",
        ),
        ('[vars]\nv = {}\n[step.a]\non = ["box"]\nrun = "${v}"\nuser = "${v}"\n', "unset-variable"),
        ('[step.a]\nrun = "echo ${env.PATH}"\n', "no-root"),
        ('[image.a]\non = ["box"]\nrepository = 3\ntags = [":x"]\n', "wrong-type"),
        (
            '[image.a]\non = ["box"]\ntags = [{ tag = "x:1", when = "vars.no" }]\n[image.b]\non = ["box"]\ntags = ["x:1"]\n',
            "undefined-variable",
        ),
        (
            '[step.a]\non = ["b"]\nrun = "true"\n[step.b]\non = ["a"]\nrun = "true"\n[image.c]\non = ["a"]\n',
            "cycle",
        ),
    ],
)
def test_who_refers_to_what_is_not_understood_is_told_nothing(text, only):
    assert codes(text) == [only]


def test_a_mistake_hides_none_beside_it():
    told = codes("""
    [base.both]
    image = "a:b:c"
    platform = "x"
    [step.two]
    on = ["box"]
    run = "true"
    timeout = "x"
    copy = [{ from = "/etc", to = "/x" }]
    platforms = ["y"]
    [step.mounts]
    on = ["box"]
    run = "true"
    mounts = [
      { bind = "/abs" },
      { bind = "a", cache = "b", target = "rel" },
      { secret = "s", target = "rel", env = "A", mode = "9" },
    ]
    [step.box]
    copy = [{ from = "../x", to = "/" }]
    [image.tags]
    on = ["box"]
    repository = "UPPER"
    tags = [":a b"]
    """)
    assert sorted(told) == sorted(
        [
            *("bad-reference", "bad-platform"),
            *("two-kinds", "bad-duration", "absolute-source", "bad-platform"),
            *("missing-key", "absolute-source", "bad-mount", "relative-destination"),
            *("unknown-secret", "bad-mount", "relative-destination", "bad-mode"),
            *("duplicate-name", "escaping-source"),
            *("bad-reference", "bad-reference"),
        ]
    )


@pytest.mark.parametrize("kind", ['cache = "c"', "tmpfs = true", 'ssh = "default"'])
def test_mounts_have_owners_by_number(kind):
    mount = f'{{ {kind}, target = "/m", owner = "www-data" }}'
    assert codes(f'[step.a]\non = ["box"]\nrun = "x"\nmounts = [{mount}]\n') == ["owner-names"]

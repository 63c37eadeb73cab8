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

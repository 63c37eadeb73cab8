"""What WWW-Authenticate asks for, in every form that registries write it, and nonsense."""

import pytest

from buildgraph.registry.challenge import Challenge, actions, choose, parse_challenges, written


def test_a_bearer_challenge():
    header = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'
    assert parse_challenges([header]) == (
        Challenge(
            "bearer",
            {
                "realm": "https://auth.docker.io/token",
                "service": "registry.docker.io",
                "scope": "repository:a/b:pull,push",
            },
        ),
    )


@pytest.mark.parametrize(
    ("header", "schemes"),
    [
        ('Basic realm="x", Bearer realm="https://t/",service=s', ["basic", "bearer"]),
        ("Negotiate, Basic realm=x", ["negotiate", "basic"]),
        ('Negotiate YWJj==, basic realm="a, b"', ["negotiate", "basic"]),
        ('BEARER REALM = "x" , Service = "y"', ["bearer"]),
        ("Basic", ["basic"]),
        ("", []),
        ("realm=x", []),
        ('"what"', []),
        ("\x00\x01 ;;;", []),
    ],
)
def test_several_in_one_header(header, schemes):
    assert [challenge.scheme for challenge in parse_challenges([header])] == schemes


def test_escapes_and_the_first_of_two_values():
    (found,) = parse_challenges(['Basic realm="a \\"b\\"", realm=c'])
    assert found.params == {"realm": 'a "b"'}


def test_a_token_is_preferred_where_it_can_be_had():
    basic, bearer = Challenge("basic", {}), Challenge("bearer", {"realm": "x"})
    assert choose([basic, bearer]) is bearer
    assert choose([Challenge("bearer", {}), basic]) is basic
    assert choose([Challenge("digest", {})]) is None


def test_nonsense_costs_no_time():
    assert parse_challenges(["Bearer " + 'a="' * 100_000]) is not None
    assert parse_challenges([", " * 100_000 + "a" * 100_000]) is not None


def test_scopes_are_sets_of_actions():
    wanted = actions(["repository:a/b:push,pull", "repository:host:5000/c:pull registry:catalog:*"])
    assert written(wanted) == [
        "registry:catalog:*",
        "repository:a/b:pull,push",
        "repository:host:5000/c:pull",
    ]
    assert actions(["", "nonsense"]) == frozenset()

"""login and logout: where the password comes from, and what is said."""

import io
import sys

import pytest
from support.screen import Asked, run

from buildgraph.build.access import Kept

FILE = Kept("/home/me/.docker/config.json", encrypted=False, asked=True)


@pytest.fixture
def asked(monkeypatch):
    return Asked().replace(monkeypatch, login=FILE, logout=True)


def typed(monkeypatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_the_password_comes_from_standard_input(monkeypatch, asked):
    typed(monkeypatch, "pass:word\n")
    said = run("login", "-u", "me", "--password-stdin", "a.example:5000")
    assert asked.calls[-1][1][1:] == ("a.example:5000", "me", "pass:word")
    assert (said.code, said.out) == (0, "")
    assert said.err == (
        "logged in to a.example:5000 as me; the password is kept in /home/me/.docker/config.json, not encrypted\n"
    )


@pytest.mark.parametrize(
    ("text", "password"), [("x\r\n", "x"), ("x", "x"), (" x \n", " x "), ("x\n\n", "x\n")]
)
def test_only_the_end_of_the_line_is_taken_off(monkeypatch, asked, text, password):
    typed(monkeypatch, text)
    run("login", "-u", "me", "--password-stdin", "a")
    assert asked.calls[-1][1][3] == password


def test_a_password_on_the_command_line_is_warned_of(asked):
    said = run("login", "-u", "me", "-p", "secret", "a")
    assert said.err.startswith("warning: a password on the command line can be seen by everybody")
    assert "secret" not in said.err


def test_a_credential_store(monkeypatch):
    kept = Kept("docker-credential-pass", encrypted=True, asked=True)
    Asked().replace(monkeypatch, login=kept)
    said = run("login", "-u", "me", "-p", "secret", "a")
    assert said.err.endswith("the password is kept in docker-credential-pass\n")


def test_a_registry_that_asks_nobody(monkeypatch):
    Asked().replace(monkeypatch, login=FILE._replace(asked=False))
    assert "was not checked" in run("login", "-u", "me", "-p", "secret", "a").err


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("a.example", "a.example"),
        ("https://a.example/", "a.example"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("A.example:5000/v2/", "a.example:5000"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_registries_as_people_write_them(asked, written, host):
    run("login", "-u", "me", "-p", "secret", written)
    run("logout", written)
    assert [call[1][1] for call in asked.calls] == [host, host]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("-u", "me", "-p", "x", "a.example/shop/api"),
            "a login is for a whole registry: a.example",
        ),
        (("-u", "me", "-p", "x", "a b"), "is not a registry"),
        (("-u", "m:e", "-p", "x", "a"), "has a colon"),
        (("-u", "me", "-p", "x", "--password-stdin", "a"), "exclude each other"),
        (("--password-stdin", "a"), "needs --username"),
        (("-u", "me", "--password-stdin", "a"), "holds no password"),
        (("-u", "me", "a"), "no terminal to ask for the password"),
        (("-p", "x", "a"), "no terminal to ask for the user name"),
    ],
)
def test_mistakes(monkeypatch, asked, arguments, says):
    typed(monkeypatch, "")
    said = run("login", *arguments)
    assert said.code == 2
    assert says in said.err
    assert asked.calls == []


def test_logging_out(asked, monkeypatch):
    assert run("logout", "a").err == "logged out of a\n"
    asked.replace(monkeypatch, logout=False)
    assert run("logout", "a").err == "not logged in to a\n"

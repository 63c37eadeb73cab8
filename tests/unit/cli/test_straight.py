"""Commands that need no parser, and that they are what the parser would make of the same words."""

import pytest
from support.screen import Asked, run

from buildgraph.build.transfer import Transferred
from buildgraph.cli import parsed, straight
from buildgraph.cli.session import Settings
from buildgraph.digest import Digest
from buildgraph.report.terminal import Terminal

PLAIN = [
    "pull debian",
    "pull docker://debian:12",
    "pull debian@sha256:" + "0" * 64,
    "push shop/api",
    "push shop/api registry.example/shop/api:1",
    "push docker://shop/api docker://registry.example/shop/api:1",
    "copy oci:a docker://b/c",
    "--home elsewhere pull debian",
    "pull --home=elsewhere debian",
    "pull debian --home elsewhere --home third",
    "push shop/api --progress plain",
    "--progress=quiet push shop/api",
    "push --progress json shop/api",
]
PARSED = [
    "",
    "push",
    "push a b c",
    "copy a",
    "pull a b",
    "pull -h",
    "pull --platform linux/arm64 debian",
    "-C elsewhere pull debian",
    "pull -- debian",
    "-v pull debian",
    "--progress loud pull debian",
    "pull debian --progress",
    "pull debian --home",
    "pull debian --home=",
    "pull --home -x debian",
    "pul debian",
    "images",
    "build",
    "--version",
]


@pytest.fixture
def asked(monkeypatch):
    done = Transferred(Digest.sha256(b""), ("name:1",), uploaded=3)
    return Asked().replace(monkeypatch, copy=done)


@pytest.fixture
def unparsed(monkeypatch):
    def refuse(*_: object) -> int:
        raise AssertionError

    monkeypatch.setattr(parsed, "invoke", refuse)


def begun(words: str):
    return straight.begin(words.split(), Settings(Terminal()))


@pytest.mark.parametrize("words", PLAIN)
def test_plain_commands_are_what_the_parser_makes_of_them(words, asked, monkeypatch):
    assert begun(words)
    first = run(*words.split())
    monkeypatch.setattr(straight, "begin", lambda *_: None)
    second = run(*words.split())
    one, two = ((name, args[0], args[3:], kwargs) for name, args, kwargs in asked.calls)
    assert one == two
    assert first == second
    assert first.code == 0


@pytest.mark.parametrize("words", PARSED)
def test_all_else_is_for_the_parser(words):
    settings = Settings(Terminal())
    before = repr(settings)
    assert straight.begin(words.split(), settings) is None
    assert repr(settings) == before


def test_what_shells_ask_is_for_the_parser(monkeypatch):
    monkeypatch.setenv(straight.COMPLETE, "bash_complete")
    assert begun("push shop/api") is None


def test_plain_commands_load_no_parser(asked, unparsed):
    said = run("push", "shop/api")
    assert (said.code, said.out) == (0, f"name:1@{Digest.sha256(b'')}\n")
    assert "3 B uploaded" in said.err


def test_mistakes_of_plain_commands_are_told(unparsed):
    said = run("copy", "here", "there")
    assert said.code == 2
    assert "error[bad-place]" in said.err

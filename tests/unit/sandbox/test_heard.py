"""What a command says comes at once; what bubblewrap says waits until it is known what it means."""

import pytest

from buildgraph.sandbox.bubblewrap import _Heard


def heard(*chunks):
    said = []
    listening = _Heard(said.append)
    for chunk in chunks:
        listening.feed(chunk)
    return said, listening


@pytest.mark.parametrize("chunks", [[b"hello\n", b"bwrap: x"], [b"bw", b"ay"], [b"b", b"wrap- "]])
def test_a_command_is_heard_at_once(chunks):
    said, _ = heard(*chunks)
    assert b"".join(said) == b"".join(chunks)


def test_a_message_of_its_own_waits():
    said, listening = heard(b"bwr", b"ap: execvp nothing: No such file\n")
    assert said == []
    assert bytes(listening.first) == b"bwrap: execvp nothing: No such file\n"
    listening.pass_on()
    listening.pass_on()
    assert said == [b"bwrap: execvp nothing: No such file\n"]


def test_what_only_looks_like_one_is_not_kept_for_long():
    said, listening = heard(b"bwrap: " + b"x" * 5000, b"more")
    assert said == [b"bwrap: " + b"x" * 5000, b"more"]
    assert len(listening.first) == 5007

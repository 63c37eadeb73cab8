import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildgraph.cli import warm

NAMES = st.binary().map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))


@given(st.dictionaries(NAMES, st.binary()))
def test_answers_come_back_as_they_were(sections):
    assert warm.decode(warm.encode(sections)) == sections


@given(st.binary())
def test_anything_can_be_decoded_or_refused(payload):
    warm.decode(payload)


def test_a_cut_answer_is_refused():
    payload = warm.encode({"plain": b"hello"})
    assert all(warm.decode(payload[:at]) is None for at in range(1, len(payload)))


@pytest.mark.parametrize(
    ("arguments", "environ", "home"),
    [
        (["build"], {"BUILDGRAPH_HOME": "/b", "XDG_DATA_HOME": "/x"}, "/b"),
        (["build"], {"XDG_DATA_HOME": "/x"}, "/x/buildgraph"),
        (["--home", "/a", "build"], {"BUILDGRAPH_HOME": "/b"}, "/a"),
        (["build", "--home=/a"], {"BUILDGRAPH_HOME": "/b"}, "/a"),
        (["build", "--home"], {"BUILDGRAPH_HOME": "/b"}, "/b"),
    ],
)
def test_home(arguments, environ, home):
    assert warm.home_of(arguments, environ) == home


def test_a_relative_data_home_is_ignored(monkeypatch):
    monkeypatch.setenv("HOME", "/u")
    assert warm.default_home({"XDG_DATA_HOME": "data"}) == "/u/.local/share/buildgraph"


def test_a_plan_belongs_to_one_command_in_one_folder(tmp_path, monkeypatch):
    names = {warm.plan_file(words, "/h") for words in (["build"], ["build", "a"], ["build a"])}
    monkeypatch.chdir(tmp_path)
    assert len(names | {warm.plan_file(["build"], "/h")}) == 4
    assert warm.plan_file(["build"], "/h") == warm.plan_file(["build"], "/h")


def remember(home, words, **sections):
    from buildgraph.fs import facts

    file = warm.plan_file(words, str(home))
    os.makedirs(os.path.dirname(file), exist_ok=True)
    payload = warm.encode({name.replace("__", ":"): text for name, text in sections.items()})
    facts.save(file, facts.Facts(os.fsencode(home)), payload)
    return file


@pytest.fixture
def words(tmp_path):
    return ["--home", str(tmp_path), "build"]


def test_an_answer_is_repeated_in_the_mode_that_was_asked_for(tmp_path, words, capfd):
    for mode, said in (("plain", "p "), ("json", "j "), ("quiet", ""), ("tty", "p ")):
        remember(tmp_path, words, progress=mode.encode(), plain=b"p ", json=b"j ", styled=b"s ")
        assert warm.answer(words, time.monotonic())
        assert capfd.readouterr().err == said


def test_seconds_and_files_are_filled_in(tmp_path, words, capfd):
    file = tmp_path / "meta.json"
    sections = {f"file:{file}": b'{"seconds": @SECONDS@}', "plain": b"in @TOOK@\n"}
    remember(tmp_path, words, **sections)
    assert warm.answer(words, time.monotonic() - 2)
    assert file.read_text().startswith('{"seconds": 2.')
    assert capfd.readouterr().err.startswith("in 2.0 s")
    assert [path.name for path in tmp_path.glob("meta*")] == ["meta.json"]


def test_no_answer_without_a_plan_or_with_a_damaged_one(tmp_path, words):
    assert not warm.answer(words, 0.0)
    file = remember(tmp_path, words, plain=b"x")
    with open(file, "r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"y")
    assert not warm.answer(words, 0.0)


def test_a_file_that_cannot_be_written_takes_the_long_way(tmp_path, words):
    remember(tmp_path, words, **{f"file:{tmp_path}/no/such": b"x"})
    assert not warm.answer(words, 0.0)


def test_a_pipe_is_written_to_and_stays(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        warm.write_output(str(path), b"hello")
        assert os.read(reader, 10) == b"hello"
    finally:
        os.close(reader)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to("real")
    warm.write_output(str(tmp_path / "link"), b"hello")
    assert (tmp_path / "real").read_bytes() == b"hello"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    ("choice", "environ", "expected"),
    [
        ("always", {}, True),
        ("never", {}, False),
        ("auto", {"NO_COLOR": "1"}, False),
        ("auto", {"TERM": "dumb"}, False),
        ("always", {"NO_COLOR": "1"}, True),
    ],
)
def test_colour(monkeypatch, choice, environ, expected):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert warm.colored(choice) is expected


@pytest.mark.parametrize(
    ("bytes_", "listed", "lost"),
    [
        (b"hello", True, []),
        (b"hell", True, ["sha256:ab"]),
        (None, True, ["sha256:ab"]),
        (b"hello", False, ["index.json"]),
    ],
)
def test_an_answer_is_not_repeated_where_its_blobs_are_not(
    tmp_path, words, capfd, bytes_, listed, lost
):
    folder = tmp_path / "blobs/sha256"
    folder.mkdir(parents=True)
    if bytes_ is not None:
        (folder / "ab").write_bytes(bytes_)
    if listed:
        (tmp_path / "index.json").touch()
    sections = {"kept": b"sha256:ab 5", "plain": b"up to date"}
    remember(tmp_path, words, **sections)
    assert warm.lost(sections, str(tmp_path)) == lost
    assert warm.answer(words, 0.0) is not bool(lost)
    assert capfd.readouterr().err == ("" if lost else "up to date")

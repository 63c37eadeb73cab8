"""Answers of all kinds, as they come from a socket: in pieces, chunked, cut, endless, of old servers, or no HTTP at all."""

import pytest

from buildgraph.registry.message import Answer, Exchange, MessageError, NoAnswerError


class Said:
    """A socket on which ``content`` comes in pieces of ``piece`` bytes, and then the end."""

    def __init__(self, content: bytes, piece: int = 1 << 20) -> None:
        self._content = memoryview(content)
        self._piece = piece

    def recv_into(self, buffer):
        count = min(len(buffer), self._piece, len(self._content))
        buffer[:count] = self._content[:count]
        self._content = self._content[count:]
        return count

    def gettimeout(self):
        return 5.0


def answer(content: bytes, method: str = "GET", piece: int = 1 << 20) -> Answer:
    return Exchange(method, "/", {"Host": "a.example"}).answer(Said(content, piece))


def body(found: Answer, piece: int = 7) -> bytes:
    content, block = b"", bytearray(piece)
    while count := found.readinto(block):
        content += block[:count]
    return content


WHOLE = b"HTTP/1.1 200 All right\r\nContent-Length: 5\r\nX: 1\r\nx: 2\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n02\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
@pytest.mark.parametrize("content", [WHOLE, CHUNKED])
def test_a_whole_answer(content, piece):
    found = answer(content, piece=piece)
    assert found.status == 200
    assert body(found) == b"hello"
    assert found.done
    assert found.keep


def test_its_head():
    found = answer(WHOLE)
    assert found.reason == "All right"
    assert found.headers.get("CONTENT-LENGTH") == "5"
    assert found.headers.all("X") == ["1", "2"]
    assert found.headers.get("y") is None


def test_a_length_ends_the_body_before_the_connection():
    found = answer(WHOLE + b"more")
    assert body(found) == b"hello"
    assert found.done
    assert not found.keep  # what else came belongs to nothing that was asked


def test_a_body_may_end_with_the_connection():
    found = answer(b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert body(found) == b"hello"
    assert not found.keep


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Foo, Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
    ],
)
def test_who_keeps_the_connection(head, kept):
    found = answer(head + b"Content-Length: 2\r\n\r\nok")
    assert body(found) == b"ok"
    assert found.keep is kept


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_answers_without_a_body(method, status):
    found = answer(f"HTTP/1.1 {status} X\r\nContent-Length: 9\r\n\r\n".encode(), method)
    assert body(found) == b""
    assert found.keep


def test_a_tunnel_is_no_body():
    found = answer(b"HTTP/1.1 200 Connected\r\n\r\n", "CONNECT")
    assert found.done


def test_interim_answers_are_passed_over():
    said = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    found = answer(said + WHOLE)
    assert found.status == 200
    assert body(found) == b"hello"


def test_line_ends_and_values_of_old_servers():
    found = answer(b"HTTP/1.0 404 \nContent-Length: 2\nLong: a\n  b\n\nno")
    assert (found.status, found.reason, body(found)) == (404, "", b"no")
    assert found.headers.get("long") == "a b"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"<html>\n\n",
        b"HTTP/1.1 20 X\r\n\r\n",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_no_answer(content):
    with pytest.raises((MessageError, NoAnswerError)) as raised:
        answer(content)
    assert isinstance(raised.value, NoAnswerError) is (
        content in (b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    )


@pytest.mark.parametrize(
    "content",
    [
        WHOLE[:-1],
        CHUNKED[:-1],
        CHUNKED[:-30],
        CHUNKED[:-34],
        CHUNKED.replace(b"02", b"zz"),
        CHUNKED.replace(b"02", b"-2"),
        CHUNKED.replace(b"3;", b"2;"),
    ],
)
def test_bodies_that_are_cut_or_nonsense(content):
    found = answer(content)
    with pytest.raises(MessageError):
        body(found)
    assert not found.keep


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * (1 << 16),
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 << 20),
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * (1 << 19),
    ],
)
def test_a_head_without_an_end(endless):
    with pytest.raises(MessageError, match="no end"):
        answer(endless)


def test_a_trailer_without_an_end():
    found = answer(CHUNKED[:-2] + b"X: x\r\n" * (1 << 19))
    with pytest.raises(MessageError, match="no end"):
        body(found)


def test_a_trickle(monkeypatch):
    moments = iter(range(1000))
    monkeypatch.setattr("buildgraph.registry.message.time.monotonic", lambda: float(next(moments)))
    with pytest.raises(TimeoutError, match="only 7 bytes"):
        answer(WHOLE, piece=1)


def test_what_is_asked():
    head = Exchange("GET", "/v2/?n=1", {"Host": "a.example", "Accept": "*/*"}).head
    assert head == b"GET /v2/?n=1 HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n"


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/a b", {}),
        ("/a\r\nX: 1", {}),
        ("/", {"A": "1\r\nB: 2"}),
        ("/", {"A\n": "1"}),
        ("/", {"A": "\u20ac"}),
    ],
)
def test_no_request_is_two(target, headers):
    with pytest.raises(ValueError, match="line break"):
        Exchange("GET", target, {"Host": "a.example", **headers})

"""The ``blob-*`` modes: downloads that are wrong, cut, endless, late, elsewhere. They concern blobs of ``BIG`` bytes and
more, so that an image's config arrives."""

import gzip
import itertools

from support.badregistry import Asked, BadRegistry, Mode, mode, refuse, send_blob
from support.webserver import Exchange

BIG = 1000


def downloads(name: str):
    """``function(registry, exchange, asked, content, count)`` answers the GETs of big blobs; False leaves one to the
    registry. ``count`` is how often it was called before."""

    def add(function):
        def prepare(registry: BadRegistry) -> Mode:
            count = itertools.count()

            def take(exchange: Exchange, asked: Asked) -> bool:
                content = registry.repository(asked.name).blobs.get(asked.rest, b"")
                if asked.kind != "blob" or len(content) < BIG:
                    return False
                return function(registry, exchange, asked, content, next(count)) is not False

            return take

        mode(name)(prepare)
        return function

    return add


def promise(exchange: Exchange, size: int) -> None:
    exchange.head(200, {"Content-Length": str(size)})


@downloads("blob-wrong-bytes")
def wrong_bytes(registry, exchange, asked, content, count):
    send_blob(exchange, bytes(b ^ 1 for b in content), asked.rest)


@downloads("blob-truncated")
def truncated(registry, exchange, asked, content, count):
    promise(exchange, len(content))
    exchange.cut([content[: len(content) // 2]])


@downloads("blob-short")
def short(registry, exchange, asked, content, count):
    exchange.answer(200, content[:-10])


@downloads("blob-long")
def long(registry, exchange, asked, content, count):
    exchange.answer(200, content + b"more")


@downloads("blob-endless")
def endless(registry, exchange, asked, content, count):
    exchange.head(200, {"Connection": "close"})
    exchange.wfile.write(content)
    while not registry.closing.is_set():
        exchange.wfile.write(b"0" * 65536)  # ends when the client closes


@downloads("blob-truncated-once")
def truncated_once(registry, exchange, asked, content, count):
    if count:
        return False
    promise(exchange, len(content))
    exchange.cut([content[: len(content) // 2]])
    return True


@downloads("blob-truncated-without-ranges")
def truncated_without_ranges(registry, exchange, asked, content, count):
    if count:
        exchange.answer(200, content)
    else:
        promise(exchange, len(content))
        exchange.cut([content[: len(content) // 2]])


@downloads("blob-cut-in-thirds")
def cut_in_thirds(registry, exchange, asked, content, count):
    """Every answer brings a part; resuming comes to the end."""
    first = int(exchange.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
    place = f"bytes {first}-{len(content) - 1}/{len(content)}"
    headers = {"Content-Length": str(len(content) - first), "Content-Range": place}
    exchange.head(206 if first else 200, headers)
    exchange.cut([content[first : first + len(content) // 3 + 1]])


@downloads("blob-wrong-range")
def wrong_range(registry, exchange, asked, content, count):
    """Cut once, then the beginning again as if it were the rest."""
    if not count:
        promise(exchange, len(content))
        exchange.cut([content[: len(content) // 2]])
        return
    half = len(content) - len(content) // 2
    exchange.answer(
        206,
        content[:half],
        {"Content-Range": f"bytes {len(content) - half}-{len(content) - 1}/{len(content)}"},
    )


@downloads("blob-500-twice")
def error_twice(registry, exchange, asked, content, count):
    if count >= 2:
        return False
    exchange.answer(500, b"oops")
    return True


@downloads("blob-429")
def too_many(registry, exchange, asked, content, count):
    if count:
        return False
    refuse(exchange, 429, "TOOMANYREQUESTS", "slow down", Retry_After="1")
    return True


@downloads("blob-429-bare")
def too_many_bare(registry, exchange, asked, content, count):
    if count:
        return False
    exchange.answer(429)
    return True


@downloads("blob-503-date")
def unavailable(registry, exchange, asked, content, count):
    """A date that is over."""
    if count:
        return False
    refuse(exchange, 503, "UNAVAILABLE", "later", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
    return True


@downloads("blob-429-forever")
def too_many_forever(registry, exchange, asked, content, count):
    refuse(exchange, 429, "TOOMANYREQUESTS", "slow down", Retry_After="1")


@downloads("blob-404")
def missing(registry, exchange, asked, content, count):
    refuse(exchange, 404, "BLOB_UNKNOWN", "blob unknown to registry")


@downloads("blob-stall")
def stall(registry, exchange, asked, content, count):
    promise(exchange, len(content))
    exchange.wfile.write(content[: len(content) // 2])
    exchange.hang()


@downloads("blob-drip")
def drip(registry, exchange, asked, content, count):
    """A byte now and then: never idle for long, never done."""
    promise(exchange, len(content))
    for at in range(len(content)):
        exchange.wfile.write(content[at : at + 1])
        if registry.closing.wait(0.05):
            return


@downloads("blob-redirect-other")
def redirect_other(registry, exchange, asked, content, count):
    registry.other.repository(asked.name).add(content)
    exchange.answer(307, headers={"Location": f"{registry.other.url}{exchange.path}"})


@downloads("blob-redirect-loop")
def redirect_loop(registry, exchange, asked, content, count):
    exchange.answer(307, headers={"Location": exchange.path})


@downloads("blob-redirect-file")
def redirect_file(registry, exchange, asked, content, count):
    exchange.answer(307, headers={"Location": "file:///etc/passwd"})


@downloads("blob-gzip-encoded")
def gzip_encoded(registry, exchange, asked, content, count):
    exchange.answer(200, gzip.compress(content), {"Content-Encoding": "gzip"})

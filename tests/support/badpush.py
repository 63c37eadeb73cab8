"""The ``push-*`` modes: uploads that are led astray, refused, cut, or lied about."""

import itertools

from support.badregistry import (
    Asked,
    BadRegistry,
    Mode,
    mode,
    refuse,
)
from support.webserver import Exchange


def requests(name: str, *kinds: str):
    """``function(registry, exchange, asked, count)`` answers requests of these kinds; False leaves one to the registry."""

    def add(function):
        def prepare(registry: BadRegistry) -> Mode:
            count = itertools.count()

            def take(exchange: Exchange, asked: Asked) -> bool:
                if asked.kind not in kinds:
                    return False
                return function(registry, exchange, asked, next(count)) is not False

            return take

        mode(name)(prepare)
        return function

    return add


def _begin(registry, exchange, asked, location: str) -> None:
    name = location.partition("?")[0].rpartition("/")[2]
    registry.repository(asked.name).uploads[name] = b""
    exchange.answer(202, headers={"Location": location, "Range": "0-0"})


@requests("push-location-relative", "begin")
def location_relative(registry, exchange, asked, count):
    _begin(registry, exchange, asked, f"/v2/{asked.name}/blobs/uploads/mine-{count}")


@requests("push-location-bare", "begin")
def location_bare(registry, exchange, asked, count):
    """Relative to the path that was asked for."""
    _begin(registry, exchange, asked, f"mine-{count}")


@requests("push-location-missing", "begin")
def location_missing(registry, exchange, asked, count):
    exchange.answer(202)


@requests("push-location-query", "begin", "finish", "patch")
def location_query(registry, exchange, asked, count):
    if asked.kind == "begin":
        location = (
            f"{registry.url}/v2/{asked.name}/blobs/uploads/mine-{count}?_state=a%2Bb%3D&digests=1"
        )
        _begin(registry, exchange, asked, location)
        return True
    if exchange.query.get("_state") == "a+b=" and exchange.query.get("digests") == "1":
        return False
    refuse(exchange, 400, "BLOB_UPLOAD_INVALID", "the state is lost")
    return True


@requests("push-500-once", "finish", "patch")
def error_once(registry, exchange, asked, count):
    if count:
        return False
    exchange.body()
    exchange.answer(500, b"oops")
    return True


@requests("push-dies-mid-blob", "finish", "patch")
def dies(registry, exchange, asked, count):
    exchange.some_body(min(10, exchange.length))
    exchange.cut()


@requests("push-dies-once", "finish", "patch")
def dies_once(registry, exchange, asked, count):
    if count:
        return False
    exchange.some_body(min(10, exchange.length))
    exchange.cut()
    return True


@requests("push-wrong-digest-answer", "finish", "put-manifest")
def wrong_digest_answer(registry, exchange, asked, count):
    """It has what it was sent, and says that it has something else."""
    content = exchange.body()
    stored = registry.repository(asked.name)
    if asked.kind == "finish":
        stored.add(stored.uploads.pop(asked.rest, b"") + content)
    else:
        stored.tag(asked.rest, content, exchange.headers.get("Content-Type", ""))
    exchange.answer(201, headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"})


@requests("push-location-other-host", "begin")
def location_other_host(registry, exchange, asked, count):
    other = registry.other.repository(asked.name)
    other.uploads[f"mine-{count}"] = b""
    registry.repositories[asked.name] = other  # as storage behind both would be
    location = f"{registry.other.url}/v2/{asked.name}/blobs/uploads/mine-{count}"
    exchange.answer(202, headers={"Location": location})


@requests("push-location-file", "begin")
def location_file(registry, exchange, asked, count):
    exchange.answer(202, headers={"Location": "file:///etc/cron.d/x"})


@requests("push-manifest-400", "put-manifest")
def manifest_400(registry, exchange, asked, count):
    refuse(exchange, 400, "MANIFEST_INVALID", "the moon is in the wrong phase")


@requests("push-429-once", "begin", "finish", "patch", "put-manifest")
def too_many_once(registry, exchange, asked, count):
    if count:
        return False
    refuse(exchange, 429, "TOOMANYREQUESTS", "slow down", Retry_After="1")
    return True


@requests("push-denied-mount", "begin")
def denied_mount(registry, exchange, asked, count):
    """202 and an upload, whatever was to be mounted."""
    _begin(registry, exchange, asked, f"/v2/{asked.name}/blobs/uploads/mine-{count}")


@requests("push-refused-mount", "begin")
def refused_mount(registry, exchange, asked, count):
    """A registry that wants no mounts at all."""
    if "mount" not in exchange.query:
        return False
    refuse(exchange, 403, "DENIED", "you may not read there")
    return True


@requests("push-head-lies", "head-blob")
def head_lies(registry, exchange, asked, count):
    exchange.answer(200, headers={"Content-Length": "5", "Docker-Content-Digest": asked.rest})


@requests("push-chunks-only", "finish")
def chunks_only(registry, exchange, asked, count):
    """Bytes only with PATCH."""
    if not exchange.length:
        return False
    refuse(exchange, 405, "UNSUPPORTED", "no monolithic uploads")
    return True


@requests("push-half-taken", "patch", "finish")
def half_taken(registry, exchange, asked, count):
    """The first request is taken in half, then cut; the upload knows how far it is."""
    if count:
        return False
    half = exchange.some_body(exchange.length // 2)
    registry.repository(asked.name).uploads[asked.rest] += half
    exchange.cut()
    return True

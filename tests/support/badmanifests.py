"""The ``manifest-*`` and ``index-*`` modes: documents that are wrong, huge, mislabelled, or lead nowhere.

Most store another document under the tag ``latest`` of every repository, with its right digest; some lie in the answer.
"""

import json
from collections.abc import Callable
from typing import Any

from support.badregistry import BadRegistry, Mode, Stored, digest_of, mode

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
HUGE = 200 << 20


def stored(name: str, media_type: str = MANIFEST):
    """``function(stored, document)`` gives the bytes, or a document, that take the manifest's place."""

    def add(function: Callable[[Stored, dict[str, Any]], Any]):
        def prepare(registry: BadRegistry) -> None:
            for repository in registry.repositories.values():
                _, content = repository.manifests[repository.tags["latest"]]
                made = function(repository, json.loads(content))
                content = made if isinstance(made, bytes) else json.dumps(made).encode()
                repository.tag("latest", content, media_type)

        mode(name)(prepare)
        return function

    return add


def answered(name: str):
    """``function(exchange, media_type, content)`` answers GETs of manifests."""

    def add(function):
        def prepare(registry: BadRegistry) -> Mode:
            def take(exchange, asked):
                repository = registry.repository(asked.name)
                digest = repository.tags.get(asked.rest, asked.rest)
                if asked.kind != "manifest" or digest not in repository.manifests:
                    return False
                return function(exchange, *repository.manifests[digest]) is not False

            return take

        mode(name)(prepare)
        return function

    return add


@answered("manifest-wrong-digest-header")
def wrong_digest_header(exchange, media_type, content):
    exchange.answer(
        200, content, {"Content-Type": media_type, "Docker-Content-Digest": f"sha256:{'0' * 64}"}
    )


@answered("manifest-by-digest-other")
def by_digest_other(exchange, media_type, content):
    if "sha256:" not in exchange.path:
        return False
    exchange.answer(200, content + b"\n", {"Content-Type": media_type})
    return True


@answered("manifest-huge")
def huge(exchange, media_type, content):
    if exchange.command == "HEAD":
        return False
    exchange.head(200, {"Content-Type": media_type, "Content-Length": str(HUGE)})
    for _ in range(HUGE >> 16):
        exchange.wfile.write(b" " * 65536)
    return True


@answered("manifest-endless")
def endless(exchange, media_type, content):
    """Without saying how long it is."""
    if exchange.command == "HEAD":
        return False
    exchange.head(200, {"Content-Type": media_type, "Connection": "close"})
    while not exchange.web.closing.is_set():
        exchange.wfile.write(b" " * 65536)
    return True


@answered("manifest-html")
def html(exchange, media_type, content):
    exchange.answer(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})


@answered("manifest-no-content-type")
def no_content_type(exchange, media_type, content):
    exchange.answer(200, content, {"Docker-Content-Digest": digest_of(content)})


@answered("manifest-type-mismatch")
def type_mismatch(exchange, media_type, content):
    exchange.answer(
        200, content, {"Content-Type": INDEX, "Docker-Content-Digest": digest_of(content)}
    )


@stored("manifest-bad-json")
def bad_json(repository, document):
    return json.dumps(document).encode()[:-20]


@stored("manifest-deep-json")
def deep_json(repository, document):
    return b'{"schemaVersion": 2, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@stored("manifest-schema1", "application/vnd.docker.distribution.manifest.v1+prettyjws")
def schema1(repository, document):
    return {
        "schemaVersion": 1,
        "name": "shop/api",
        "tag": "latest",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": layer["digest"]} for layer in document["layers"]],
        "history": [{"v1Compatibility": "{}"}],
    }


@stored("manifest-foreign-path-digest")
def foreign_path_digest(repository, document):
    document["layers"][0]["digest"] = "sha256:../../../x"
    return document


@stored("manifest-size-lie")
def size_lie(repository, document):
    document["layers"][0]["size"] += 1
    return document


@stored("manifest-neg-size")
def negative_size(repository, document):
    document["layers"][0]["size"] = -1
    return document


def _index(digest: str, size: int, platform: dict[str, str] | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {"mediaType": MANIFEST, "digest": digest, "size": size}
    return {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [entry | ({"platform": platform} if platform else {})],
    }


@stored("index-no-platform", INDEX)
def no_platform(repository, document):
    digest = repository.tags["latest"]
    size = len(repository.manifests[digest][1])
    return _index(digest, size, {"os": "linux", "architecture": "s390x"})


@mode("index-loop")
def loop(registry: BadRegistry) -> Mode:
    """No index can name its own digest; one that is lied about can."""
    for repository in registry.repositories.values():
        looping = f"sha256:{'1' * 64}"
        document = _index(looping, 0)
        document["manifests"][0] |= {"mediaType": INDEX, "size": len(json.dumps(document))}
        content = json.dumps(document).encode()
        repository.tag("latest", content, INDEX)
        repository.manifests[looping] = (INDEX, content)
    return lambda exchange, asked: False

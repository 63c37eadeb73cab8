"""A registry of the tests' own that keeps everything in memory and misbehaves as it is told (HOSTILE, registry table).

It knows what the distribution specification says; a mode (:data:`MODES`, one function for each) changes what is stored
before anybody asks, or takes single requests over.
"""

import hashlib
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from support.webserver import Exchange, Web

_PATH = re.compile(
    r"/v2/(?:(?P<name>[a-z0-9/._-]+)/(?P<kind>blobs/uploads|blobs|manifests|tags|referrers)/(?P<rest>[^/]*))?"
)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Stored:
    """A repository; ``manifests`` are media types and bytes by digest."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)

    def add(self, content: bytes) -> str:
        self.blobs[digest_of(content)] = content
        return digest_of(content)

    def tag(self, name: str, content: bytes, media_type: str) -> str:
        self.manifests[digest_of(content)] = (media_type, content)
        self.tags[name] = digest_of(content)
        return digest_of(content)

    def delete(self, reference: str) -> None:
        """A tag alone, or a manifest with its tags, or a blob."""
        self.blobs.pop(reference, None)
        self.manifests.pop(reference, None)
        gone = (reference, *(tag for tag, digest in self.tags.items() if digest == reference))
        for tag in gone:
            self.tags.pop(tag, None)


class Asked(NamedTuple):
    """``kind`` is one of ping, token, blob, head-blob, manifest, tags, referrers, begin, patch, finish, status, put-manifest,
    delete; ``rest`` the digest, tag or upload."""

    kind: str
    name: str
    rest: str


Mode = Callable[[Exchange, Asked], bool]
"""Takes a request over and answers it (True), or leaves it to the registry."""

MODES: dict[str, Callable[["BadRegistry"], Mode | None]] = {"plain": lambda _: None}
"""By the names of the table: prepares the registry."""


def mode(
    name: str,
) -> Callable[[Callable[["BadRegistry"], Mode | None]], Callable[["BadRegistry"], Mode | None]]:
    def add(
        function: Callable[["BadRegistry"], Mode | None],
    ) -> Callable[["BadRegistry"], Mode | None]:
        MODES[name] = function
        return function

    return add


class BadRegistry(Web):
    """``other`` is a second host of the same kind, for what leads away; ``repositories`` by name."""

    def __init__(self, tls: ssl.SSLContext | None = None, other: Web | None = None) -> None:
        super().__init__(tls)
        self.other = other
        self.repositories: dict[str, Stored] = {}
        self.page = 100
        self.modes: list[Mode] = []
        self._uploads = 0

    def repository(self, name: str) -> Stored:
        return self.repositories.setdefault(name, Stored())

    def misbehave(self, name: str) -> None:
        """After the repositories were filled. The last mode is asked first."""
        if found := MODES[name](self):
            self.modes.insert(0, found)

    def respond(self, exchange: Exchange) -> None:
        asked = self.understand(exchange)
        if asked is None:
            refuse(exchange, 404, "NAME_INVALID", "no such place")
        elif not any(mode(exchange, asked) for mode in self.modes):
            self.behave(exchange, asked)

    def understand(self, exchange: Exchange) -> Asked | None:
        if exchange.at == "/token":
            return Asked("token", "", "")
        match = _PATH.fullmatch(exchange.at)
        if not match:
            return None
        name, rest = match["name"] or "", match["rest"] or ""
        method = exchange.command
        kinds = {
            None: "ping",
            "blobs": {"HEAD": "head-blob", "DELETE": "delete"}.get(method, "blob"),
            "manifests": {"PUT": "put-manifest", "DELETE": "delete"}.get(method, "manifest"),
            "tags": "tags",
            "referrers": "referrers",
            "blobs/uploads": {"POST": "begin", "PATCH": "patch", "PUT": "finish"}.get(
                method, "status"
            ),
        }
        return Asked(kinds[match["kind"]], name, rest)

    def behave(self, exchange: Exchange, asked: Asked) -> None:
        stored = self.repository(asked.name) if asked.name else Stored()
        match asked.kind:
            case "ping":
                exchange.answer(200, b"{}")
            case "blob" | "head-blob":
                send_blob(exchange, stored.blobs.get(asked.rest), asked.rest)
            case "manifest":
                send_manifest(exchange, stored, asked.rest)
            case "tags":
                self._tags(exchange, asked, stored)
            case "begin":
                self._begin(exchange, asked, stored)
            case "patch" | "status":
                receive(exchange, asked, stored)
            case "finish":
                finish(exchange, asked, stored)
            case "put-manifest":
                put_manifest(exchange, asked, stored)
            case "delete":
                stored.delete(asked.rest)
                exchange.answer(202)
            case _:
                refuse(exchange, 404, "UNSUPPORTED", "not here")

    def _tags(self, exchange: Exchange, asked: Asked, stored: Stored) -> None:
        last = exchange.query.get("last", "")
        names = [name for name in sorted(stored.tags) if name > last]
        page = names[: min(self.page, int(exchange.query.get("n", self.page)))]
        link = (
            f'</v2/{asked.name}/tags/list?n={self.page}&last={page[-1]}>; rel="next"'
            if page
            else None
        )
        content = json.dumps({"name": asked.name, "tags": page}).encode()
        exchange.answer(200, content, {"Link": link if len(page) < len(names) else None})

    def _begin(self, exchange: Exchange, asked: Asked, stored: Stored) -> None:
        query = exchange.query
        source = self.repositories.get(query.get("from", ""))
        if source and query.get("mount") in source.blobs:
            stored.add(source.blobs[query["mount"]])
            location = f"/v2/{asked.name}/blobs/{query['mount']}"
            exchange.answer(
                201, headers={"Location": location, "Docker-Content-Digest": query["mount"]}
            )
            return
        self._uploads += 1
        name = f"upload-{self._uploads}"
        stored.uploads[name] = b""
        here = f"{self.url.partition(':')[0]}://{exchange.headers['Host']}"
        location = f"{here}/v2/{asked.name}/blobs/uploads/{name}"
        exchange.answer(202, headers={"Location": location, "Range": "0-0"})


def refuse(exchange: Exchange, status: int, code: str, message: str, **headers: str) -> None:
    content = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    exchange.answer(
        status,
        content,
        {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()},
    )


def send_blob(exchange: Exchange, content: bytes | None, digest: str) -> None:
    """With ranges."""
    if content is None:
        refuse(exchange, 404, "BLOB_UNKNOWN", "blob unknown to registry")
        return
    headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", exchange.headers.get("Range", ""))
    if not wanted:
        exchange.answer(200, content, headers)
        return
    first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
    part = content[first : last + 1]
    place = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"}
    exchange.answer(206, part, headers | place)


def send_manifest(exchange: Exchange, stored: Stored, reference: str) -> None:
    digest = stored.tags.get(reference, reference)
    if digest not in stored.manifests:
        refuse(exchange, 404, "MANIFEST_UNKNOWN", "manifest unknown")
        return
    media_type, content = stored.manifests[digest]
    exchange.answer(200, content, {"Content-Type": media_type, "Docker-Content-Digest": digest})


def receive(exchange: Exchange, asked: Asked, stored: Stored) -> None:
    """PATCH adds to an upload, GET says how far it is."""
    if asked.rest not in stored.uploads:
        refuse(exchange, 404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return
    if exchange.command == "PATCH":
        start = exchange.headers.get("Content-Range", "").partition("-")[0]
        if start and int(start) != len(stored.uploads[asked.rest]):
            refuse(exchange, 416, "BLOB_UPLOAD_INVALID", "out of order")
            return
        stored.uploads[asked.rest] += exchange.body()
    size = len(stored.uploads[asked.rest])
    place = {"Location": exchange.path, "Range": f"0-{max(0, size - 1)}"}
    exchange.answer(202 if exchange.command == "PATCH" else 204, headers=place)


def finish(exchange: Exchange, asked: Asked, stored: Stored) -> None:
    if asked.rest not in stored.uploads:
        refuse(exchange, 404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return
    content = stored.uploads[asked.rest] + exchange.body()
    digest = exchange.query.get("digest", "")
    if digest != digest_of(content):
        refuse(exchange, 400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        return
    del stored.uploads[asked.rest]
    stored.add(content)
    location = f"/v2/{asked.name}/blobs/{digest}"
    exchange.answer(201, headers={"Location": location, "Docker-Content-Digest": digest})


def put_manifest(exchange: Exchange, asked: Asked, stored: Stored) -> None:
    """Refused while a blob or manifest that it names is not there, as registries do."""
    content = exchange.body()
    document = json.loads(content)
    named = [*document.get("layers", []), *document.get("manifests", [])]
    named += [document["config"]] if "config" in document else []
    missing = [d["digest"] for d in named if d["digest"] not in stored.blobs | stored.manifests]
    if missing:
        refuse(exchange, 404, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {missing[0]}")
        return
    digest = digest_of(content)
    stored.manifests[digest] = (exchange.headers.get("Content-Type", ""), content)
    if ":" not in asked.rest:
        stored.tags[asked.rest] = digest
    location = f"/v2/{asked.name}/manifests/{digest}"
    exchange.answer(201, headers={"Location": location, "Docker-Content-Digest": digest})


def form(exchange: Exchange) -> dict[str, str]:
    """What was asked of a token server, in the query or in a form."""
    text = urlsplit(exchange.path).query if exchange.command == "GET" else exchange.body().decode()
    return {name: " ".join(values) for name, values in parse_qs(text).items()}

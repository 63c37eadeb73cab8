"""``build --push``: the images of one build as one release, and the record of it.

A release is written down before its first tag moves and again when it ends, in ``releases/TIME-ID.json`` of the store:
a killed one says ``moving``. The record is one JSON document, schema 1::

    {"schema": 1, "time": "2026-01-31T12:00:00Z", "state": "moving" | "done" | "failed",
     "images": [{"target", "digest", "uploaded", "mounted",
                 "tags": [{"reference", "before", "after"}]}], "error": ""}

``before`` is null for a tag that is new.
"""

import json
import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from buildgraph.build.products import Product
from buildgraph.build.remote import Remote
from buildgraph.build.request import Pushed
from buildgraph.build.session import Session
from buildgraph.build.ship import shipment
from buildgraph.errors import BuildgraphError, ErrorGroup, UsageError
from buildgraph.events import ImagePushed
from buildgraph.execute.interrupt import interruptible
from buildgraph.image.content import Content
from buildgraph.image.source import ImageSource
from buildgraph.names import Reference
from buildgraph.registry.release import Release, Shipment, Shipped

if TYPE_CHECKING:
    from pathlib import Path


def check_names(session: Session, targets: Sequence[str]) -> None:
    """Before anything is built: an image that nobody could ask for cannot be pushed."""
    graph = session.workspace.graph
    for target in targets:
        images = graph.chosen_images((target,))
        family = graph.families.get(target)
        tags = family.tags if family else [tag for image in images for tag in image.tags]
        if images and not tags and not session.request.tags:
            raise UsageError(
                "push-without-name",
                f"image {target.partition(':')[2]} has no tags, so --push does not know where it belongs",
                hint='write tags = ["registry/name:tag"] in its table, or give it a name with -t',
                where=images[0].where,
            )


def push(session: Session, ready: Sequence[Product]) -> Pushed:
    """All of them or none; with ``--push=each`` every image by itself, as far as it gets.

    Raises RemoteError; with ``each`` after all were tried.
    """
    with interruptible(session.cancelled.set):
        remote = session.access.remote
        loads = [load for product in ready for load in _shipments(session, remote, product)]
        if session.request.push != "each":
            return _pushed(session, _deliver(session, loads))
        done, failed = list[Shipped](), []
        for load in loads:
            try:
                done += _deliver(session, [load])
            except BuildgraphError as error:
                failed.append(error)
        if failed:
            raise ErrorGroup(failed) if len(failed) > 1 else failed[0]
        return _pushed(session, done)


def _shipments(session: Session, remote: Remote, product: Product) -> list[Shipment]:
    """One for every repository that the image's names belong to; images of an index may have names of their own."""
    loads = _named(remote, product.target, product.content(session.blobs.open), product.tags)
    for part in product.parts if product.own_tags else ():
        tags = [tag for tag, one in product.own_tags if one == part.assembled.descriptor]
        source = ImageSource.of(part.assembled, session.blobs.open, part.target.name)
        loads += _named(remote, part.target.name, Content.of(source), tags)
    return loads


def _named(remote: Remote, target: str, content: Content, names: Sequence[str]) -> list[Shipment]:
    tags: dict[Reference, list[str]] = {}
    for text in names:
        name = Reference.parse(text)
        tags.setdefault(Reference(name.host, name.path), []).append(name.tag or "latest")
    return [shipment(remote, target, content, place, found) for place, found in tags.items()]


def _deliver(session: Session, loads: Sequence[Shipment]) -> Sequence[Shipped]:
    release = Release(loads, session.cancelled)
    record = _Record(session)
    try:
        shipped = release.deliver(record.begin)
    except BaseException as error:
        record.end("failed", release.shipped, error)
        raise
    record.end("done", shipped)
    for one in shipped:
        target, digest = one.shipment.target, one.shipment.root.digest
        session.observer(ImagePushed(target, _names(one), digest, one.uploaded, one.mounted))
    return shipped


def _names(one: Shipped) -> tuple[str, ...]:
    return tuple(f"{one.shipment.repository.name}:{tag}" for tag in one.shipment.tags)


def _pushed(session: Session, shipped: Sequence[Shipped]) -> Pushed:
    return Pushed(
        sum(one.uploaded for one in shipped),
        sum(one.mounted for one in shipped),
        tuple((name, one.shipment.root.digest) for one in shipped for name in _names(one)),
        session.access.ca,
    )


class _Record:
    """A release that moves nothing leaves none."""

    def __init__(self, session: Session) -> None:
        self._store = session.store
        self._now = time.gmtime()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", self._now)
        self._file: Path = self._store.releases / f"{stamp}-{secrets.token_hex(4)}.json"
        self._begun = False

    def begin(self, shipped: Sequence[Shipped]) -> None:
        self._begun = True
        self._write("moving", shipped)

    def end(
        self, state: str, shipped: Sequence[Shipped], error: BaseException | None = None
    ) -> None:
        if self._begun:
            self._write(state, shipped, str(error or ""))

    def _write(self, state: str, shipped: Sequence[Shipped], error: str = "") -> None:
        images = [
            {
                "target": one.shipment.target,
                "digest": one.shipment.root.digest,
                "uploaded": one.uploaded,
                "mounted": one.mounted,
                "tags": [
                    {"reference": m.reference, "before": m.before, "after": m.after}
                    for m in one.moved
                ],
            }
            for one in shipped
            if not one.current
        ]
        document = {
            "schema": 1,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", self._now),
            "state": state,
            "images": images,
            "error": error,
        }
        self._store.write(self._file, json.dumps(document, indent=2).encode() + b"\n")

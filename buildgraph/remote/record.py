"""What is one thing in a remote cache? The result of a step, or the form of a layer, as an OCI manifest.

Pure: values to bytes and back. ``docs/technical/remote-cache.md`` draws the bytes. A record is found by a *name*:

    step-KEY     by a StepKey or an ActionKey: the step's result, its tree object, its layer
    layer-KEY    by a layer's tree and a codec: the layer, compressed so
    dirs-KEY     by the diff ID of a base's layer: its dirs index

The manifest names every blob that the record needs, so that a registry keeps them together and refuses a record whose
blobs it lacks. A record says nothing about where its blobs are: they lie beside it.
"""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from buildgraph.digest import Digest, key_of
from buildgraph.errors import ContentError
from buildgraph.oci.descriptor import Descriptor
from buildgraph.oci.document import Fields, Json, decode, encode
from buildgraph.oci.manifest import Manifest
from buildgraph.store.actions import decode_result, encode_result
from buildgraph.store.base import ActionResult, Compressed
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from buildgraph.store.disk import Value

ARTIFACT: Final = "application/vnd.buildgraph.record.v1"
TREE: Final = "application/vnd.buildgraph.tree.v1"
TEXT: Final = "buildgraph.record"
"""The annotation of the manifest that holds the record itself, as JSON."""
DIRS: Final = "application/vnd.buildgraph.dirs.v1"
CODEC: Final = "buildgraph.codec"
"""The annotation of a layer's descriptor: the identity of what compressed it."""

EMPTY: Final = b"{}"
NOTHING: Final = Descriptor(
    "application/vnd.oci.empty.v1+json", Digest("sha256:" + hashlib.sha256(EMPTY).hexdigest()), 2
)
"""image-spec, manifest.md "Guidance for an Empty Descriptor"."""

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class SharedLayer:
    """``size`` counts the bytes of the layer's tar; ``forms`` are by codec identity, at least one."""

    tree: Digest
    diff_id: Digest
    size: int
    forms: Mapping[str, Compressed]


@dataclass(frozen=True, slots=True)
class Record:
    """``tree`` is the blob that is the result's tree object; None where whoever looks it up can make it.

    A result without a ``layer`` has no bytes of files, or is a recipe. Where ``dirs`` is, an index, nothing else is.
    """

    result: ActionResult | None = None
    tree: Descriptor | None = None
    layer: SharedLayer | None = None
    dirs: Descriptor | None = None

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """In the order of the manifest's layers."""
        forms = self.layer.forms if self.layer else {}
        found = [one for one in (self.tree, self.dirs) if one]
        found += [
            Descriptor(form.media_type, form.digest, form.size, annotations={CODEC: codec})
            for codec, form in sorted(forms.items())
        ]
        return tuple(found) or (NOTHING,)

    def to_bytes(self) -> bytes:
        return Manifest(
            NOTHING,
            self.blobs,
            annotations={TEXT: encode(_document(self)).decode()},
            artifact_type=ARTIFACT,
        ).to_bytes()


def step_name(key: str) -> str:
    """``key`` is a StepKey or an ActionKey."""
    return f"step-{key}"


def layer_name(tree: Digest, codec: str) -> str:
    return f"layer-{key_of(['layer', SCHEMA, tree, codec])}"


def dirs_name(diff_id: Digest) -> str:
    return f"dirs-{key_of(['dirs', SCHEMA, diff_id])}"


def parse(content: bytes, name: str) -> Record:
    """``name`` is the record's, for messages. Raises ContentError: ``bad-record``, ``bad-document``."""
    manifest = Manifest.parse(content, name=name)
    fields = decode(manifest.annotations.get(TEXT, "").encode() or EMPTY, name)
    if manifest.artifact_type != ARTIFACT or fields.number("schema", 0) != SCHEMA:
        raise _bad(name, "is no record of this version")
    result = _result(fields, name)
    tree, dirs = _first(manifest, TREE), _first(manifest, DIRS)
    layer = fields.child("layer")
    found = Record(result, tree, _layer(layer, manifest) if layer else None, dirs)
    if not (result or found.layer or dirs) or (tree and result is None):
        raise _bad(name, "says nothing")
    if (
        result
        and found.layer
        and (result.tree, result.diff_id) != (found.layer.tree, found.layer.diff_id)
    ):
        raise _bad(name, "has the layer of another step")
    return found


def _first(manifest: Manifest, media_type: str) -> Descriptor | None:
    return next((one for one in manifest.layers if one.media_type == media_type), None)


def _document(record: Record) -> dict[str, Json]:
    document: dict[str, Json] = {}
    if record.layer is not None:
        layer = record.layer
        document["layer"] = {"diff_id": layer.diff_id, "size": layer.size, "tree": layer.tree}
    if record.result is not None:
        document["result"] = dict(sorted(_plain(record.result).items()))
    return document | {"schema": SCHEMA}


def _plain(result: ActionResult) -> dict[str, Json]:
    encoded = encode_result(result)
    assert isinstance(encoded, dict)
    return dict(encoded)


def _result(fields: Fields, name: str) -> ActionResult | None:
    if "result" not in fields:
        return None
    result = decode_result(cast("Value", fields.rest()["result"]))
    if result is None:
        raise _bad(name, "has no result of this version")
    return result


def _layer(fields: Fields, manifest: Manifest) -> SharedLayer:
    forms = {
        layer.annotations[CODEC]: Compressed(layer.digest, layer.size, layer.media_type)
        for layer in manifest.layers
        if CODEC in layer.annotations
    }
    if not forms:
        raise fields.fail("has no compressed form")
    return SharedLayer(
        fields.digest("tree"), fields.digest("diff_id"), fields.number("size"), forms
    )


def _bad(name: str, why: str) -> ContentError:
    return ContentError("bad-record", f"the cache's record {name} {why}")

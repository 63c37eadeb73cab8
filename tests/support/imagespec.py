"""Judges an OCI layout by schemas that were written from the text of image-spec, and by every hash in it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

_SCHEMAS = Path(__file__).parent.parent / "conformance" / "schemas"
_BY_TYPE = {
    "application/vnd.oci.image.manifest.v1+json": "manifest",
    "application/vnd.oci.image.index.v1+json": "index",
    "application/vnd.oci.image.config.v1+json": "config",
}


def mistakes(layout: Path) -> list[str]:
    """What is wrong with every document that the layout's index leads to, and with every blob's hash and size."""
    judge = _Judge(layout)
    judge.document("layout", json.loads((layout / "oci-layout").read_text()), "oci-layout")
    index = json.loads((layout / "index.json").read_text())
    judge.document("index", index, "index.json")
    for descriptor in index["manifests"]:
        judge.blob(descriptor)
    return judge.found


def document_mistakes(schema: str, document: Any) -> list[str]:
    judge = _Judge(Path())
    judge.document(schema, document, schema)
    return judge.found


class _Judge:
    def __init__(self, layout: Path) -> None:
        self.found: list[str] = []
        self._layout = layout
        schemas = {path.stem: json.loads(path.read_text()) for path in _SCHEMAS.glob("*.json")}
        resources = [(s["$id"], Resource.from_contents(s)) for s in schemas.values()]
        registry: Registry[Any] = Registry().with_resources(resources)
        self._validators = {
            name: Draft202012Validator(schema, registry=registry)
            for name, schema in schemas.items()
        }

    def document(self, schema: str, document: Any, name: str) -> None:
        for error in self._validators[schema].iter_errors(document):
            self.found.append(f"{name}: {error.json_path}: {error.message}")

    def blob(self, descriptor: Any) -> None:
        algorithm, _, name = descriptor["digest"].partition(":")
        path = self._layout / "blobs" / algorithm / name
        if path.stat().st_size != descriptor["size"]:
            self.found.append(f"{name}: {path.stat().st_size} bytes, not {descriptor['size']}")
        with path.open("rb") as file:
            if hashlib.file_digest(file, algorithm).hexdigest() != name:
                self.found.append(f"{name}: has another digest")
        schema = _BY_TYPE.get(descriptor["mediaType"])
        if schema is None:
            return
        document = json.loads(path.read_text())
        self.document(schema, document, name)
        for child in (*document.get("manifests", ()), *document.get("layers", ())):
            self.blob(child)
        if schema == "manifest":
            self.blob(document["config"])

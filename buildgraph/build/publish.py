"""Where results go: names in the store, outputs on disk, and the documents that say what was built."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from buildgraph.build.products import Product
from buildgraph.build.request import ImageResult
from buildgraph.build.session import Session


def publish(
    session: Session, found: Sequence[Product], targets: Sequence[str]
) -> tuple[ImageResult, ...]:
    """Write every output first, then name the images in the store all at once."""
    if session.request.outputs:
        from buildgraph.build.outputs import write_outputs

        write_outputs(session, found, targets)
    names, implied = {}, set[str]()
    for product in found:
        for name, descriptor in product.names():
            names[name] = descriptor
            if product.tags:
                implied.discard(name)
            else:
                implied.add(name)
    if names:
        session.store.images.tag_all(names, implied)
    return tuple(
        ImageResult(
            product.target,
            product.root.digest,
            product.iid,
            product.tags,
            product.size,
            sum(part.new_bytes for part in product.parts),
        )
        for product in found
    )


def metadata_of(
    session: Session,
    found: Sequence[Product],
    steps: Mapping[str, int],
    moved: Mapping[str, int],
    seconds: float,
) -> dict[str, object]:
    """The document of ``--metadata-file``, schema 1."""
    return {
        "schema": 1,
        "targets": {product.target: _described(product) for product in found},
        "steps": dict(steps),
        "bytes": {"fetched": session.access.fetched, "uploaded": 0, "mounted": 0, **moved},
        "seconds": round(seconds, 3),
    }


def _described(product: Product) -> dict[str, object]:
    """Of an index, what each image is, too."""
    described: dict[str, object] = {
        "digest": product.root.digest,
        "config_digest": "" if product.index else product.iid,
        "tags": list(product.tags),
        "platforms": [str(platform) for platform in product.platforms],
        "layers": list(product.layers),
    }
    if product.index:
        described["images"] = {
            str(platform): {
                "digest": part.assembled.digest,
                "config_digest": part.assembled.manifest.config.digest,
                "layers": [layer.digest for layer in part.assembled.manifest.layers],
            }
            for platform, part in zip(product.platforms, product.parts, strict=True)
        }
    return described


def write_documents(
    session: Session, metadata: Mapping[str, object], images: Sequence[ImageResult]
) -> None:
    """``--metadata-file``, and ``--iidfile`` where there are images; the latter holds one config digest a line, of an
    index its own."""
    request = session.request
    if request.metadata_file is not None:
        text = json.dumps(metadata, indent=2) + "\n"
        _write(request.metadata_file, text)
    if request.iidfile is not None and images:
        _write(request.iidfile, iids(images))


def iids(images: Sequence[ImageResult]) -> str:
    """What ``--iidfile`` holds."""
    return "\n".join(image.config_digest for image in images)


def _write(path: Path, text: str) -> None:
    from buildgraph.image.output import named_by_user, reporting

    with reporting(path), named_by_user(path) as file:
        file.write(text.encode())

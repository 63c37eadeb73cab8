"""Where results go: names in the store, outputs on disk, and the documents that say what was built."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from buildgraph.build.request import ImageResult
from buildgraph.build.session import Session
from buildgraph.execute.ops_image import BuiltImage
from buildgraph.graph.graph import ImageTarget
from buildgraph.names import Reference


def tags_of(session: Session, image: ImageTarget) -> tuple[str, ...]:
    """The image's references: its own, those of ``-t``, with ``${key}`` filled in."""
    tags = tuple(tag.replace("${key}", session.lookups.image_key(image)) for tag in image.tags)
    return tuple(dict.fromkeys((*tags, *session.request.tags)))


def publish(
    session: Session,
    images: Sequence[ImageTarget],
    made: Mapping[str, BuiltImage],
    targets: Sequence[str],
) -> tuple[ImageResult, ...]:
    """Write every output first, then name the images in the store all at once."""
    if session.request.outputs:
        from buildgraph.build.outputs import write_outputs

        write_outputs(session, made, targets)
    names, implied = {}, set[str]()
    results = []
    for image in images:
        built = made[image.name].assembled
        tags = tags_of(session, image)
        for name in names_of(image.name, tags):
            names[name] = built.descriptor
            if tags:
                implied.discard(name)
            else:
                implied.add(name)
        results.append(
            ImageResult(
                image.name,
                built.digest,
                built.manifest.config.digest,
                tags,
                built.size,
                made[image.name].new_bytes,
            )
        )
    if names:
        session.store.images.tag_all(names, implied)
    return tuple(results)


def names_of(image: str, tags: Sequence[str]) -> list[str]:
    """Full references; an image without tags is called as its table, in lower case as references are."""
    return [Reference.parse(tag).familiar for tag in tags or (f"{image.lower()}:latest",)]


def metadata_of(
    session: Session,
    images: Sequence[ImageTarget],
    made: Mapping[str, BuiltImage],
    steps: Mapping[str, int],
    moved: Mapping[str, int],
    seconds: float,
) -> dict[str, object]:
    """The document of ``--metadata-file``, schema 1."""
    targets = {}
    for image in images:
        built = made[image.name].assembled
        targets[image.name] = {
            "digest": built.digest,
            "config_digest": built.manifest.config.digest,
            "tags": list(tags_of(session, image)),
            "platforms": [str(built.config.platform)],
            "layers": [layer.digest for layer in built.manifest.layers],
        }
    return {
        "schema": 1,
        "targets": targets,
        "steps": dict(steps),
        "bytes": {"fetched": session.access.fetched, "uploaded": 0, "mounted": 0, **moved},
        "seconds": round(seconds, 3),
    }


def write_documents(
    session: Session, metadata: Mapping[str, object], images: Sequence[ImageResult]
) -> None:
    """``--metadata-file``, and ``--iidfile`` where there are images; the latter holds one config digest a line."""
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
    from buildgraph.image.output import appearing, reporting

    with reporting(path):
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        with appearing(path) as file:
            file.write(text.encode())

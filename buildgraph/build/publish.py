"""Where results go: names in the store, outputs on disk, and the documents that say what was built."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from buildgraph.build.request import ImageResult, OutputSpec
from buildgraph.build.session import Session
from buildgraph.errors import UsageError
from buildgraph.execute.ops_image import BuiltImage
from buildgraph.graph.graph import ImageTarget
from buildgraph.graph.step import StepId
from buildgraph.image.archive import write_archive
from buildgraph.image.layout import write_layout
from buildgraph.image.output import appearing, reporting
from buildgraph.image.source import ImageSource
from buildgraph.names import Reference
from buildgraph.values import replace


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
    for output in session.request.outputs:
        for target in targets:
            write_output(session, output, target, made, several=len(targets) > 1)
    names, implied = {}, set[str]()
    results = []
    for image in images:
        built = made[image.name].assembled
        tags = tags_of(session, image)
        for name in _names(image.name, tags):
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


def _names(image: str, tags: Sequence[str]) -> list[str]:
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
    """``--metadata-file`` and ``--iidfile``; the latter holds one config digest a line."""
    request = session.request
    if request.metadata_file is not None:
        text = json.dumps(metadata, indent=2) + "\n"
        _write(request.metadata_file, text)
    if request.iidfile is not None:
        _write(request.iidfile, "\n".join(image.config_digest for image in images))


def _write(path: Path, text: str) -> None:
    with reporting(path):
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        with appearing(path) as file:
            file.write(text.encode())


def write_output(
    session: Session,
    output: OutputSpec,
    target: str,
    made: Mapping[str, BuiltImage],
    *,
    several: bool,
) -> None:
    """One target to one ``--output``; a step only as ``tar`` or ``local``."""
    kind, _, name = target.partition(":")
    if output.type == "store":
        return
    if several and "{name}" not in output.dest:
        raise UsageError(
            "output-for-several",
            f"dest={output.dest} would be written by several targets",
            hint="put {name} into dest",
        )
    if output.dest == "-":
        _write_to_stdout(session, output, target, made)
        return
    dest = session.request.directory / output.dest.replace("{name}", name)
    if output.type in ("tar", "local"):
        _write_files(session, output, target, dest)
        return
    if kind != "image":
        raise UsageError(
            "output-not-an-image",
            f"{name} is a step: it has no image for type={output.type}",
            hint="write its files with type=local or type=tar",
        )
    if name not in made:
        return
    assembled = made[name].assembled
    blobs = session.blobs
    blobs.fetch(layer.digest for layer in assembled.manifest.layers)
    source = ImageSource.of(assembled, blobs.open, name)
    tags = tags_of(session, session.workspace.graph.images[name])
    names = _names(name, tags)
    with reporting(dest):
        dest.parent.mkdir(parents=True, exist_ok=True)
        match output.type:
            case "oci":
                write_layout(dest, source, names)
            case "oci-archive":
                write_archive(dest, [(source, names)], "oci")
            case _:
                write_archive(dest, [(source, names)], "docker")


def _write_to_stdout(
    session: Session, output: OutputSpec, target: str, made: Mapping[str, BuiltImage]
) -> None:
    """The file is made first, so that nothing is sent of one that cannot be."""
    stdout = session.request.stdout
    assert stdout is not None
    with TemporaryDirectory(dir=session.store.tmp) as folder:
        file = Path(folder) / "output"
        write_output(session, replace(output, dest=os.fspath(file)), target, made, several=False)
        with file.open("rb") as stream:
            shutil.copyfileobj(stream, stdout)
        stdout.flush()


def _write_files(session: Session, output: OutputSpec, target: str, dest: Path) -> None:
    from buildgraph.image.rootfs import write_local, write_tar

    kind, _, name = target.partition(":")
    stacks = session.stacks
    if kind == "image":
        layers = stacks.placed.place(session.workspace.graph.images[name].stack)
    else:
        layers = stacks.placed.own_layer(StepId(target))
    stacks.unpack(layers)
    stack = [(stacks.placed.tree(layer.tree), stacks.snapshot(layer)) for layer in layers]
    with reporting(dest):
        dest.parent.mkdir(parents=True, exist_ok=True)
        if output.type == "tar":
            write_tar(dest, stack)
        else:
            write_local(dest, stack)

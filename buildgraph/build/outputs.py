"""``--output``: images as layouts and archives, root filesystems as folders and tars, each where the user wants it."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from buildgraph.build.publish import names_of, tags_of
from buildgraph.build.request import OutputSpec
from buildgraph.build.session import Session
from buildgraph.execute.ops_image import BuiltImage
from buildgraph.graph.step import StepId
from buildgraph.image.archive import write_archive
from buildgraph.image.layout import write_layout
from buildgraph.image.output import reporting
from buildgraph.image.rootfs import write_local, write_tar
from buildgraph.image.source import ImageSource
from buildgraph.values import replace


def write_outputs(session: Session, made: Mapping[str, BuiltImage], targets: Sequence[str]) -> None:
    """Every output of every target."""
    for output in session.request.outputs:
        for target in targets:
            _write_output(session, output, target, made)


def _write_output(
    session: Session, output: OutputSpec, target: str, made: Mapping[str, BuiltImage]
) -> None:
    """One target to one ``--output``; a step only as ``tar`` or ``local``: nobody else gets here."""
    kind, _, name = target.partition(":")
    if output.type == "store":
        return
    if output.dest == "-":
        _write_to_stdout(session, output, target, made)
        return
    dest = session.request.directory / output.dest.replace("{name}", name)
    if output.type in ("tar", "local"):
        _write_files(session, output, target, dest)
        return
    assert kind == "image", target
    if name not in made:
        return
    assembled = made[name].assembled
    blobs = session.blobs
    blobs.fetch(layer.digest for layer in assembled.manifest.layers)
    source = ImageSource.of(assembled, blobs.open, name)
    tags = tags_of(session, session.workspace.graph.images[name])
    names = names_of(name, tags)
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
        _write_output(session, replace(output, dest=os.fspath(file)), target, made)
        with file.open("rb") as stream:
            shutil.copyfileobj(stream, stdout)
        stdout.flush()


def _write_files(session: Session, output: OutputSpec, target: str, dest: Path) -> None:
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

"""``--output``: images as layouts and archives, root filesystems as folders and tars, each where the user wants it."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from buildgraph.build.products import Product, names_of
from buildgraph.build.request import OutputSpec
from buildgraph.build.session import Session
from buildgraph.execute.waiting import Waiting
from buildgraph.graph.step import StepId
from buildgraph.image.archive import write_archive, write_oci_archive
from buildgraph.image.layout import write_layout
from buildgraph.image.output import reporting
from buildgraph.image.rootfs import Stack, write_local, write_tars
from buildgraph.image.source import ImageSource
from buildgraph.values import replace


def write_outputs(session: Session, found: Sequence[Product], targets: Sequence[str]) -> None:
    """Every output of every target."""
    images = {f"image:{product.target}": product for product in found}
    for output in session.request.outputs:
        for target in targets:
            name = target.partition(":")[2]
            with Waiting(session.observer, name, f"is written as {output.type}"):
                _write_output(session, output, target, images.get(target))


def _write_output(session: Session, output: OutputSpec, target: str, image: Product | None) -> None:
    """One target to one ``--output``; a step only as ``tar`` or ``local``: nobody else gets here."""
    kind, _, name = target.partition(":")
    if output.type == "store":
        return
    if output.dest == "-":
        _write_to_stdout(session, output, target, image)
        return
    dest = session.request.directory / output.dest.replace("{name}", name)
    if output.type in ("tar", "local"):
        _write_files(session, output, target, dest)
        return
    assert kind == "image", target
    if image is not None:
        _write_image(session, output, image, dest)


def _write_image(session: Session, output: OutputSpec, image: Product, dest: Path) -> None:
    blobs = session.blobs
    blobs.fetch(image.layers)
    content = image.content(blobs.open)
    names = names_of(image.target, image.tags)
    with reporting(dest):
        dest.parent.mkdir(parents=True, exist_ok=True)
        match output.type:
            case "oci":
                write_layout(dest, content, names)
            case "oci-archive":
                write_oci_archive(dest, [(content, names)])
            case _:
                source = ImageSource.of(image.image.assembled, blobs.open, image.target)
                write_archive(dest, [(source, names)], "docker")


def _write_to_stdout(
    session: Session, output: OutputSpec, target: str, image: Product | None
) -> None:
    """The file is made first, so that nothing is sent of one that cannot be."""
    stdout = session.request.stdout
    assert stdout is not None
    with TemporaryDirectory(dir=session.store.tmp) as folder:
        file = Path(folder) / "output"
        _write_output(session, replace(output, dest=os.fspath(file)), target, image)
        with file.open("rb") as stream:
            shutil.copyfileobj(stream, stdout)
        stdout.flush()


def _write_files(session: Session, output: OutputSpec, target: str, dest: Path) -> None:
    """For several platforms each in a folder of its own, such as ``linux_arm64``."""
    family = session.workspace.graph.families.get(target)
    if family is None:
        roots = {"": _root(session, target)}
    else:
        roots = {
            str(platform).replace("/", "_"): _root(session, member)
            for platform, member in family.members
        }
    with reporting(dest):
        dest.parent.mkdir(parents=True, exist_ok=True)
        if output.type == "tar":
            write_tars(dest, roots)
            return
        for folder, stack in roots.items():
            write_local(dest / folder, stack)


def _root(session: Session, target: str) -> Stack:
    kind, _, name = target.partition(":")
    stacks = session.stacks
    if kind == "image":
        layers = stacks.placed.place(session.workspace.graph.images[name].stack)
    else:
        layers = stacks.placed.own_layer(StepId(target))
    stacks.unpack(layers)
    return [(stacks.placed.tree(layer.tree), stacks.snapshot(layer)) for layer in layers]

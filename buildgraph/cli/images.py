"""Images, mostly of the local store: ``images``, ``inspect``, ``history``, ``tag``, ``rmi``, ``validate``."""

import click

from buildgraph.cli import complete, engine, out
from buildgraph.cli.command import command
from buildgraph.cli.plan import as_json
from buildgraph.cli.quantity import show_size
from buildgraph.cli.session import Session
from buildgraph.errors import ContentError

reference = click.argument("ref", metavar="REF", shell_complete=complete.images)


@command(
    "images",
    examples=(
        ("buildgraph images", "the images of the store"),
        ("buildgraph images --json", "the same for a program"),
    ),
)
@as_json
def images(session: Session, *, as_json: bool) -> None:
    """List the images of the store."""
    found = engine.list_images(session.home)
    if as_json:
        rows = [
            {"tag": i.tag, "digest": i.digest, "size": i.size, "created": i.created} for i in found
        ]
        out.document({"schema": 1, "images": rows})
        return
    out.table(
        ("tag", "digest", "size", "created"),
        [(i.tag, _short(i.digest), show_size(i.size), i.created) for i in found],
    )


def _short(digest: str) -> str:
    algorithm, _, digits = digest.partition(":")
    return f"{algorithm}:{digits[:12]}"


@command(
    "inspect",
    examples=(
        ("buildgraph inspect shop/api:latest", "manifest and config of an image"),
        ("buildgraph inspect docker://debian:12", "of one in a registry, without pulling it"),
    ),
)
@reference
def inspect(session: Session, ref: str) -> None:
    """Print an image's digest, manifest and config as JSON.

    REF is a tag or a digest of the store, or a place as copy takes it: docker://REF, oci:FOLDER[:TAG] and so on.
    """
    out.document(engine.inspect(session.home, ref))


@command(
    "history",
    examples=(("buildgraph history shop/api:latest", "what made each layer, newest first"),),
)
@reference
@as_json
def history(session: Session, *, ref: str, as_json: bool) -> None:
    """List the layers of an image with what made them, newest first. REF is what inspect takes."""
    layers = engine.history(session.home, ref)
    if as_json:
        rows = [{"created_by": h.created_by, "size": h.size, "diff_id": h.diff_id} for h in layers]
        out.document({"schema": 1, "history": rows})
        return
    out.table(
        ("layer", "size", "made by"),
        [
            (
                _short(h.diff_id) if h.diff_id else "-",
                show_size(h.size),
                " ".join(h.created_by.split()),
            )
            for h in layers
        ],
    )


@command(
    "tag",
    examples=(("buildgraph tag shop/api:latest shop/api:1.2", "give an image another name"),),
)
@click.argument("source", metavar="REF", shell_complete=complete.images)
@click.argument("name", metavar="NEW")
def tag(session: Session, source: str, name: str) -> None:
    """Give the image REF the name NEW as well."""
    engine.tag(session.home, source, name)


@command(
    "rmi",
    examples=(("buildgraph rmi shop/api:1.2", "forget a name; cache gc frees the space"),),
)
@click.argument("refs", metavar="REF...", nargs=-1, required=True, shell_complete=complete.images)
def rmi(session: Session, *, refs: tuple[str, ...]) -> None:
    """Remove names of images. Layers that nothing needs any more go with the next cache gc."""
    for ref in refs:
        engine.rmi(session.home, ref)


@command(
    "validate",
    examples=(
        ("buildgraph validate shop/api:latest", "an image of the store"),
        ("buildgraph validate out/", "an OCI layout folder"),
        ("buildgraph validate api.tar", "an archive"),
        ("buildgraph validate docker://debian:12", "what a registry has; nothing is kept"),
    ),
)
@click.argument("ref", metavar="REF|PATH", shell_complete=complete.images)
def validate(session: Session, ref: str) -> None:
    """Recompute every hash and size of an image. Exit code 1 if something is not what it says it is."""
    problems = engine.validate(session.home, ref)
    if problems:
        number = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        raise ContentError("invalid-image", f"{ref} has {number}", detail=problems)
    session.note(f"{ref} is valid")

"""Commands that move images between places: ``pull``, ``push``, ``copy``, ``save``, ``load``."""

import os
import sys
from pathlib import Path

import click

from buildgraph.cli import complete, engine, out, transfers
from buildgraph.cli.command import command
from buildgraph.cli.session import Session, stdout

_platform = click.option(
    "--platform", metavar="P", help="Of an image for several platforms only this one."
)


@command(
    "pull",
    examples=(
        ("buildgraph pull debian:bookworm-slim", "into the local store, with all its platforms"),
        ("buildgraph pull --platform linux/arm64 debian:bookworm-slim", "one platform alone"),
    ),
)
@click.argument("ref", metavar="REF")
@_platform
def pull(session: Session, *, ref: str, platform: str | None) -> None:
    """Bring an image from its registry into the local store. What is there already is not fetched again."""
    transfers.pull(session, ref, platform)


@command(
    "push",
    examples=(
        (
            "buildgraph push registry.example.com/shop/api:1.2",
            "an image of the store to where its name says",
        ),
        ("buildgraph push shop/api:latest registry.example.com/shop/api:1.2", "under another name"),
    ),
)
@click.argument("source", metavar="REF", shell_complete=complete.images)
@click.argument("target", metavar="[REF]", required=False)
def push(session: Session, *, source: str, target: str | None) -> None:
    """Send an image of the local store to a registry: only what the registry lacks, its tag last."""
    transfers.push(session, source, target)


@command(
    "copy",
    examples=(
        ("buildgraph copy docker://debian:12 oci:debian:12", "from a registry into an OCI layout"),
        (
            "buildgraph copy oci-archive:api.tar docker://localhost:5000/api:1",
            "an archive to a registry",
        ),
        ("buildgraph copy docker://a.example/x:1 docker://b.example/x:1", "between registries"),
    ),
)
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@_platform
def copy(session: Session, *, source: str, target: str, platform: str | None) -> None:
    """Copy an image from one place to another without changing a byte, with all its platforms.

    A place is docker://REF (a registry), oci:FOLDER[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF] or
    store:REF.
    """
    transfers.copy(session, source, target, platform)


@command(
    "rebase",
    examples=(
        ("buildgraph rebase shop/api:1 --onto debian:bookworm-slim", "onto what the tag names now"),
        (
            "buildgraph rebase registry.example.com/shop/api:1 --onto debian:13 -t registry.example.com/shop/api:2",
            "under another name",
        ),
    ),
)
@click.argument("image", metavar="REF", shell_complete=complete.images)
@click.option("--onto", metavar="REF", required=True, help="The new base.")
@click.option(
    "--from",
    "base",
    metavar="REF",
    default="",
    help="What it stands on, if it does not say so itself.",
)
@click.option("-t", "--tag", "name", metavar="REF", default="", help="What the result is called.")
@click.option(
    "--platform", metavar="P", default="", help="Of an image for several platforms this one."
)
def rebase(session: Session, *, image: str, onto: str, base: str, name: str, platform: str) -> None:
    """Put an image made of copies onto another base, without building or downloading anything.

    REF is an image of the store or else of its registry; the result replaces it there. An image that has layers of
    commands is refused: what they leave depends on their base.
    """
    asked = {"image": image, "onto": onto, "base": base, "name": name, "platform": platform}
    with session.watch() as watcher:
        done = engine.rebase(session.home, os.environ, watcher, asked)
    transfers.tell(session, done)


@command(
    "save",
    examples=(
        ("buildgraph save -o shop.tar shop/api:1 shop/web:1", "for docker load, podman load"),
    ),
)
@click.argument("refs", metavar="REF...", nargs=-1, required=True, shell_complete=complete.images)
@click.option(
    "-o",
    "--output",
    "archive",
    metavar="FILE",
    required=True,
    help="The archive to write; - is standard output.",
)
@_platform
def save(session: Session, *, refs: tuple[str, ...], archive: str, platform: str | None) -> None:
    """Write images of the local store into one archive."""
    file = stdout() if archive == "-" else Path(os.path.abspath(archive))
    engine.save(session.home, os.environ, file, refs, platform)


@command(
    "load",
    examples=(
        ("buildgraph load -i shop.tar", "what docker save, podman save or buildgraph wrote"),
    ),
)
@click.option(
    "-i",
    "--input",
    "archive",
    metavar="FILE",
    required=True,
    help="The archive to read; - is standard input.",
)
def load(session: Session, *, archive: str) -> None:
    """Bring all images of an archive into the local store."""
    file = sys.stdin.buffer if archive == "-" else Path(os.path.abspath(archive))
    for name in engine.load(session.home, os.environ, file):
        out.line(name)

"""``pull``, ``push`` and ``copy``, once it is clear what is asked; and what became of it, in a line."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from buildgraph.cli import engine, out
from buildgraph.cli.quantity import show_size
from buildgraph.cli.session import Session

if TYPE_CHECKING:
    from buildgraph.build.transfer import Transferred


def pull(session: Session, ref: str, platform: str | None = None) -> None:
    ref = ref.removeprefix("docker://")
    copy(session, f"docker://{ref}", f"store:{_without_digest(ref)}", platform)


def push(session: Session, source: str, target: str | None = None) -> None:
    name = (target or source).removeprefix("docker://")
    copy(session, f"store:{source.removeprefix('docker://')}", f"docker://{name}")


def copy(session: Session, source: str, target: str, platform: str | None = None) -> None:
    with session.watch() as watcher:
        done = engine.copy(
            session.home, os.environ, watcher, (source, target), Path.cwd(), platform
        )
    afar = any(place.startswith("docker:") for place in (source, target))
    tell(session, done, afar=afar)


def tell(session: Session, done: "Transferred", *, afar: bool = True) -> None:
    """``afar``: a registry took part, so what moved is worth a word."""
    for name in done.names:
        out.line(f"{name}@{done.digest}" if "@" not in name else name)
    moved = [
        f"{show_size(size)} {what}"
        for size, what in (
            (done.fetched, "fetched"),
            (done.uploaded, "uploaded"),
            (done.mounted, "mounted"),
        )
        if size
    ]
    if moved or afar:
        session.note(", ".join(moved) or "nothing had to move")


def _without_digest(ref: str) -> str:
    """What a pulled image is called: ``name:tag``; a digest alone stays a name of its own."""
    name, _, digest = ref.partition("@")
    tail = name.rpartition("/")[2]
    return name if not digest or ":" in tail else ref

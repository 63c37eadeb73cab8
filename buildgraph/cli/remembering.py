"""The answer to a build that left nothing to do: how it is kept for the next one, and what became of the last.

:mod:`buildgraph.cli.warm` draws it and repeats it.
"""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from buildgraph.cli import engine, warm
from buildgraph.cli.session import Session, Watcher
from buildgraph.fs import facts

if TYPE_CHECKING:
    from buildgraph.build.request import Pushed, Request, Summary
    from buildgraph.digest import Digest


def remember(session: Session, request: "Request", summary: "Summary", watcher: Watcher) -> None:
    """Keep a warm answer for exactly this command, where the build says what such an answer rests on."""
    file = session.plan_file
    if file is None or summary.facts is None or file.parent.parent != session.home:
        return
    from buildgraph.build.publish import iids

    summary.facts.variable("BUILDGRAPH_CACHE")
    sections = {
        "progress": session.progress.encode(),
        "color": session.color.encode(),
        **watcher.unchanged(),
    }
    if summary.kept:
        sections |= {"generation": _generation(session), "kept": _kept(summary.kept)}
    if request.metadata_file is not None:
        document = unchanged_metadata(summary.metadata)
        sections[f"file:{request.metadata_file}"] = document
    if request.iidfile is not None:
        sections[f"file:{request.iidfile}"] = iids(summary.images).encode()
    if summary.pushed is not None:
        sections |= _tags(summary.pushed)
    facts.save(os.fspath(file), summary.facts, warm.encode(sections))


def mend(session: Session, watcher: Watcher) -> None:
    """Tell which blobs the store has lost that the last answer to this command was about, and drop what is left of
    them: the build that comes now makes them again. What a collection took is not lost."""
    file = session.plan_file
    if file is None or file.parent.parent != session.home:
        return
    sections = warm.decode(facts.payload(file) or b"") or {}
    if "kept" in sections and sections.get("generation") == _generation(session):
        lost = [name for name in warm.lost(sections, os.fspath(session.home)) if ":" in name]
        if lost:
            engine.mend(session.home, lost, watcher)


def _generation(session: Session) -> bytes:
    try:
        return (session.home / "generation").read_bytes()
    except FileNotFoundError:
        return b""


def _kept(kept: "Mapping[Digest, int]") -> bytes:
    return "\n".join(f"{digest} {size}" for digest, size in kept.items()).encode()


def _tags(pushed: "Pushed") -> warm.Sections:
    ca = {"ca": os.fsencode(pushed.ca)} if pushed.ca else {}
    lines = (f"{name} {digest}" for name, digest in pushed.named)
    return {"tags": "\n".join(lines).encode(), **ca}


def unchanged_metadata(metadata: Mapping[str, object]) -> bytes:
    """The metadata of the same build with nothing left to do; ``@SECONDS@`` stands for its time."""
    steps = metadata.get("steps")
    counts = dict(steps) if isinstance(steps, dict) else {}
    done = sum(counts.get(name, 0) for name in ("executed", "reused", "cutoff"))
    quiet = dict.fromkeys(counts, 0) | {"reused": done}
    moved = metadata.get("bytes")
    document = {
        **metadata,
        "steps": quiet,
        "bytes": dict.fromkeys(moved, 0) if isinstance(moved, dict) else {},
        "seconds": "@SECONDS@",
    }
    text = json.dumps(document, indent=2).replace('"@SECONDS@"', "@SECONDS@")
    return text.encode() + b"\n"

"""What does the answer of a build rest on? The facts that let the next one repeat it, and the blobs it is about."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from buildgraph.build.products import Product
from buildgraph.build.session import Session
from buildgraph.digest import Digest
from buildgraph.fs.facts import Facts
from buildgraph.graph.step import CopyStep, DockerCopyStep, RemoteStep, RunStep, is_pinned


def facts_of(session: Session) -> Facts | None:
    """None where the next build must look at more than files."""
    if _asks(session) or _ages(session) or not session.workspace.repeatable:
        return None
    if session.shared is not None and session.shared.caches.troubled:
        return None
    facts = session.workspace.facts
    for marker in session.shared.markers() if session.shared is not None else ():
        with suppress(FileNotFoundError):
            facts.read(os.fsencode(marker))
    facts.include(session.context.facts())
    for one in session.contexts.facts():
        facts.include(one)
    generation = session.store.home / "generation"
    with suppress(FileNotFoundError):
        facts.read(os.fsencode(generation))
    return facts


def _asks(session: Session) -> bool:
    """Whether the same command line means more than to look."""
    request = session.request
    return bool(
        request.no_cache
        or request.rebuild
        or (request.docker and (request.docker.pull or request.docker.no_cache_filter))
        or request.secrets
        or any(output.type != "store" for output in request.outputs)
    )


def _ages(session: Session) -> bool:
    """Whether a step may run again although nothing changed, or rests on what is no fact."""
    steps = session.workspace.graph.steps.values()
    ages = any(isinstance(s, RunStep) and (s.reuse.never or s.reuse.max_age) for s in steps)
    ages = ages or any(isinstance(s, CopyStep | DockerCopyStep) and s.keep_time for s in steps)
    return ages or any(isinstance(s, RemoteStep) and not is_pinned(s) for s in steps)


def kept_of(session: Session, ready: Sequence[Product]) -> Mapping[Digest, int]:
    """The blobs of the images and the trees of layers, with their sizes. What is not here need not be: a registry or a
    remote cache has it."""
    blobs, layers = session.store.blobs, session.store.layers
    trees = {result.tree for result in session.stacks.placed.settled.values()}
    bases = {layer.diff_id for base in session.bases.layers.values() for layer in base}
    trees |= {known.tree for diff_id in bases if (known := layers.facts(diff_id))}
    sizes = {tree: size for tree in trees if (size := blobs.size(tree)) is not None}
    for product in ready:
        sizes[product.root.digest] = product.root.size
        for image in (part.assembled for part in product.parts):
            parts = (image.descriptor, image.manifest.config, *image.manifest.layers)
            sizes |= {part.digest: part.size for part in parts}
    here = blobs.has_all(sizes)
    return {digest: size for digest, size in sizes.items() if digest in here}

"""The floor below as the commands see it: every question that they ask, loaded when it is asked.

One place, so that a command's tests can put something else in its stead, and so that a command imports nothing of
the builder before it has understood its arguments.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

if TYPE_CHECKING:
    from buildgraph.build.access import Kept
    from buildgraph.build.dockercall import Call, Called
    from buildgraph.build.dockerconvert import Rewritten
    from buildgraph.build.exchange import Exchanged
    from buildgraph.build.images import ImageEntry
    from buildgraph.build.looking import HistoryEntry
    from buildgraph.build.request import DockerRequest, Request, Summary
    from buildgraph.build.store import Collected, Finding, RecordEntry, Verified
    from buildgraph.build.survey import GraphView, Target
    from buildgraph.build.transfer import Transferred
    from buildgraph.events import Observer
    from buildgraph.spec.cacheurl import CacheURL

Question = Literal["deps", "rdeps", "path"]


def build(request: "Request", observer: "Observer") -> "Summary":
    from buildgraph.build.build import build as build_targets

    return build_targets(request, observer)


def call(request: "Request", docker: "DockerRequest", name: "Call", *, as_json: bool) -> "Called":
    """What ``--call`` asks of a Dockerfile."""
    from buildgraph.build.dockercall import call as ask

    return ask(request, docker, name, as_json=as_json)


def rewrite(request: "Request", docker: "DockerRequest", file: Path | None) -> "Rewritten":
    """The Dockerfile as a Buildfile; ``file`` is where it is to be, if that was said."""
    from buildgraph.build.dockerconvert import rewrite as write

    return write(request, docker, file)


def plan(request: "Request", observer: "Observer") -> Mapping[str, Any]:
    """The document of ``plan --json``."""
    from buildgraph.build.survey import plan as survey

    return survey(request, observer)


def why(
    request: "Request", name: str, against: str | None, observer: "Observer"
) -> Mapping[str, Any]:
    """The document of ``why --json``."""
    from buildgraph.build.survey import why as survey

    return survey(request, name, against, observer)


def graph(request: "Request", observer: "Observer") -> "GraphView":
    """Nodes in an order in which they can be built; edges lead from what is needed to what needs it."""
    from buildgraph.build.survey import graph as survey

    return survey(request, observer)


def query(
    request: "Request", question: Question, names: Sequence[str], *, direct: bool
) -> tuple[str, ...]:
    from buildgraph.build.survey import query as survey

    return survey(request, question, tuple(names), direct=direct)


def list_targets(request: "Request") -> "Sequence[Target]":
    from buildgraph.build.survey import list_targets as survey

    return survey(request)


def check(request: "Request") -> Sequence[str]:
    """Warnings; every mistake is raised."""
    from buildgraph.build.checking import check as look

    return look(request)


def lock(
    request: "Request", names: Sequence[str] | None, observer: "Observer", *, update: bool
) -> Sequence[str]:
    """What changed, one line each; ``names`` None means all."""
    from buildgraph.build.survey import lock as write

    return write(request, names, update=update, observer=observer)


def list_images(home: Path) -> "Sequence[ImageEntry]":
    from buildgraph.build import images

    return images.list_images(home)


def inspect(home: Path, ref: str) -> Mapping[str, Any]:
    from buildgraph.build import looking

    return looking.inspect(home, ref, os.environ)


def history(home: Path, ref: str) -> "Sequence[HistoryEntry]":
    """Newest first."""
    from buildgraph.build import looking

    return looking.history(home, ref, os.environ)


def tag(home: Path, source: str, name: str) -> None:
    from buildgraph.build import images

    images.tag(home, source, name)


def rmi(home: Path, ref: str) -> None:
    from buildgraph.build import images

    images.rmi(home, ref)


def validate(home: Path, ref: str) -> Sequence[str]:
    """Problems, none for a valid image; ``ref`` is a name or digest in the store, a place, or a path."""
    from buildgraph.build import looking

    return looking.validate(home, ref, os.environ)


def copy(
    home: Path,
    environ: Mapping[str, str],
    observer: "Observer",
    places: tuple[str, str],
    directory: Path,
    platform: str | None,
) -> "Transferred":
    """From the first place to the second."""
    from buildgraph.build import transfer

    return transfer.copy(home, environ, observer, places, directory, platform)


def rebase(
    home: Path, environ: Mapping[str, str], observer: "Observer", asked: Mapping[str, str]
) -> "Transferred":
    """``asked``: image, onto, base, name, platform."""
    from buildgraph.build.rebase import Rebasing, rebase_image

    return rebase_image(home, environ, observer, Rebasing(**asked))


def save(
    home: Path,
    environ: Mapping[str, str],
    file: Path | BinaryIO,
    refs: Sequence[str],
    platform: str | None,
) -> None:
    from buildgraph.build import transfer

    transfer.save(home, environ, file, refs, platform)


def load(home: Path, environ: Mapping[str, str], file: Path | BinaryIO) -> Sequence[str]:
    """The names of what was loaded."""
    from buildgraph.build import transfer

    return transfer.load(home, environ, file)


def login(environ: Mapping[str, str], host: str, username: str, password: str) -> "Kept":
    """Asks the registry first. Raises RemoteError where it refuses, MachineError where nothing can be kept."""
    from buildgraph.build import access

    return access.login(environ, host, username, password)


def logout(environ: Mapping[str, str], host: str) -> bool:
    """Was there a credential to forget?"""
    from buildgraph.build import access

    return access.logout(environ, host)


def registry_host(text: str) -> str:
    """Raises UsageError ``bad-registry``."""
    from buildgraph.build import access

    return access.registry_host(text)


def cache_info(home: Path) -> Mapping[str, str | int]:
    from buildgraph.build import store

    return store.cache_info(home)


def cache_ls(home: Path) -> "Sequence[RecordEntry]":
    from buildgraph.build import store

    return store.cache_ls(home)


def cache_verify(home: Path) -> "Verified":
    from buildgraph.build import store

    return store.cache_verify(home)


def cache_gc(
    home: Path, *, max_size: int | None, max_age: int | None, dry_run: bool
) -> "Collected":
    from buildgraph.build import store

    return store.cache_gc(home, max_size=max_size, max_age=max_age, dry_run=dry_run)


def cache_export(
    home: Path, url: "CacheURL", environ: Mapping[str, str], observer: "Observer"
) -> "Exchanged":
    from buildgraph.build import exchange

    return exchange.export_cache(home, url, environ, observer)


def cache_import(
    home: Path, url: "CacheURL", environ: Mapping[str, str], observer: "Observer"
) -> "Exchanged":
    from buildgraph.build import exchange

    return exchange.import_cache(home, url, environ, observer)


def mend(home: Path, lost: Sequence[str], observer: "Observer") -> None:
    """Blobs that are gone or of the wrong size are told, and dropped."""
    from buildgraph.build import store

    store.mend(home, lost, observer)


def doctor(home: Path) -> "Sequence[Finding]":
    from buildgraph.build import store

    return store.doctor(home)

"""``--cache`` and docker's ``--cache-from`` and ``--cache-to``: what they say, as URLs of remote caches."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from buildgraph.cli.quantity import parse_fields
from buildgraph.errors import UsageError

if TYPE_CHECKING:
    from buildgraph.spec.cacheurl import CacheURL

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--cache",
        {
            "metavar": "URL",
            "multiple": True,
            "help": "Share results of steps with other machines: registry://HOST/REPOSITORY or file://FOLDER; "
            "?mode=read behind it writes nothing. Instead of BUILDGRAPH_CACHE and the Buildfile's list.",
        },
    ),
    ("--no-remote-cache", {"is_flag": True, "help": "Use no remote cache, whoever names one."}),
    (
        "--cache-from",
        {
            "metavar": "type=T,…",
            "multiple": True,
            "help": "As docker: read the cache type=registry,ref=REF, type=local,src=FOLDER, or REF alone.",
        },
    ),
    (
        "--cache-to",
        {
            "metavar": "type=T,…",
            "multiple": True,
            "help": "As docker: write the cache type=registry,ref=REF, type=local,dest=FOLDER or type=inline; mode=max "
            "for all steps instead of those whose layers are in the image.",
        },
    ),
)

_LOOKING: dict[str, dict[str, Any]] = {
    "--cache": {
        "help": "Look into this remote cache, too: registry://HOST/REPOSITORY or file://FOLDER. Instead of "
        "BUILDGRAPH_CACHE and the Buildfile's list."
    },
}

_FROM = {
    "registry": ("ref", "insecure"),
    "local": ("src", "tag"),
}
_TO = {
    "registry": ("ref", "insecure", "mode", "ignore-error", "image-manifest", "oci-mediatypes"),
    "local": ("dest", "tag", "mode", "ignore-error", "image-manifest", "oci-mediatypes"),
    "inline": ("ignore-error",),
}
_LATER = ("gha", "s3", "azblob", "gcs")
_FLAGS = ("insecure", "ignore-error", "image-manifest", "oci-mediatypes")


def options(function: F) -> F:
    """They arrive as keywords; :func:`caches_of` reads them."""
    for name, extra in reversed(_OPTIONS):
        function = click.option(name, **extra)(function)
    return function


def reading_options(function: F) -> F:
    """For commands that only look: what ``build`` takes; that they write nothing goes without saying."""
    for name, extra in reversed(_OPTIONS):
        hidden = name == "--cache-to"
        function = click.option(name, hidden=hidden, **{**extra, **_LOOKING.get(name, {})})(
            function
        )
    return function


def caches_of(given: dict[str, Any], directory: str) -> "tuple[CacheURL, ...] | None":
    """Takes its own out of ``given``. None where nothing was said; folders are taken from ``directory``."""
    none = given.pop("no_remote_cache")
    urls: Sequence[str] = given.pop("cache")
    sources: Sequence[str] = given.pop("cache_from")
    targets: Sequence[str] = given.pop("cache_to")
    if none:
        return ()
    if not (urls or sources or targets):
        return None
    from buildgraph.spec.cacheurl import parse

    found = [*map(parse, urls), *map(_source, sources), *map(_target, targets)]
    return tuple(_merged(url.below(directory) for url in found))


def _merged(urls: "Iterator[CacheURL]") -> "Iterator[CacheURL]":
    """One cache that is named for reading and for writing is one."""
    from buildgraph.values import replace

    found: dict[tuple[str, str], CacheURL] = {}
    for url in urls:
        place = (url.scheme, url.place)
        before = found.get(place)
        if before is None:
            found[place] = url
            continue
        writer = url if url.write else before
        found[place] = replace(writer, read=url.read or before.read)
    yield from found.values()


def _source(text: str) -> "CacheURL":
    from buildgraph.spec.cacheurl import CacheURL, repository

    if "=" not in text:
        return CacheURL("registry", repository(text), write=False)
    kind, fields = _fields("--cache-from", text, _FROM)
    if kind == "registry":
        return CacheURL(
            "registry", repository(_needed("--cache-from", text, fields, "ref")), write=False
        )
    return CacheURL("file", _needed("--cache-from", text, fields, "src"), write=False)


def _target(text: str) -> "CacheURL":
    from buildgraph.spec.cacheurl import CacheURL, Steps, repository

    option = "--cache-to"
    if "=" not in text:
        text = f"type=registry,ref={text}"
    kind, fields = _fields(option, text, _TO)
    mode = fields.get("mode", "min")
    if mode not in ("min", "max"):
        raise _bad(option, text, f"the mode is {mode!r}", "write mode=min or mode=max")
    steps: Steps = "all" if mode == "max" else "images"
    strict = fields.get("ignore-error") == "false"
    if kind == "inline":
        return CacheURL("inline", "", read=False, steps="images", strict=strict)
    if kind == "registry":
        place = repository(_needed(option, text, fields, "ref"))
        return CacheURL("registry", place, read=False, steps=steps, strict=strict)
    place = _needed(option, text, fields, "dest")
    return CacheURL("file", place, read=False, steps=steps, strict=strict)


def _fields(
    option: str, text: str, known: Mapping[str, tuple[str, ...]]
) -> tuple[str, Mapping[str, str]]:
    kind = next((p[5:] for p in text.split(",") if p.startswith("type=")), "")
    if kind in _LATER:
        raise UsageError(
            "unsupported",
            f"{option} type={kind} is not supported yet",
            hint=f"the types are {', '.join(known)}",
        )
    if kind not in known:
        raise _bad(option, text, f"there is no type {kind!r}", f"the types are {', '.join(known)}")
    fields = parse_fields(option, text, ("type", *known[kind]))
    for name in _FLAGS:
        if fields.get(name, "true") not in ("true", "false"):
            raise _bad(option, text, f"{name} is {fields[name]!r}", "write true or false")
    return kind, fields


def _needed(option: str, text: str, fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name, "")
    if not value:
        raise _bad(option, text, f"it has no {name}", f"write it as {option} type=…,{name}=…")
    return os.path.expanduser(value) if name in ("src", "dest") else value


def _bad(option: str, text: str, why: str, hint: str) -> UsageError:
    return UsageError("bad-option-value", f"{option} {text!r}: {why}", hint=hint)

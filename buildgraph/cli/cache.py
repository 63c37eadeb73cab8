"""``cache``: what the store holds, whether it is sound, and how to make it smaller."""

import os
from typing import TYPE_CHECKING

import click

from buildgraph.cli import engine, options, out
from buildgraph.cli.command import Group, command
from buildgraph.cli.plan import as_json
from buildgraph.cli.quantity import parse_age, parse_size, show_seconds, show_size
from buildgraph.cli.session import Session
from buildgraph.errors import DifferenceError

if TYPE_CHECKING:
    from buildgraph.build.exchange import Exchanged
    from buildgraph.spec.cacheurl import CacheURL

cache = Group(
    "cache",
    help="Look after the store of built layers.",
    examples=(
        ("buildgraph cache info", "how big it is"),
        ("buildgraph cache gc --max-size 20GB", "make it smaller"),
        ("buildgraph cache verify", "recompute everything that it holds"),
        ("buildgraph cache export /mnt/cache", "give all results to other machines"),
    ),
)


@command("info", examples=(("buildgraph cache info", "where the store is and how big"),))
@as_json
def info(session: Session, *, as_json: bool) -> None:
    """Say where the store is and what it holds."""
    facts = engine.cache_info(session.home)
    if as_json:
        out.document({"schema": 1, **facts})
        return
    out.line(f"{facts['home']}: {show_size(int(facts['total_bytes']))}")
    parts = [name for name in facts if f"{name}_bytes" in facts]
    rows = [(name, str(facts[name]), show_size(int(facts[f"{name}_bytes"]))) for name in parts]
    out.table(("part", "number", "size"), [("images", str(facts["images"]), ""), *rows])
    if garbage := int(facts["garbage_bytes"]):
        out.line(f"{show_size(garbage)} are of no use: free them with buildgraph cache gc")


@command("ls", examples=(("buildgraph cache ls", "the recorded results"),))
@as_json
def ls(session: Session, *, as_json: bool) -> None:
    """List the recorded results of steps, the biggest first."""
    rows = engine.cache_ls(session.home)
    if as_json:
        out.document({"schema": 1, "records": [row.document() for row in rows]})
        return
    of_several = len({row.workspace for row in rows if row.workspace}) > 1
    heading = ("record", "step", "size", "took", "used", "workspace")
    cells = [
        (r.key[:12], r.step, show_size(r.size), show_seconds(r.seconds), r.made, r.workspace)
        for r in rows
    ]
    shown = len(heading) if of_several else len(heading) - 1
    out.table(heading[:shown], [cell[:shown] for cell in cells])


@command("verify", examples=(("buildgraph cache verify", "find what is damaged"),))
@as_json
def verify(session: Session, *, as_json: bool) -> None:
    """Recompute everything that the store holds. What is damaged is named and dropped, and the next build makes it
    again. Exit code 5 if there was any."""
    found = engine.cache_verify(session.home)
    if as_json:
        out.document({"schema": 1, "checked": found.checked, "damaged": list(found.damaged)})
    if found.damaged:
        number = f"{len(found.damaged)} of {found.checked} parts"
        raise DifferenceError(
            "store-damaged",
            f"{number} of the store are damaged"
            + (" and have been dropped" if found.dropped else "; it takes no writes, so they stay"),
            detail=found.damaged,
            hint="build again to make them anew"
            if found.dropped
            else "run cache verify where the store can be written",
        )
    session.note(f"{found.checked} parts of the store are sound")


@command(
    "gc",
    examples=(
        ("buildgraph cache gc --max-size 20GB", "keep what is dearest to rebuild"),
        ("buildgraph cache gc --max-age 30d --dry-run", "what would go?"),
    ),
)
@click.option("--max-size", metavar="SIZE", help="The store may be so big, for example 20GB.")
@click.option("--max-age", metavar="AGE", help="Drop what was not used for so long: 30d.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--explain", is_flag=True, help="Say for each part why it goes or stays.")
@options.refused("--remote", takes_value=True)
@as_json
def gc(
    session: Session,
    *,
    max_size: str | None,
    max_age: str | None,
    dry_run: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Free space. Images with a name and running builds lose nothing."""
    found = engine.cache_gc(
        session.home,
        max_size=parse_size(max_size) if max_size else None,
        max_age=parse_age(max_age) if max_age else None,
        dry_run=dry_run,
    )
    if as_json:
        document: dict[str, object] = {
            "schema": 1,
            "freed": found.freed,
            "kept": found.kept,
            "excess": found.excess,
            "gone": [each.document() for each in found.gone],
        }
        if explain:
            document["stays"] = [each.document() for each in found.stays]
        out.document(document)
        return
    told = [(g, g.reason) for g in found.gone] if explain or dry_run else []
    told += [(g, f"stays: {g.reason}") for g in found.stays] if explain else []
    out.table(("size", "what", "why"), [(show_size(g.size), g.name, why) for g, why in told])
    verb = "would free" if dry_run else "freed"
    if found.excess:
        session.note(f"{show_size(found.excess)} above --max-size stay: they are in use")
    session.note(f"{verb} {show_size(found.freed)}, {show_size(found.kept)} left")


_cache = click.argument("cache_", metavar="URL|FOLDER")


@command(
    "export",
    examples=(
        ("buildgraph cache export /mnt/usb/cache", "into a folder"),
        ("buildgraph cache export registry://registry.example.com/shop/cache", "into a registry"),
    ),
)
@_cache
def export(session: Session, *, cache_: str) -> None:
    """Copy all recorded results of steps into a remote cache, for builds on other machines."""
    with session.watch() as watcher:
        found = engine.cache_export(session.home, _url(session, cache_), os.environ, watcher)
    _tell(session, found, "written")


@command("import", examples=(("buildgraph cache import /mnt/usb/cache", "what another exported"),))
@_cache
def import_(session: Session, *, cache_: str) -> None:
    """Copy all results of steps out of a remote cache, with the bytes of their layers."""
    with session.watch() as watcher:
        found = engine.cache_import(session.home, _url(session, cache_), os.environ, watcher)
    _tell(session, found, "read")


def _url(session: Session, text: str) -> "CacheURL":
    from buildgraph.spec.cacheurl import parse

    return parse(text if "://" in text else f"file://{text}").below(os.fspath(session.directory))


def _tell(session: Session, found: "Exchanged", verb: str) -> None:
    failed = f", {found.failed} failed" if found.failed else ""
    session.note(f"{found.moved} records {verb}, {found.there} were there{failed}")
    if found.failed:
        raise click.exceptions.Exit(4)


for _each in (info, ls, verify, gc, export, import_):
    cache.add_command(_each)

"""Which file is meant? ``Buildfile.toml`` of the current folder, or of the nearest parent that has one."""

from pathlib import Path

from buildgraph.errors import UsageError

NAME = "Buildfile.toml"


def find(start: Path, file: Path | None = None) -> Path:
    """``file`` (relative to ``start``) wins. Raises :class:`UsageError` with code ``no-buildfile``."""
    if file is not None:
        chosen = start / file
        if chosen.is_dir():
            chosen /= NAME
        if not chosen.is_file():
            raise UsageError("no-buildfile", f"there is no file {str(chosen)!r}")
        return chosen
    for folder in candidates(start):
        if folder.is_file():
            return folder
    raise UsageError(
        "no-buildfile",
        f"neither {str(start)!r} nor a folder above it has a {NAME}",
        hint="make one with: buildgraph init",
    )


def candidates(start: Path) -> tuple[Path, ...]:
    """Where a Buildfile is looked for, nearest first; the answer holds while the absent ones stay absent."""
    return tuple(folder / NAME for folder in (start, *start.parents))

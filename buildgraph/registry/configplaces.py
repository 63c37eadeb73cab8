"""Where are the files with what belongs to a machine or a person? Imports next to nothing: every build asks."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Places(NamedTuple):
    """``files`` in their order, later ones win. One that is ``named`` must be there, and stands alone."""

    files: tuple[Path, ...]
    named: bool = False

    @property
    def any(self) -> bool:
        """Whether there is anything to read, or to complain about."""
        return self.named or any(map(os.path.exists, self.files))


def places(environ: Mapping[str, str], system: Path = Path("/etc")) -> Places:
    named = environ.get("BUILDGRAPH_CONFIG", "")
    if named:
        return Places((Path(named),), named=True)
    home = config_home(environ)
    own = (home / "buildgraph" / "config.toml",) if home else ()
    return Places((system / "buildgraph" / "config.toml", *own))


def config_home(environ: Mapping[str, str]) -> Path | None:
    """``$XDG_CONFIG_HOME``, or where it is by default; None without a home."""
    named = environ.get("XDG_CONFIG_HOME", "")
    if named.startswith("/"):  # the XDG specification: relative paths are to be ignored
        return Path(named)
    home = environ.get("HOME", "")
    return Path(home, ".config") if home else None

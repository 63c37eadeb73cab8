"""Whose certificates does a build trust? The workspace says, else the machine."""

from collections.abc import Mapping
from pathlib import Path

from buildgraph.errors import Location, blaming
from buildgraph.registry.configplaces import places
from buildgraph.spec import model as m
from buildgraph.values import replace


def with_authority(workspace: m.Workspace, environ: Mapping[str, str]) -> m.Workspace:
    """``ca`` is that of config.toml where the workspace has none. Raises UsageError (``bad-config``)."""
    where = places(environ)
    if workspace.ca or not where.any:
        return workspace
    from buildgraph.registry.configfile import load_tables

    return replace(workspace, ca=load_tables(where).ca)


def check_authority(workspace: m.Workspace, root: Path) -> None:
    """Raises UsageError ``ca-unreadable``."""
    file = authority_file(workspace, root)
    if file is not None:
        from buildgraph.execute.authority import bundle

        with blaming(workspace.ca_where or Location(str(file))):
            bundle(file)


def authority_file(workspace: m.Workspace, root: Path) -> Path | None:
    """The bundle that is trusted besides the system's."""
    return root / workspace.ca if workspace.ca not in ("", "host") else None

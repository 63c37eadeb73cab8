"""What killed processes left behind: temporary files, leases, locks of flights, the trash.

Safe beside any number of running builds: a session's folder goes only when nobody holds its lease, a lock only when
nobody holds it. Where nothing was left, this reads three folders.
"""

import os
from contextlib import suppress
from pathlib import Path

from buildgraph.store.lease import abandoned, not_collecting
from buildgraph.store.trash import Trash


def clean(home: Path, trash: Trash) -> bool:
    """True when nothing is left over; False where files of other ids need the user namespace that made them."""
    done = True
    leases = home / "leases"
    for name in _names(home / "tmp"):
        with abandoned(leases / f"{name}.lease") as dead:
            if dead:
                done &= trash.remove(home / "tmp" / name)
    with not_collecting(leases) as free:
        gone = (".lease", ".flight") if free else (".flight",)
        for name in _names(leases):
            if name.endswith(gone):
                with abandoned(leases / name) as dead, suppress(FileNotFoundError):
                    if dead:
                        os.unlink(leases / name)
    return trash.empty() and done


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return [entry.name for entry in entries]
    return []

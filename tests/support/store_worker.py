"""What the store's integration tests run in processes of their own: ``python -m support.store_worker WHAT HOME …``.

``build`` prints one line per step that it really made. ``killed`` does the same work and kills itself at a given line
of the store's own code, counted over the whole run. ``torn`` is a collection that dies when it has renamed away what
another tagged meanwhile.
"""

import os
import signal
import sys
from pathlib import Path

from support.stores import check_by_file, image, make

from buildgraph.digest import ActionKey, StepKey
from buildgraph.store.gc import _Sweep, collect
from buildgraph.store.local import LocalStore
from buildgraph.store.verify import verify

STEPS = ("base", "tools", "api", "web")


def build(home: Path, rounds: int = 1) -> None:
    """The protocol of a builder: look up, fly alone, look up again, make, record, alias, tag."""
    for turn in range(rounds):
        with LocalStore.open(home) as store:
            layers = [step(store, f"{name}{turn}") for name in STEPS]
            store.records.remember("ws/step", {"decision": "execute", "turn": turn}, seconds=1.0)
            store.images.tag("shop/api:dev", image(store, *layers))


def step(store: LocalStore, name: str):
    key = ActionKey(f"a-{name}")
    found = known(store, key)
    if found is None:
        with store.single_flight(key):
            found = known(store, key)
            if found is None:
                made = make(store, name)
                print("made", name, flush=True)
                return made
    store.records.alias({StepKey(f"s-{name}"): key})
    return found


def known(store: LocalStore, key: ActionKey):
    """A result counts only with its bytes."""
    from support.stores import CODEC, Made

    result = store.records.by_action(key)
    if result is None or result.diff_id is None:
        return None
    form = store.layers.compressed(result.diff_id, CODEC)
    path = store.snapshot(f"sha256-{result.diff_id.hex}")
    return Made(result, result.diff_id, form, path) if form and path else None


def gc(home: Path, times: int = 1) -> None:
    for _ in range(times):
        with LocalStore.open(home) as store:
            collect(store, max_size=0)


def check(home: Path, times: int = 1) -> None:
    for _ in range(times):
        with LocalStore.open(home) as store:
            for finding in verify(store, check_by_file).findings:
                print("found", *finding, flush=True)


def killed(what: str, home: Path, at: int) -> None:
    """Run ``what``; at the ``at``-th line executed in buildgraph/store, die. Prints the count when it ends first."""
    count = 0

    def trace(frame, event, _arg):
        nonlocal count
        if "/buildgraph/store/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    WHAT[what](home)
    sys.settrace(None)
    print("lines", count, flush=True)


def torn(home: Path) -> None:
    with LocalStore.open(home) as store:
        manifest = store.images.resolve("shop/api:dev")
        store.images.untag(["shop/api:dev"])
    real = _Sweep._throw

    def tag_throw_die(self, batch, thrown):
        with LocalStore.open(home) as other:
            other.images.tag("shop/api:dev", manifest)
        real(self, batch, thrown)
        os.kill(os.getpid(), signal.SIGKILL)

    _Sweep._throw = tag_throw_die
    gc(home)


WHAT = {"torn": torn, "build": build, "gc": gc, "check": check}

if __name__ == "__main__":
    _, what, folder, *rest = sys.argv
    if what == "killed":
        killed(rest[0], Path(folder), int(rest[1]))
    else:
        WHAT[what](Path(folder), *(int(number) for number in rest))

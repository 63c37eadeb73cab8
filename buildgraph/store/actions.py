"""What steps yielded, why they ran and how long they took: the local ``ActionCache``.

Keys in the record index, with their values::

    action:ACTIONKEY    an ActionResult as JSON
    step:STEPKEY        the ACTIONKEY (text) whose result the step has
    document:KEY        the key document's bytes
    use:ACTIONKEY       {"count": reuses, "last": seconds since 1970}
    history:STEP        {"entries": [newest first], "last": second of the newest, "seconds": last duration or null}
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from buildgraph.digest import ActionKey, Digest, StepKey
from buildgraph.errors import ContentError
from buildgraph.store.base import ActionResult
from buildgraph.store.blobs import LocalBlobs

if TYPE_CHECKING:
    from buildgraph.store.disk import Value
    from buildgraph.store.index import Index

Entry = Mapping[str, "Value"]
"""One decision about a step, as the planner describes it."""

_KEPT_ENTRIES: Final = 5
_USE_GRAIN: Final = 3600
"""Reuse is counted at most once an hour and record: a warm build must not write a row per step."""


class LocalRecords:
    """``index`` opens the record index when first called. ``clock`` says the seconds since 1970."""

    def __init__(
        self,
        index: Callable[[], "Index"],
        blobs: LocalBlobs,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._index = index
        self._blobs = blobs
        self._clock = clock
        self._used: set[ActionKey] = set()

    def by_step(self, keys: Iterable[StepKey]) -> Mapping[StepKey, ActionResult]:
        index = self._index()
        found: dict[StepKey, ActionResult] = {}
        for key in keys:
            action = index.get(f"step:{key}")
            if isinstance(action, str):
                result = self._result(ActionKey(action))
                if result is not None:
                    found[key] = result
        alive = self._blobs.has_all({result.tree for result in found.values()})
        hits = {key: result for key, result in found.items() if result.tree in alive}
        self._note(result.action for result in hits.values())
        return hits

    def by_action(self, key: ActionKey) -> ActionResult | None:
        result = self._alive(key)
        if result is not None:
            self._note([key])
        return result

    def put_if_absent(self, key: ActionKey, result: ActionResult) -> ActionResult:
        with self._index().transaction():
            winner = self._alive(key)
            if winner is None:
                self.replace(key, result)
        return winner or result

    def replace(self, key: ActionKey, result: ActionResult) -> None:
        self._index().set(f"action:{key}", encode_result(result))

    def alias(self, aliases: Mapping[StepKey, ActionKey]) -> None:
        index = self._index()
        fresh = {
            step: action for step, action in aliases.items() if index.get(f"step:{step}") != action
        }
        if fresh:
            with index.transaction():
                for step, action in fresh.items():
                    index.set(f"step:{step}", action)

    def forget(self, key: ActionKey) -> None:
        self._index().delete(f"action:{key}")

    def document(self, key: str) -> bytes | None:
        found = self._index().get(f"document:{key}")
        return found if isinstance(found, bytes) else None

    def put_document(self, key: str, content: bytes) -> None:
        if self.document(key) != content:
            self._index().set(f"document:{key}", content)

    def remember(self, step: str, entry: Entry, seconds: float | None = None) -> None:
        """Keep a decision about ``step``; gc keeps the documents that any text in ``entry`` names by their key.

        ``step`` is the caller's name for it, one that no other workspace has. ``seconds`` is how long it took, None
        when it did not run.
        """
        past, before = self._past(step)
        entries: list[Value] = [dict(past_entry) for past_entry in (entry, *past)]
        took = before if seconds is None else round(seconds, 3)
        self._index().set(
            f"history:{step}",
            {"entries": entries[:_KEPT_ENTRIES], "last": int(self._clock()), "seconds": took},
        )

    def history(self, step: str) -> tuple[Entry, ...]:
        """The last decisions about ``step``, newest first."""
        return self._past(step)[0]

    def last(self, step: str) -> Entry | None:
        return next(iter(self.history(step)), None)

    def durations(self, steps: Iterable[str]) -> Mapping[str, float]:
        """Seconds that each step took when it last ran; steps that never ran are absent."""
        known = ((step, self._past(step)[1]) for step in steps)
        return {step: seconds for step, seconds in known if seconds is not None}

    def batch(self) -> AbstractContextManager[None]:
        """Everything written inside becomes visible together, and costs one transaction."""
        return self._index().transaction()

    def drop(self, keys: Iterable[str]) -> None:
        """Delete records by their whole key in the index, all at once."""
        doomed = tuple(keys)
        if doomed:
            index = self._index()
            with index.transaction():
                for key in doomed:
                    index.delete(key)

    def flush(self) -> None:
        """Write down which results were reused; at the end of a session."""
        used, self._used = self._used, set()
        now = int(self._clock())
        index = self._index() if used else None
        if index is None:
            return
        fresh: list[tuple[str, Value]] = []
        for key in used:
            last, count = use_of(index.get(f"use:{key}"))
            if not 0 <= now - last < _USE_GRAIN:
                fresh.append((f"use:{key}", {"count": count + 1, "last": now}))
        if fresh:
            with index.transaction():
                for name, value in fresh:
                    index.set(name, value)

    def _note(self, keys: Iterable[ActionKey]) -> None:
        self._used.update(keys)

    def _result(self, key: ActionKey) -> ActionResult | None:
        return decode_result(self._index().get(f"action:{key}"))

    def _alive(self, key: ActionKey) -> ActionResult | None:
        result = self._result(key)
        return result if result is not None and self._blobs.has(result.tree) else None

    def _past(self, step: str) -> tuple[tuple[Entry, ...], float | None]:
        match self._index().get(f"history:{step}"):
            case {"entries": list(entries), "seconds": seconds}:
                took = float(seconds) if isinstance(seconds, int | float) else None
                return tuple(entry for entry in entries if isinstance(entry, dict)), took
            case _:
                return (), None


def encode_result(result: ActionResult) -> "Value":
    return {
        "kind": result.kind,
        "action": result.action,
        "identities": list(result.identities),
        "tree": result.tree,
        "diff_id": result.diff_id,
        "size": result.size,
        "seconds": result.seconds,
        "made": result.made,
    }


def decode_result(value: "Value") -> ActionResult | None:
    """None for what is no result, or not one of this version."""
    try:
        match value:
            case {
                "kind": str(kind),
                "action": str(action),
                "identities": list(identities),
                "tree": tree,
                "diff_id": diff_id,
                "size": int(size),
                "seconds": float() | int() as seconds,
                "made": int(made),
            } if all(isinstance(identity, str) for identity in identities):
                return ActionResult(
                    kind,
                    ActionKey(action),
                    tuple(str(identity) for identity in identities),
                    Digest.parse(tree),
                    None if diff_id is None else Digest.parse(diff_id),
                    size,
                    float(seconds),
                    made,
                )
            case _:
                return None
    except ContentError:
        return None


def use_of(value: "Value") -> tuple[int, int]:
    """(last, count) of a ``use:`` record."""
    match value:
        case {"count": int(count), "last": int(last)}:
            return last, count
        case _:
            return 0, 0

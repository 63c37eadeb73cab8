"""A table that waited for the config of its stack, read again: every string filled in, every rule applied.

Nothing but such strings was left open by the first reading, so whatever is wrong now is wrong because of them.
"""

from collections.abc import Mapping
from typing import Any

from buildgraph.spec.decode import Decoder
from buildgraph.spec.expand import Holed, text_of
from buildgraph.spec.images import Holds, lower_image
from buildgraph.spec.late import unknown_env
from buildgraph.spec.model import Image, Step
from buildgraph.spec.position import Path
from buildgraph.spec.problems import Problems
from buildgraph.spec.source import Source, Surroundings
from buildgraph.spec.steps import lower_step
from buildgraph.values import replace


def read_again(
    around: Surroundings,
    path: Path,
    holds: Holds,
    written: Mapping[str, Any],
    env: Mapping[str, str],
) -> Step | Image:
    """``written`` as :attr:`Late.written`. Raises ErrorGroup with every mistake that the values of ``env`` make."""
    problems = Problems(around.problems.positions)
    problems.moved |= around.problems.moved
    filling = _Filling(env, problems)
    table = filling.all(written, path)
    decoded = Decoder(problems).decode(str(path[0]), table, path, failed=filling.failed)
    around = replace(around, problems=problems, names=replace(around.names, problems=problems))
    source = Source(decoded.table, path, around, decoded.broken)
    image = path[0] == "image"
    made = lower_image(source, holds) if image else lower_step(source)
    problems.raise_all()
    assert made is not None, "a table that is not whole, and nothing said of it"
    return made


class _Filling:
    def __init__(self, env: Mapping[str, str], problems: Problems) -> None:
        self._env = env
        self._problems = problems
        self.failed: set[Path] = set()

    def all(self, value: Any, path: Path) -> Any:
        match value:
            case Holed():
                return self._text(value, path)
            case dict():
                return self._table(value, path)
            case list():
                return [self.all(item, (*path, at)) for at, item in enumerate(value)]
            case _:
                return value

    def _table(self, table: Mapping[str, Any], path: Path) -> dict[str, Any]:
        filled: dict[str, Any] = {}
        for key, item in table.items():
            name, below = key, (*path, key)
            if isinstance(key, Holed):
                name = self._text(key, below)
                self._problems.moved[*path, name] = self._problems.origin(below)
                below = (*path, name)
            if name in filled:
                told = f"the key {name!r} stands twice in this table"
                self._problems.add("duplicate-key", told, below, hint="keep one of them")
            filled[name] = self.all(item, below)
        return filled

    def _text(self, text: Holed, path: Path) -> str:
        try:
            return text_of(text).fill(self._env)
        except KeyError as missing:
            name = str(missing.args[0])
            wrong = unknown_env(name, self._env, str(path[2]), None)
            self._problems.add(
                wrong.code, wrong.message, path, hint=wrong.hint, written=f"${{env.{name}}}"
            )
            self.failed.add(path)
            return ""

"""What of a config grows line by line, while a stage is walked: variables, labels, ports, volumes, triggers.

A config is a value, and would be made anew at every line; what is gathered here becomes one when the stage is done.
"""

from collections.abc import Iterable

from buildgraph.oci.config import Config
from buildgraph.values import dataclass, field, replace


@dataclass(slots=True)
class Gathered:
    """``places`` is where the first variable of each name stands in ``env``."""

    env: list[tuple[str, str]] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    exposed: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    onbuild: list[str] = field(default_factory=list)

    @classmethod
    def of_base(cls, config: Config) -> "Gathered":
        """Its triggers have been fired, and are gone."""
        found = cls(
            list(config.env),
            labels=dict(config.labels),
            exposed=set(config.exposed),
            volumes=set(config.volumes),
        )
        for at, (name, _) in enumerate(config.env):
            found.places.setdefault(name, at)
        return found

    def set_env(self, pairs: Iterable[tuple[str, str]]) -> None:
        """The first variable of that name is replaced in its place, else it comes last."""
        for name, value in pairs:
            at = self.places.setdefault(name, len(self.env))
            self.env[at : at + 1] = [(name, value)]

    def config(self, rest: Config) -> Config:
        """``rest`` with what was gathered."""
        return replace(
            rest,
            env=tuple(self.env),
            labels=dict(self.labels),
            exposed=tuple(sorted(self.exposed)),
            volumes=tuple(sorted(self.volumes)),
            onbuild=tuple(self.onbuild),
        )

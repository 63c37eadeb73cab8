"""Dockerfiles converted with bases whose configs are made up."""

from collections.abc import Mapping
from typing import Any

from buildgraph.dockerfile.convert import Converted, Known, Needs, convert
from buildgraph.dockerfile.options import Options
from buildgraph.names import Platform
from buildgraph.oci.config import Config

AMD64 = Platform("linux", "amd64")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Asked:
    """A conversion brought to its end; ``asked`` are the names of what it wanted to know, in order."""

    def __init__(
        self, text: str, bases: Mapping[str, Config] | None = None, **options: Any
    ) -> None:
        self.asked: list[str] = []
        self.configs: dict[Any, Known] = {}
        while True:
            found = convert(text, Options(**options), self.configs)
            if isinstance(found, Converted):
                break
            assert isinstance(found, Needs)
            for ref in (*found.bases, *found.images):
                self.asked.append(str(ref))
                self.configs[ref] = Known((bases or {}).get(ref.name, Config.empty(AMD64)))
        self.found = found

    @property
    def config(self) -> Config:
        return self.found.image.config

    @property
    def history(self) -> list[str]:
        return [line.created_by for line in self.found.image.history]

    @property
    def steps(self) -> list[str]:
        return list(self.found.steps)

    @property
    def titles(self) -> list[str]:
        return [step.title for step in self.found.steps.values()]

    def kind(self, name: str) -> Any:
        return self.found.steps[name].kind

    def env(self, name: str) -> dict[str, str]:
        """Of a RUN, without PATH."""
        env = {key: text.fill({}) for key, text in self.kind(name).env.items()}
        env.pop("PATH")
        return env

    def argv(self, name: str) -> list[str]:
        return [text.fill({}) for text in self.kind(name).command]

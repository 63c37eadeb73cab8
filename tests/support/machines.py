"""Two machines that share a remote cache: two stores, one workspace or context."""

from dataclasses import dataclass, replace
from pathlib import Path

from support.dockerbuilds import Docker
from support.workspace import Workspace

from buildgraph.build.request import Summary
from buildgraph.fs.facts import Facts
from buildgraph.spec.cacheurl import CacheURL, parse
from buildgraph.values import replace as _with


@dataclass
class Machines:
    """Builds of one context with one cache; every ``name`` is a machine with a store of its own."""

    docker: Docker
    urls: tuple[CacheURL, ...]

    @classmethod
    def make(cls, tmp_path: Path, *urls: str) -> "Machines":
        return cls(Docker.make(tmp_path), tuple(map(parse, urls)))

    @property
    def workspace(self) -> Workspace:
        return self.docker.workspace

    def with_urls(self, *urls: str) -> "Machines":
        return replace(self, urls=tuple(map(parse, urls)))

    def strict(self) -> "Machines":
        """What cannot be written is an error."""
        return replace(self, urls=tuple(_with(url, strict=True) for url in self.urls))

    def inline(self) -> "Machines":
        return replace(self, urls=(CacheURL("inline", "", read=False, steps="images"),))

    def on(self, name: str) -> Docker:
        """The same context, on another machine; its events are its own."""
        there = replace(self.workspace, home=self.workspace.home.with_name(name), events=[])
        return Docker(there)

    def build(self, name: str, text: str | None = None, **asked: object) -> tuple[Docker, Summary]:
        docker = self.on(name)
        if text is not None:
            docker.write("Dockerfile", text)
        return docker, docker.workspace.build(**docker.request(**asked), caches=self.urls)


def runs(docker: Docker) -> set[str]:
    """The RUN steps that were executed."""
    return {step for step in docker.workspace.ran() if step.endswith("-run")}


def overlooked(facts: Facts) -> set[bytes]:
    """The files that an answer from memory rests on."""
    return {*facts.seen, *facts.absent}

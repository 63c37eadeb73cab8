"""What is known on this machine of the images that a Dockerfile's stages begin with? For its checks, which ask nobody.

Images of layouts are opened where they lie; what registries have is known as far as the store has it or a tag was met
before. What cannot be opened is left out: a build tells why.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from buildgraph.build.dockerinput import DockerInput
from buildgraph.build.dockerworkspace import bases_for, context_key
from buildgraph.build.registries import Access
from buildgraph.build.request import DockerRequest, Request
from buildgraph.dockerfile.checkbases import beginnings
from buildgraph.dockerfile.options import Options
from buildgraph.errors import BuildgraphError
from buildgraph.fs.facts import Facts
from buildgraph.fs.fingerprint import StatCache
from buildgraph.graph.graph import BaseFacts
from buildgraph.oci.config import Config
from buildgraph.spec import model as m
from buildgraph.store.reading import reading


def known_configs(
    request: Request,
    asked: DockerRequest,
    given: DockerInput,
    facts: Facts,
    options: Options,
    text: bytes,
) -> Mapping[str, Config]:
    """By the names that FROM gives them. Nothing is made where no store is."""
    origins = beginnings(text, options, file=given.shown)
    bases = {name: origin.base for name, origin in origins.items() if origin.base is not None}
    here = request.home.exists()
    wanted = {n: base for n, base in bases.items() if base.kind == "layout" or here}
    if not wanted:
        return {}
    with ExitStack() as undo:
        store = undo.enter_context(reading(request.home))
        access = Access(store, request.environ, store.observer, undo)
        cache = StatCache.load(store.stat / context_key(given)[:32], given.root)
        opener = bases_for(request, asked, given, facts, cache, store, access, undo, keep=False)
        model = m.Model(
            m.Workspace("checked", platform=options.platform),
            {base.name: base for base in wanted.values()},
            steps={},
            images={},
            groups={},
            secrets={},
        )
        opened = opener.open(model, wanted=False)
        return dict(_configs(wanted, opened))


def _configs(
    wanted: Mapping[str, m.Base], opened: Mapping[str, BaseFacts]
) -> Iterator[tuple[str, Config]]:
    for name, base in wanted.items():
        try:
            if base.name in opened:
                yield name, opened[base.name].config
        except BuildgraphError:
            continue

"""Images from Dockerfiles: each is converted once, after those that it begins with, and becomes tables of the model.

Conversion asks for configs: those of bases are opened, those of images of the workspace follow from the model itself.
An image that rests on a base which is not known here, and which nobody wants to be asked for, stays unconverted: it
stands on that base alone, and is left out of the graph with it.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from buildgraph.build.mistakes import joined
from buildgraph.dockerfile.check import check
from buildgraph.dockerfile.checkbases import beginnings
from buildgraph.dockerfile.convert import Converted, Known, Needs, convert
from buildgraph.dockerfile.options import Options
from buildgraph.dockerfile.walk import main_context
from buildgraph.errors import BuildgraphError, Location, UsageError
from buildgraph.events import Observer, Warned
from buildgraph.graph.graph import BaseFacts
from buildgraph.graph.lower import config_of
from buildgraph.spec import model as m
from buildgraph.values import dataclass, replace


class OpenBases(Protocol):
    """Opens the bases of a model; those left out are not known. One that cannot be opened raises when looked at."""

    def __call__(self, model: m.Model, /, *, wanted: bool = True) -> Mapping[str, BaseFacts]: ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is converted from. ``shown`` is what messages call the file; ``ignore`` by context."""

    text: bytes
    shown: str
    options: Options
    ignore: Callable[[m.FileContext], tuple[str, ...]]


class Dockerfiles:
    """``model`` has the images of ``recipes`` already, without stacks."""

    def __init__(
        self,
        model: m.Model,
        recipes: Mapping[str, Callable[[], Recipe]],
        open_bases: OpenBases,
        observer: Observer,
        wanted: Collection[str],
    ) -> None:
        """``wanted`` are the images whose bases may be asked for; what those begin with is wanted, too."""
        self._model = model
        self._recipes = recipes
        self._open = open_bases
        self._observe = observer
        self._wanted = wanted
        self._done: dict[str, m.Image] = {}
        self._begun: list[str] = []
        self._failed: dict[str, BuildgraphError] = {}
        """Also those that begin with an image that failed, with its error."""

    def converted(self) -> m.Model:
        """Raises UsageError, or ErrorGroup with the first mistake in each of several Dockerfiles."""
        for name in self._recipes:
            try:
                self._convert(name)
            except UsageError:
                continue
            except BuildgraphError:
                break  # a registry or this machine is to blame, and most likely for the next one, too
        if self._failed:
            raise joined(dict.fromkeys(self._failed.values()))
        return self._model

    def _convert(self, name: str) -> None:
        if name in self._done:
            return
        if name in self._failed:
            raise self._failed[name].with_traceback(None)
        begun = len(self._begun)
        try:
            self._convert_now(name)
        except BuildgraphError as error:
            self._failed[name] = error
            raise
        finally:
            del self._begun[begun:]

    def _convert_now(self, name: str) -> None:
        if name in self._begun:
            path = " → ".join([*self._begun[self._begun.index(name) :], name])
            raise UsageError(
                "cycle",
                f"Dockerfiles begin with each other: {path}",
                where=self._model.images[name].where,
            )
        self._begun.append(name)
        recipe = self._recipes[name]()
        configs: dict[m.Ref, Known] = {}
        while True:
            found = convert(recipe.text, recipe.options, configs, file=recipe.shown)
            if isinstance(found, Converted):
                self._keep(name, recipe, found, configs)
                break
            if not self._answer(name, found, configs):
                break

    def _answer(self, name: str, needs: Needs, configs: dict[m.Ref, Known]) -> bool:
        """Whether everything that was asked is known now."""
        bases = {base.name: base for base in needs.bases.values()}
        self._model = replace(self._model, bases={**bases, **self._model.bases})
        wanted = any(begun in self._wanted for begun in self._begun)
        opened = self._open(self._model, wanted=wanted)
        unknown = tuple(ref for ref in needs.bases if ref.name not in opened)
        if unknown:
            self._put(replace(self._model.images[name], on=unknown, source=None))
            return False
        configs |= {ref: Known(opened[ref.name].config) for ref in needs.bases}
        for ref in needs.images:
            if ref.name in self._recipes:
                self._convert(ref.name)
            docker = self._model.images[ref.name].docker if ref.kind == "image" else None
            history = docker.history if docker else ()
            config = config_of(self._model, opened, self._model.workspace.platform, ref)
            configs[ref] = Known(config, history)
        return True

    def _keep(
        self, name: str, recipe: Recipe, found: Converted, configs: Mapping[m.Ref, Known]
    ) -> None:
        self._check(recipe, found, configs)
        for unused in found.unused_args:
            message = f"{recipe.shown}: no ARG asks for --build-arg {unused}"
            self._observe(Warned("unused-build-arg", message))
        model = self._model
        contexts = {
            key: replace(context, ignore=recipe.ignore(context))
            for key, context in found.contexts.items()
        }
        self._model = replace(
            model,
            bases={**found.bases, **model.bases},
            steps={**model.steps, **found.steps},
            images={**model.images, **found.images},
            contexts={**model.contexts, **contexts},
        )
        image = self._model.images[name]
        docker = replace(found.image, epoch=found.epoch)
        self._put(replace(image, on=found.on, docker=docker, source=None))

    def _check(self, recipe: Recipe, found: Converted, configs: Mapping[m.Ref, Known]) -> None:
        """Tell what ``--check`` would tell of the stages that are built; what it finds may be fatal."""
        origins = beginnings(recipe.text, recipe.options, file=recipe.shown)
        known = {n: configs[o.ref].config for n, o in origins.items() if o.ref and o.ref in configs}
        ignore = recipe.ignore(found.contexts[main_context(recipe.options)])
        report = check(
            recipe.text, recipe.options, known, ignore=ignore, file=recipe.shown, reached=True
        )
        for each in report.findings:
            message = f"{each.location}: {each.rule.name}: {each.message}"
            self._observe(Warned("dockerfile-check", message))
        if report.fatal:
            raise UsageError(
                "check-failed",
                f"{recipe.shown} breaks rules that it says are fatal: {', '.join(report.fatal)}",
                hint="see them with: buildgraph build --check; `# check=error=true` makes them fatal",
                where=Location(recipe.shown),
            )

    def _put(self, image: m.Image) -> None:
        self._done[image.name] = image
        images = {**self._model.images, image.name: image}
        self._model = replace(self._model, images=images)

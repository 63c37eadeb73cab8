"""A Buildfile with mistakes: what is wrong, and what can be said of the rest all the same."""

from collections.abc import Iterable

from buildgraph.errors import BuildgraphError, ErrorGroup
from buildgraph.spec.model import Model, Ref


class MistakesError(ErrorGroup):
    """Raised instead of a model, so that whoever can look further (at files, at bases) tells more in the same run.

    ``model`` has every table that could be made, with what is wrong left out of it; nothing is built from it.
    ``faulty`` are the tables with mistakes, and those that could not be made.
    """

    def __init__(
        self, errors: Iterable[BuildgraphError], model: Model, faulty: frozenset[Ref]
    ) -> None:
        super().__init__(errors)
        self.model = model
        self.faulty = faulty

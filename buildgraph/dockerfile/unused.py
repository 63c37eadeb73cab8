"""Which ``--build-arg`` is nobody's? Worth a warning: it may be a typing mistake."""

from collections.abc import Iterable

from buildgraph.dockerfile.instructions import Arg
from buildgraph.dockerfile.options import EPOCH_ARG, predefined, proxies
from buildgraph.dockerfile.stages import StageNode, Stages


def unused_arguments(stages: Stages, needed: Iterable[StageNode]) -> tuple[str, ...]:
    """Names that neither an ARG of a needed stage declares, nor one before the first FROM, nor BuildKit itself."""
    args = [*stages.file.args]
    for node in needed:
        args += [each for each in node.instructions if isinstance(each, Arg)]
    declared = {pair.name for arg in args for pair in arg.pairs}
    declared |= {*predefined(stages.options, ""), EPOCH_ARG}
    given = stages.options.args
    return tuple(
        name
        for name in given
        if name not in declared and not name.startswith("BUILDKIT_") and not proxies({name: ""})
    )

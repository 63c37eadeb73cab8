"""Which images do the checks want to know? Those that stages begin with, by the names that their FROM lines give."""

from buildgraph.dockerfile.options import Options
from buildgraph.dockerfile.origins import Origin, resolve
from buildgraph.dockerfile.parse import read
from buildgraph.dockerfile.stages import Stages
from buildgraph.errors import UsageError


def beginnings(
    text: str | bytes, options: Options, *, file: str = "Dockerfile"
) -> dict[str, Origin]:
    """What is no image, or stands behind a mistake, is left out: the checks themselves tell of it."""
    dockerfile, error = read(text, file)
    if error is not None:
        return {}
    try:
        nodes = Stages.of(dockerfile, options).nodes
    except UsageError:
        return {}
    found: dict[str, Origin] = {}
    for node in nodes:
        if node.from_image:
            where = dockerfile.location(node.where)
            try:
                found[node.base_name] = resolve(options, node.base_name, node.platform, where)
            except UsageError:
                continue
    return found

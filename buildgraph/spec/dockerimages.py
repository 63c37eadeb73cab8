"""The keys of an ``[image.NAME]`` that comes from a Dockerfile."""

from buildgraph.spec.docker import DockerTable
from buildgraph.spec.source import Source
from buildgraph.spec.terms import Ref
from buildgraph.spec.values import source_path

KEYS = ("context", "target", "args", "contexts")
_OWN = frozenset(
    (
        *("user", "workdir", "env", "entrypoint", "cmd", "expose", "volumes", "labels"),
        *("stop-signal", "shell", "onbuild", "healthcheck", "unset", "on", "merge"),
    )
)


def lower_dockerfile(source: Source) -> DockerTable | None:
    """None for an image that stands on a stack."""
    if "dockerfile" not in source:
        for key in KEYS:
            if key in source:
                source.wrong(
                    "dockerfile-missing",
                    f"{key!r} is a key of images from a Dockerfile",
                    key,
                    hint='add dockerfile = "Dockerfile"',
                )
        return None
    for key in source.table:
        if key in _OWN:
            source.wrong(
                "dockerfile-and-stack",
                f"an image from a Dockerfile is as that says, and has no {key!r}",
                key,
                hint="write another image on this one for what comes on top",
            )
    context = source.get("context", source_path) or "."

    def below(path: str) -> str:
        return source_path(path if path.startswith("/") else f"{context}/{path}")

    return DockerTable(
        file=source.get("dockerfile", below) or ".",
        context=context,
        target=source.table.get("target", ""),
        args=dict(source.table.get("args", {})),
        contexts=_contexts(source),
    )


def _contexts(source: Source) -> dict[str, str | Ref]:
    found: dict[str, str | Ref] = {}
    for name, value in source.table.get("contexts", {}).items():
        if value.partition(":")[0] not in ("image", "step", "base") and not value.startswith("//:"):
            found[name] = value
            continue
        place = (*source.path, "contexts", name)
        ref = source.around.names.resolve(value, place, ("image", "step", "base"), "'contexts'")
        if ref is not None:
            found[name] = ref
    return found

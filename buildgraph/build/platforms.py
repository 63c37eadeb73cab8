"""What is built for several platforms at once? Each one's model, joined to one; for one platform that alone."""

from collections.abc import Callable, Mapping, Sequence

from buildgraph.build.request import Request
from buildgraph.errors import UsageError
from buildgraph.names import Platform, labelled
from buildgraph.spec.model import Model, Ref
from buildgraph.values import replace

MULTI_PLATFORM = "BUILDKIT_MULTI_PLATFORM"
TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")

Parts = Mapping[str, tuple[Platform, ...]]


def parts_for(model: Model, request: Request) -> Parts:
    """Raises UsageError ``image-platform`` for a target that is for none of the platforms that were asked for."""
    if not any(image.platforms for image in model.images.values()):
        return {}
    from buildgraph.spec.platforms import parts_of

    parts = parts_of(model, request.platforms)
    left_out = [name for name, part in parts.items() if not part]
    targets = [name.removeprefix("image:") for name in request.targets]
    defaults = [ref.name for ref in model.workspace.default]
    for name in left_out:
        if name in targets or (not targets and defaults == left_out):
            image = model.images[name]
            raise UsageError(
                "image-platform",
                f"the image {name} is not for {request.platform}, only for {', '.join(map(str, image.platforms))}",
                hint="leave out --platform, or add it to `platforms` of the image",
                where=image.fields.get("platforms", image.where),
            )
    return parts


def model_for(
    asked: Sequence[Platform],
    machine: Platform,
    read: Callable[[Platform], Model],
    parts: Parts | None = None,
) -> Model:
    """``read`` gives the model for one platform; ``parts`` are images that are for others than those ``asked`` for."""
    models = {platform: read(platform) for platform in asked}
    if len(models) == 1 and not parts and not _mixed(models[asked[0]], machine):
        return models[asked[0]]
    from buildgraph.spec.platforms import joined

    for platform in dict.fromkeys(p for part in (parts or {}).values() for p in part):
        if platform not in models:
            models[platform] = read(platform)
    if machine not in models and any(_for_machine(model) for model in models.values()):
        models[machine] = read(machine)
    return joined(models, asked, machine, parts)


def as_index(model: Model, name: str, args: Mapping[str, str]) -> Model:
    """With ``BUILDKIT_MULTI_PLATFORM`` an image is an index of one, also for one platform.

    Raises UsageError ``bad-build-arg``.
    """
    given = args.get(MULTI_PLATFORM, "")
    if given not in ("", *TRUE, *_FALSE):
        raise UsageError(
            "bad-build-arg",
            f"{MULTI_PLATFORM}={given} is neither true nor false",
            hint=f"write {MULTI_PLATFORM}=1, or leave it out",
        )
    ref = Ref("image", name)
    if given in _FALSE and ref in model.variants:
        raise UsageError(
            "bad-build-arg",
            f"{MULTI_PLATFORM}={given}, and the image is for several platforms",
            hint="leave one of them out",
        )
    if given not in TRUE or ref in model.variants or name not in model.images:
        return model
    platform = model.workspace.platform
    own = Ref("image", labelled(name, platform))
    images = {
        own.name if key == name else key: replace(one, name=own.name) if key == name else one
        for key, one in model.images.items()
    }
    variants = {**model.variants, ref: ((platform, own),)}
    workspace = replace(model.workspace, platforms=(platform,))
    return replace(model, workspace=workspace, images=images, variants=variants)


def _mixed(model: Model, machine: Platform) -> bool:
    """Whether steps of it are for the machine's own platform, which is another."""
    return model.workspace.platform != machine and _for_machine(model)


def _for_machine(model: Model) -> bool:
    return any(step.platform_build for step in model.steps.values())

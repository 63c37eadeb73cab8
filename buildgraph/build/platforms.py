"""What is built for several platforms at once? Each one's model, joined to one; for one platform that alone."""

from collections.abc import Callable, Sequence

from buildgraph.names import Platform
from buildgraph.spec.model import Model


def model_for(
    asked: Sequence[Platform], machine: Platform, read: Callable[[Platform], Model]
) -> Model:
    """``read`` gives the model for one platform; steps of the machine's own are taken from that of ``machine``."""
    models = {platform: read(platform) for platform in asked}
    if len(models) == 1 and not _mixed(models[asked[0]], machine):
        return models[asked[0]]
    from buildgraph.spec.platforms import joined

    if machine not in models and any(_for_machine(model) for model in models.values()):
        models[machine] = read(machine)
    return joined(models, asked, machine)


def _mixed(model: Model, machine: Platform) -> bool:
    """Whether steps of it are for the machine's own platform, which is another."""
    return model.workspace.platform != machine and _for_machine(model)


def _for_machine(model: Model) -> bool:
    return any(step.platform_build for step in model.steps.values())

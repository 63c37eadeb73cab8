"""What converting a Dockerfile leaves behind: tables of a model, collected while its stages are walked."""

from buildgraph.spec import model as m
from buildgraph.values import dataclass, field


@dataclass(slots=True)
class Fragment:
    """Names are unique in the workspace; bases of equal names are the same base.

    ``images`` holds, beside the image asked for, one for every stage that another stage takes files from.
    """

    bases: dict[str, m.Base] = field(default_factory=dict)
    steps: dict[str, m.Step] = field(default_factory=dict)
    images: dict[str, m.Image] = field(default_factory=dict)
    contexts: dict[str, m.FileContext] = field(default_factory=dict)

    def add_base(self, base: m.Base) -> m.Ref:
        self.bases.setdefault(base.name, base)
        return m.Ref("base", base.name)

    def add_step(self, step: m.Step) -> m.Ref:
        self.steps[step.name] = step
        return m.Ref("step", step.name)

    def add_image(self, image: m.Image) -> m.Ref:
        self.images[image.name] = image
        return m.Ref("image", image.name)

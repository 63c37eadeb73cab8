"""What does a name stand for that several platforms have, each its own table, and which tags are whose?"""

from collections.abc import Collection, Mapping

from buildgraph.graph.graph import Family, ImageTarget
from buildgraph.graph.step import StepId
from buildgraph.names import unlabelled
from buildgraph.spec.model import Image, Ref, Variants
from buildgraph.values import replace

Tags = Mapping[str, tuple[str, ...]]


def common_tags(variants: Mapping[Ref, Variants], images: Mapping[str, Image]) -> Tags:
    """The tags that an image has on several platforms; they are none of the single images'."""
    found = {}
    for ref, members in variants.items():
        if ref.kind == "image":
            tags = [tag for _, one in members for tag in images[one.name].tags]
            found[ref.name] = tuple(t for t in dict.fromkeys(tags) if tags.count(t) > 1)
    return found


def own_tags(image: ImageTarget, common: Tags) -> ImageTarget:
    """Without the tags that name the index of all its platforms."""
    shared = common.get(unlabelled(image.name))
    return replace(image, tags=tuple(t for t in image.tags if t not in shared)) if shared else image


def families(
    variants: Mapping[Ref, Variants], steps: Collection[StepId], common: Tags
) -> dict[str, Family]:
    """Of targets; a step is left out where it takes no part."""
    found = {}
    for ref, several in variants.items():
        members = [(platform, str(one)) for platform, one in several]
        if ref.kind == "step":
            members = [(p, node) for p, node in members if StepId(node) in steps]
        if ref.kind != "base" and members:
            found[str(ref)] = Family(tuple(members), common.get(ref.name, ()))
    return found

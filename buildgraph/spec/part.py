"""Which part of a workspace rests on which bases? Pure, from the model alone.

A base in a registry is asked for only if something rests on it that somebody wants, so the question comes before there
is a graph: a graph needs the configs of the bases.
"""

from collections.abc import Collection, Iterable

from buildgraph.spec.cycles import walk
from buildgraph.spec.model import Image, Model, Ref, Step
from buildgraph.spec.stacks import needs
from buildgraph.values import replace


def bases_of(model: Model, targets: Iterable[Ref]) -> frozenset[str]:
    """The bases that images, steps and groups rest on, by name; an image's checks count."""
    return frozenset(ref.name for ref in below(model, targets) if ref.kind == "base")


def images_of(model: Model, targets: Iterable[Ref]) -> frozenset[str]:
    """The images among what ``targets`` rest on, themselves included."""
    return frozenset(ref.name for ref in below(model, targets) if ref.kind == "image")


def below(model: Model, targets: Iterable[Ref]) -> frozenset[Ref]:
    """What ``targets`` rest on, themselves included; of a table with variants all of them."""
    found: set[Ref] = set()
    todo = list(targets)
    while todo:
        ref = todo.pop()
        if ref not in found:
            found.add(ref)
            todo += _inputs(model, ref)
    return frozenset(found)


def _inputs(model: Model, ref: Ref) -> Iterable[Ref]:
    """Nothing of a table that could not be made of a Buildfile with mistakes."""
    if ref in model.variants:
        return (variant for _, variant in model.variants[ref])
    match ref.kind:
        case "group" if ref.name in model.groups:
            return model.groups[ref.name].targets
        case "image" if ref.name in model.images:
            image = model.images[ref.name]
            return (*(ref for ref, _ in needs(image)), *image.checks)
        case "step" if ref.name in model.steps:
            return (ref for ref, _ in needs(model.steps[ref.name]))
        case _:
            return ()


def inputs(model: Model) -> dict[Ref, tuple[Ref, ...]]:
    """What every table is made of, as it is written: steps, images, bases; checks are not among it."""
    tables: dict[Ref, Step | Image] = {Ref("step", s.name): s for s in model.steps.values()}
    tables |= {Ref("image", i.name): i for i in model.images.values()}
    found = {ref: tuple(one for one, _ in needs(table)) for ref, table in tables.items()}
    found |= {Ref("base", name): () for name in model.bases}
    found |= {Ref("group", group.name): tuple(group.targets) for group in model.groups.values()}
    return found | {ref: tuple(v for _, v in several) for ref, several in model.variants.items()}


def without(model: Model, bases: Collection[str]) -> Model:
    """The model without these bases and all that rests on them; groups and default lose what is gone."""
    return without_tables(model, {Ref("base", name) for name in bases})


def without_tables(model: Model, tables: Collection[Ref]) -> Model:
    """The model without these tables and all that rests on them; groups and default lose what is gone."""
    if not tables:
        return model
    made: dict[str, Step | Image] = {**model.steps, **model.images}
    edges = {name: [ref for ref, _ in needs(table)] for name, table in made.items()}
    gone = set(tables)
    for name in walk({name: [ref.name for ref in refs] for name, refs in edges.items()}).order:
        if not gone.isdisjoint(edges[name]):
            gone.add(Ref("image" if name in model.images else "step", name))
    gone.update(
        ref for ref, several in model.variants.items() if gone.issuperset(v for _, v in several)
    )

    def left(refs: tuple[Ref, ...]) -> tuple[Ref, ...]:
        return tuple(ref for ref in refs if ref not in gone)

    return replace(
        model,
        workspace=replace(model.workspace, default=left(model.workspace.default)),
        bases={n: base for n, base in model.bases.items() if Ref("base", n) not in gone},
        steps={n: s for n, s in model.steps.items() if Ref("step", n) not in gone},
        images={
            n: replace(image, checks=left(image.checks))
            for n, image in model.images.items()
            if Ref("image", n) not in gone
        },
        groups={
            n: replace(g, targets=left(g.targets))
            for n, g in model.groups.items()
            if Ref("group", n) not in gone
        },
        variants={
            ref: kept
            for ref, members in model.variants.items()
            if (kept := tuple(member for member in members if member[1] not in gone))
        },
    )

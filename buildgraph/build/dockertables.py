"""Images of a Buildfile that come from Dockerfiles: their tables read, their files found, all of them converted."""

import os
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from buildgraph.build.dockerbases import DockerBases
from buildgraph.build.dockerfiles import Dockerfiles, Recipe
from buildgraph.build.dockerinput import DockerInput, known
from buildgraph.build.dockeroptions import lines_for, named_context
from buildgraph.dockerfile.options import Options
from buildgraph.dockerfile.origins import familiar
from buildgraph.errors import UsageError
from buildgraph.events import Observer
from buildgraph.fs.facts import Facts
from buildgraph.fs.scan import near_paths
from buildgraph.names import Platform
from buildgraph.spec import model as m
from buildgraph.spec.docker import GitTree, RemoteFile


def convert_tables(
    model: m.Model,
    root: Path,
    shown: Path,
    facts: Facts,
    bases: DockerBases,
    observer: Observer,
    wanted: Collection[str],
    time_of: Callable[[GitTree | RemoteFile], int | None],
    *,
    several: bool = False,
) -> m.Model:
    """``wanted`` are images whose bases registries may be asked for; ``shown`` is how messages begin a path;
    ``time_of`` says when a source was changed last.
    ``several``: other models of the same file are for other platforms.

    Raises UsageError, or ErrorGroup with the first mistake in each of several Dockerfiles.
    """
    recipes = {
        name: partial(
            _recipe, model, image, image.source, root, shown, facts, time_of, several=several
        )
        for name, image in model.images.items()
        if image.source is not None
    }
    return Dockerfiles(model, recipes, bases.open, observer, wanted).converted()


def _recipe(
    model: m.Model,
    image: m.Image,
    table: m.DockerTable,
    root: Path,
    shown: Path,
    facts: Facts,
    time_of: Callable[[GitTree | RemoteFile], int | None],
    *,
    several: bool,
) -> Recipe:
    given = DockerInput(Path(os.path.normpath(root / table.context)), root / table.file)
    try:
        text = facts.read(known(root / table.file, facts))
    except (FileNotFoundError, IsADirectoryError) as error:
        near = near_paths(os.fsencode(root), os.fsencode(table.file))
        hint = "dockerfile = … is a path from the context, which is a path from the Buildfile"
        raise UsageError(
            "no-dockerfile",
            f"{table.file!r} is a folder, no Dockerfile"
            if isinstance(error, IsADirectoryError)
            else f"there is no Dockerfile {table.file!r}",
            hint=f"there is {' and '.join(near)}; {hint}" if near else hint,
            where=image.fields.get("dockerfile", image.where),
        ) from error
    platform = model.workspace.platform
    options = Options(
        context=table.context,
        target=table.target,
        prefix=f"{image.name}/",
        args=table.args,
        contexts={
            familiar(name): value if isinstance(value, m.Ref) else named_context(name, value, root)
            for name, value in table.contexts.items()
        },
        images={
            familiar(tag): m.Ref("image", other.name)
            for other in model.images.values()
            for tag in other.tags
            if other.name != image.name
        },
        platform=platform,
        platform_asked=several,
        several_platforms=several,
        build_platform=Platform.of_machine(os.uname().machine),
        time_of=time_of,
    )
    return Recipe(
        text,
        os.path.normpath(shown / table.file),
        options,
        lambda context: lines_for(context, given, facts),
    )

"""What does a name in FROM, ``--from`` or ``from=`` mean, if no stage is called so?

In this order: a named context, a tag that an image of the workspace has, ``scratch``, an image of a registry.
"""

from buildgraph.dockerfile.options import (
    Folder,
    LayoutImage,
    NamedContext,
    Options,
    RegistryImage,
)
from buildgraph.errors import Location, UsageError
from buildgraph.names import Platform, Reference
from buildgraph.spec import model as m
from buildgraph.values import dataclass

SCRATCH = "scratch"
_HUB = ("docker.io/library/", "docker.io/", "index.docker.io/library/", "index.docker.io/")


@dataclass(frozen=True, slots=True)
class Origin:
    """The files of a folder, or the filesystem of ``ref``; ``base`` if that comes from outside."""

    ref: m.Ref | None = None
    folder: str = ""
    """The name of the context."""
    root: str = ""
    base: m.Base | None = None


def familiar(name: str) -> str:
    """One spelling for all names of an image: ``docker.io/library/debian:latest`` is ``debian``."""
    for prefix in _HUB:
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            break
    return name.removesuffix(":latest")


def find_context(options: Options, name: str, platform: Platform) -> NamedContext | None:
    """The named context that stands for ``name``; ``name::platform`` wins over ``name``."""
    if name.lower() in (SCRATCH, "context"):
        return None
    wanted = familiar(name)
    known = options.contexts
    for key in (f"{wanted}::{platform}", wanted, wanted.lower()):
        if key in known:
            return known[key]
    return None


def resolve(options: Options, name: str, platform: Platform, where: Location) -> Origin:
    """Raises UsageError ``bad-base-name``."""
    found = find_context(options, name, platform)
    if found is not None:
        return _of_context(options, found, name, platform, where)
    if name == SCRATCH:
        return _scratch(platform, where)
    if (ref := options.images.get(familiar(name))) is not None:
        return Origin(ref=ref)
    return _registry(name, platform, options, where)


def _of_context(
    options: Options, found: NamedContext, name: str, platform: Platform, where: Location
) -> Origin:
    shown = options.prefix + _called(name, platform, options)
    match found:
        case Folder(root):
            return Origin(folder=options.prefix + name, root=root)
        case LayoutImage(path, reference):
            return _base(m.Base(shown, "layout", where, path, reference, platform))
        case RegistryImage(reference):
            if reference == SCRATCH:
                return _scratch(platform, where)
            return _base(m.Base(shown, "image", where, reference=reference, platform=platform))
        case m.Ref():
            return Origin(ref=found)


def _registry(name: str, platform: Platform, options: Options, where: Location) -> Origin:
    try:
        reference = Reference.parse(name)
    except UsageError as error:
        raise UsageError(
            "bad-base-name",
            f"{name!r} is neither a stage nor an image reference",
            hint=error.message,
            where=where,
        ) from error
    text = reference.familiar
    shown = _called(text, platform, options)
    return _base(m.Base(shown, "image", where, reference=text, platform=platform))


def _scratch(platform: Platform, where: Location) -> Origin:
    return _base(m.Base(f"{SCRATCH} {platform}", "scratch", where, platform=platform))


def _called(name: str, platform: Platform, options: Options) -> str:
    plain = platform == options.platform and not options.several_platforms
    return name if plain else f"{name} {platform}"


def _base(base: m.Base) -> Origin:
    return Origin(ref=m.Ref("base", base.name), base=base)

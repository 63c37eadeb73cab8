"""What is SOURCE_DATE_EPOCH, if it is no number? The time of the build context, of a named one, or of a stage.

A stage has a time if it is made of sources alone: it begins with ``scratch``, and all it does is ADD addresses. Its
time is that of the newest: a commit's, or what a server or an archive says of a file. This machine's folders have none.
"""

from collections.abc import Iterator, Mapping

from buildgraph.dockerfile.instructions import Add, Arg, Dockerfile, Stage
from buildgraph.dockerfile.options import EPOCH_ARG, Folder, Options, epoch_of
from buildgraph.dockerfile.origins import SCRATCH, find_context
from buildgraph.dockerfile.remote import remote_source
from buildgraph.dockerfile.words import expand
from buildgraph.errors import UsageError
from buildgraph.spec.docker import GitTree, RemoteFile


def epoch(file: Dockerfile, options: Options, arguments: Mapping[str, str]) -> int | None:
    """Seconds since 1970, None for nothing. ``arguments`` are those from before the first FROM.

    Raises UsageError ``bad-epoch``, ``epoch-of-stage``.
    """
    value = options.args.get(EPOCH_ARG, arguments.get(EPOCH_ARG, ""))
    if value == "context":
        return options.context_time
    found = find_context(options, value, options.platform) if value else None
    if found is not None:
        return found.time if isinstance(found, Folder) else None
    named = [stage for stage in file.stages if value and stage.origin.stage == value.lower()]
    if not named:
        return epoch_of(value)
    stage = named[-1]
    sources = list(_sources(stage, file, options, arguments))
    if options.time_of is None:
        raise UsageError(
            "epoch-of-stage",
            f"{EPOCH_ARG}={value}: the time of a stage is known only where its sources can be fetched",
            hint="write seconds since 1970",
            where=file.location(stage.origin.where),
        )
    times = [time for source in sources if (time := options.time_of(source)) is not None]
    return max(times, default=None)


def _sources(
    stage: Stage, file: Dockerfile, options: Options, arguments: Mapping[str, str]
) -> Iterator[GitTree | RemoteFile]:
    """What the stage is made of. Raises UsageError where that is anything else."""
    if expand(stage.origin.base, arguments, file.escape) != SCRATCH:
        raise _no_source(stage, file, f"begins with {stage.origin.base}")
    known: dict[str, str] = {}
    added = False
    for each in stage.instructions:
        match each:
            case Arg(pairs=pairs):
                for pair in pairs:
                    value = options.args.get(pair.name, arguments.get(pair.name))
                    if pair.default is not None and pair.name not in options.args:
                        value = expand(pair.default, known, file.escape)
                    known |= {} if value is None else {pair.name: value}
            case Add(sources=words):
                added = True
                for word in words:
                    text = expand(word, known, file.escape) if isinstance(word, str) else ""
                    checksum = expand(each.checksum, known, file.escape)
                    source = remote_source(text, checksum, keep_git_dir=each.keep_git_dir)
                    if source is None:
                        raise _no_source(stage, file, f"adds {word if text else 'a document'}")
                    yield source
            case _:
                raise _no_source(stage, file, f"has {each.name.upper()}")
    if not added:
        raise _no_source(stage, file, "adds nothing")


def _no_source(stage: Stage, file: Dockerfile, why: str) -> UsageError:
    return UsageError(
        "epoch-of-stage",
        f"{EPOCH_ARG} is the stage {stage.origin.stage}, which has no time: it {why}",
        hint="name a stage that begins with scratch and does nothing but ADD addresses, or write seconds since 1970",
        where=file.location(stage.origin.where),
    )

"""One reader per instruction: from what follows its keyword to its value (Dockerfile reference, one section each)."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from buildgraph.dockerfile.arguments import Arguments
from buildgraph.dockerfile.flags import NETWORKS, SECURITIES
from buildgraph.dockerfile.goduration import parse_duration
from buildgraph.dockerfile.instructions import (
    Add,
    Arg,
    ArgPair,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from buildgraph.dockerfile.source import SPACES
from buildgraph.dockerfile.split import command

_STAGE: Final = re.compile(r"[a-z][a-z0-9_.-]*")
_ONBUILD: Final = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE)
_MILLISECOND: Final = 1_000_000


def _from(args: Arguments) -> From:
    words = args.split()
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].lower() != "as"):
        shown = f"FROM takes one or three words, not '{args.rest}'"
        raise args.bad(shown, "write FROM IMAGE or FROM IMAGE AS NAME")
    platform = args.flags.text("platform")
    if len(words) == 1:
        return From(args.place, words[0], platform=platform)
    base, as_written, written = words
    name = written.lower()
    if not _STAGE.fullmatch(name):
        raise args.error(
            "bad-stage-name",
            f"'{written}' cannot be the name of a stage",
            "a letter, then letters, digits, '.', '_' and '-'",
        )
    described = next((text for said, text in _told(args) if said == name), "")
    return From(args.place, base, name, platform, written, as_written, described)


def _told(args: Arguments) -> Iterator[tuple[str, str]]:
    """What the comments above that are ``# name description`` say."""
    for comment in args.place.comments:
        name, _, rest = comment.partition(" ")
        if rest:
            yield name, rest


def _arg(args: Arguments) -> Arg:
    told: dict[str, str] = {}
    for said, text in _told(args):
        told.setdefault(said, text)
    found = []
    for word in args.names():
        name, equals, default = word.partition("=")
        if not name:
            raise args.bad("ARG has a blank name", "write ARG name=default")
        found.append(ArgPair(name, default if equals else None, told.get(name, "")))
    return Arg(args.place, tuple(found))


def _env(args: Arguments) -> Env:
    return Env(args.place, args.pairs())


def _label(args: Arguments) -> Label:
    return Label(args.place, args.pairs())


def _run(args: Arguments) -> Run:
    flags = args.flags
    return Run(
        args.place,
        args.command(),
        flags.mounts(),
        flags.choice("network", NETWORKS),
        flags.choice("security", SECURITIES),
        flags.texts("device"),
    )


def _copy(args: Arguments) -> Copy:
    sources, to = args.sources()
    flags = args.flags
    return Copy(
        args.place,
        sources,
        to,
        origin=flags.text("from"),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.yes("link") or False,
        parents=flags.yes("parents") or False,
        exclude=flags.texts("exclude"),
    )


def _add(args: Arguments) -> Add:
    sources, to = args.sources()
    flags = args.flags
    return Add(
        args.place,
        sources,
        to,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.yes("link") or False,
        exclude=flags.texts("exclude"),
        checksum=flags.text("checksum"),
        keep_git_dir=flags.yes("keep-git-dir"),
        unpack=flags.yes("unpack"),
    )


def _cmd(args: Arguments) -> Cmd:
    return Cmd(args.place, args.command())


def _entrypoint(args: Arguments) -> Entrypoint:
    return Entrypoint(args.place, args.command())


def _shell(args: Arguments) -> Shell:
    found = args.command()
    if not found.exec or not found.words:
        shown = f"SHELL wants a JSON array of strings, not '{args.rest}'"
        raise args.bad(shown, 'write SHELL ["/bin/bash", "-c"]')
    return Shell(args.place, found.words)


def _workdir(args: Arguments) -> Workdir:
    return Workdir(args.place, args.one())


def _user(args: Arguments) -> User:
    return User(args.place, args.one())


def _expose(args: Arguments) -> Expose:
    return Expose(args.place, tuple(sorted(args.split())))


def _volume(args: Arguments) -> Volume:
    paths = tuple(path.strip(SPACES) for path in args.words())
    if not all(paths):
        raise args.bad("VOLUME has an empty path", "leave it out")
    return Volume(args.place, paths)


def _stopsignal(args: Arguments) -> Stopsignal:
    return Stopsignal(args.place, args.one())


def _healthcheck(args: Arguments) -> Healthcheck:
    rest = args.rest
    if not rest:
        raise args.bad("HEALTHCHECK has no command", "write HEALTHCHECK CMD command, or NONE")
    kind = re.split(f"[{re.escape(SPACES)}]", rest, maxsplit=1)[0]
    found = args.command(rest[len(kind) :].strip(SPACES))
    given = found.words if found.exec else found.text
    if kind.upper() == "NONE":
        if given:
            raise args.bad("HEALTHCHECK NONE takes no arguments", "leave them out")
        return Healthcheck(args.place, None)
    if kind.upper() != "CMD":
        raise args.bad(f"HEALTHCHECK has no type '{kind}'", "there are CMD and NONE")
    if not given:
        raise args.bad("HEALTHCHECK CMD has no command", "write HEALTHCHECK CMD command")
    return Healthcheck(
        args.place,
        found,
        _interval(args, "interval"),
        _interval(args, "timeout"),
        _interval(args, "start-period"),
        _interval(args, "start-interval"),
        _retries(args),
    )


def _interval(args: Arguments, name: str) -> int:
    text = args.flags.text(name)
    value = parse_duration(text) if text else 0
    if value is None:
        shown = f"--{name}={text} is no duration"
        raise args.error("bad-flag-value", shown, "write 30s, 1m30s or 500ms")
    if value and value < _MILLISECOND:
        shown = f"--{name}={text} is shorter than a millisecond"
        raise args.error("bad-flag-value", shown, "0 is the default")
    return value


def _retries(args: Arguments) -> int:
    text = args.flags.text("retries")
    if not text:
        return 0
    number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,10}", text) else -1
    if not 0 <= number < 1 << 31:
        shown = f"--retries={text} is no number of tries"
        raise args.error("bad-flag-value", shown, "write a whole number; 0 is the default")
    return number


def _onbuild(args: Arguments) -> Onbuild:
    inner = command(args.one(), args.escape)
    trigger = inner.keyword.upper()
    if trigger in ("ONBUILD", "FROM", "MAINTAINER"):
        raise args.error(
            "bad-onbuild", f"{trigger} cannot be an ONBUILD trigger", "use another instruction"
        )
    if trigger in ("ENV", "LABEL"):
        args.pairs(inner.rest)
    text = _ONBUILD.sub("", args.place.text, count=1)
    docs = (f"\n{doc.content}{doc.name}" for doc in args.heredocs)
    return Onbuild(args.place, text + "".join(docs), trigger)


def _maintainer(args: Arguments) -> Maintainer:
    return Maintainer(args.place, args.one())


READERS: Final[Mapping[str, Callable[[Arguments], Instruction | From]]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}

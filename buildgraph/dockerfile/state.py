"""What is known of a stage at one of its lines: its image's config, its variables, its layers and its history.

The variables of a stage are more than the environment of its image: an ARG is a variable from its line on, in this
stage and in those that begin ``FROM`` it, and is kept in no image. Where both name one variable, the later line wins.
"""

import re
from collections.abc import Iterable, Mapping
from posixpath import isabs, join, normpath

from buildgraph.dockerfile import gotext
from buildgraph.dockerfile.budget import Budget
from buildgraph.dockerfile.gathered import Gathered
from buildgraph.dockerfile.numbers import natural
from buildgraph.dockerfile.options import DEFAULT_PATH, NO_VARIABLES
from buildgraph.dockerfile.words import expand, expand_body, expand_words
from buildgraph.errors import UsageError
from buildgraph.names import Platform
from buildgraph.oci.config import Config, Healthcheck
from buildgraph.spec import model as m
from buildgraph.values import dataclass, field, replace

DEFAULT_SHELL = ("/bin/sh", "-c")
MARK = " # buildkit"
"""Ends the history line of what has a layer."""


@dataclass(slots=True)
class StageState:
    """``stack`` are the references that make its filesystem, bottom first.

    ``args`` are the ARGs in order with their last values, None without one. ``config`` has what a line sets as a whole;
    what grows line by line is ``gathered``, and :meth:`image_config` has both.
    """

    config: Config
    platform: Platform
    gathered: Gathered
    budget: Budget
    variables: dict[str, str] = field(default_factory=dict)
    texts: dict[str, m.Text] = field(default_factory=dict)
    """The variables as a command of the model has them."""
    args: dict[str, str | None] = field(default_factory=dict)
    stack: list[m.Ref] = field(default_factory=list)
    history: list[m.HistoryLine] = field(default_factory=list)
    cmd_set: bool = False
    """Whether the stage itself has had a CMD."""

    @classmethod
    def of_image(
        cls, config: Config, platform: Platform, stack: tuple[m.Ref, ...], budget: Budget
    ) -> "StageState":
        """A stage that begins with an image; a config that has no PATH gets docker's."""
        if "PATH" not in config.environment:
            config = replace(config, env=(*config.env, ("PATH", DEFAULT_PATH)))
        if config.workdir and not isabs(config.workdir):
            config = replace(config, workdir=_joined("/", config.workdir))
        gathered = Gathered.of_base(config)
        made = cls(config, platform, gathered, budget, stack=list(stack))
        made.assign(config.env)
        return made

    def child(self, *, last: bool) -> "StageState":
        """A stage that begins FROM this one: everything carries over, ARGs too; only triggers do not.

        ``last``: nothing else is made of this stage, so that it may become the child itself.
        """
        if last:
            self.gathered.onbuild, self.cmd_set = [], False
            return self
        self.budget.spend(len(self.history) + len(self.stack) + 2 * len(self.variables))
        config = self.image_config()
        made = replace(self, config=config, gathered=Gathered.of_base(config), cmd_set=False)
        made.variables, made.args = dict(self.variables), dict(self.args)
        made.texts = dict(self.texts)
        made.history, made.stack = list(self.history), list(self.stack)
        return made

    def image_config(self) -> Config:
        return self.gathered.config(self.config)

    # -- words

    def assign(self, pairs: Iterable[tuple[str, str]]) -> None:
        for name, value in pairs:
            self.variables[name] = value
            self.texts[name] = m.Text((value,))

    def word(self, text: str, escape: str) -> str:
        return self._spent(expand(text, self.variables, escape))

    def words(self, text: str, escape: str) -> tuple[str, ...]:
        found = expand_words(text, self.variables, escape)
        self.budget.spend(sum(map(len, found)))
        return found

    def body(self, text: str) -> str:
        """That of a heredoc of COPY or ADD."""
        return self._spent(expand_body(text, self.variables))

    def _spent(self, made: str) -> str:
        self.budget.spend(len(made))
        return made

    # -- layers and history

    def add_layer(self, ref: m.Ref, line: str, *, marked: bool = True) -> None:
        self.budget.spend(len(line))
        self.history.append(m.HistoryLine(line + MARK if marked else line, ref))

    def add_line(self, line: str) -> None:
        self.budget.spend(len(line))
        self.history.append(m.HistoryLine(line))

    # -- instructions

    def env(self, pairs: Iterable[tuple[str, str]]) -> None:
        pairs = tuple(pairs)
        self.assign(pairs)
        self.gathered.set_env(pairs)
        self.add_line(" ".join(("ENV", *map("=".join, pairs))))

    def label(self, pairs: Iterable[tuple[str, str]]) -> None:
        pairs = tuple(pairs)
        self.gathered.labels.update(pairs)
        self.add_line(" ".join(("LABEL", *map("=".join, pairs))))

    def declare(self, name: str, value: str | None) -> str:
        """One of an ARG's, with its final value; what history says of it."""
        self.args[name] = value
        if value is not None and name not in NO_VARIABLES:
            self.assign(((name, value),))
        return name if value is None else f"{name}={value}"

    def user(self, name: str) -> None:
        self.config = replace(self.config, user=name)
        self.add_line(f"USER {name}")

    def workdir(self, path: str) -> str:
        """The directory that it names; its history comes with its layer."""
        made = _joined(self.config.workdir or "/", checked_path(path))
        self.config = replace(self.config, workdir=made)
        return made

    def cmd(self, argv: tuple[str, ...]) -> None:
        self.cmd_set = True
        extra = {**self.config.runtime_extra, "ArgsEscaped": True}
        self.config = replace(self.config, cmd=argv, runtime_extra=extra)
        self.add_line(f"CMD {gotext.quoted_list(argv)}")

    def entrypoint(self, argv: tuple[str, ...]) -> None:
        cmd = self.config.cmd if self.cmd_set else None
        self.config = replace(self.config, entrypoint=argv, cmd=cmd)
        self.add_line(f"ENTRYPOINT {gotext.quoted_list(argv)}")

    def shell(self, argv: tuple[str, ...]) -> None:
        self.config = replace(self.config, shell=argv)
        self.add_line(f"SHELL {gotext.plain_list(argv)}")

    def expose(self, ports: tuple[str, ...]) -> None:
        self.gathered.exposed.update(ports)
        self.add_line(f"EXPOSE {gotext.plain_list(ports)}")

    def volume(self, paths: tuple[str, ...]) -> None:
        if not all(paths):
            raise UsageError("bad-volume", "VOLUME names an empty path", hint="name a directory")
        self.gathered.volumes.update(paths)
        self.add_line(f"VOLUME {gotext.plain_list(paths)}")

    def stop_signal(self, name: str) -> None:
        check_signal(name)
        self.config = replace(self.config, stop_signal=name)
        self.add_line(f"STOPSIGNAL {name}")

    def healthcheck(self, check: Healthcheck) -> None:
        self.config = replace(self.config, healthcheck=check)
        self.add_line(f"HEALTHCHECK {gotext.healthcheck(check)}")

    def maintainer(self, name: str) -> None:
        self.config = replace(self.config, author=name)
        self.add_line(f"MAINTAINER {name}")

    def trigger(self, text: str) -> None:
        """ONBUILD; leaves no line."""
        self.gathered.onbuild.append(text)

    # -- what a command sees

    def in_shell(self, text: str) -> tuple[str, ...]:
        return (*(self.config.shell or DEFAULT_SHELL), text)

    def path(self, text: str) -> str:
        """A destination, absolute; a trailing slash, or what means the directory itself, is kept as a slash."""
        if text in ("", "."):
            text = "./"
        made = _joined(self.config.workdir or "/", checked_path(text))
        return f"{made}/" if text.endswith(("/", "/.")) and made != "/" else made

    def run_line(self, argv: Iterable[str]) -> str:
        """RUN's history: the ARGs that it can see stand before the command, each once, with its last value."""
        told = [
            f"{name}={self.variables.get(name, value or '')}" for name, value in self.args.items()
        ]
        count = [f"|{len(told)}"] if told else []
        return " ".join(("RUN", *count, *told, *argv))


def empty_config(platform: Platform) -> Config:
    """That of ``FROM scratch``."""
    return replace(Config.empty(platform), env=(("PATH", DEFAULT_PATH),), workdir="/")


def of_platform(config: Config, platform: Platform) -> Config:
    """What is said of the base's platform beyond system and architecture stays where these do."""
    same = (config.os, config.architecture) == (platform.os, platform.arch)
    extra = {name: value for name, value in config.extra.items() if same or name != "os.version"}
    variant = platform.variant or (config.variant if same else "")
    return replace(config, os=platform.os, architecture=platform.arch, variant=variant, extra=extra)


def with_labels(config: Config, labels: Mapping[str, str]) -> Config:
    return replace(config, labels={**config.labels, **labels}) if labels else config


_SIGNALS = """
ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN
TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX
"""
SIGNALS = frozenset(_SIGNALS.split())
_REAL_TIME = re.compile(r"RTMIN\+(?:[1-9]|1[0-5])|RTMAX-(?:[1-9]|1[0-4])")


def check_signal(name: str) -> None:
    """Raises UsageError ``bad-signal``."""
    if name.isascii() and name.isdigit():
        if natural(name, (1 << 63) - 1):
            return
    else:
        bare = name.upper().removeprefix("SIG")
        if bare in SIGNALS or _REAL_TIME.fullmatch(bare):
            return
    raise UsageError(
        "bad-signal", f"STOPSIGNAL {name}: there is no such signal", hint="write it as SIGTERM"
    )


def checked_path(text: str) -> str:
    """Raises UsageError ``nul-in-path``."""
    if "\0" in text:
        raise UsageError(
            "nul-in-path", f"the path {text!r} has a NUL character", hint="no file can be called so"
        )
    return text


def _joined(directory: str, path: str) -> str:
    made = normpath(join(directory, path))
    return "/" + made.lstrip("/")

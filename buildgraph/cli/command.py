"""Commands and groups as this program has them: examples before everything else, ``-h`` and the common options
everywhere, near names for what does not exist, modules loaded when they are needed."""

from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from importlib import import_module
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import click

from buildgraph.cli import everywhere, session
from buildgraph.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

P = ParamSpec("P")

SETTINGS: Mapping[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

Example = tuple[str, str]
"""A command line and what it does, in a few words."""


_PATHS: Mapping[str, str] = {
    "FILE": "file",
    "DOCKERFILE": "file",
    "DIR": "dir",
    "CONTEXT": "dir",
    "DOCKERFILE] [CONTEXT": "file",
    "URL|FOLDER": "dir",
}
"""What a shell completes where this is to be written."""


class _PathText(click.types.StringParamType):
    def __init__(self, kind: str) -> None:
        self._kind = kind

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type=self._kind)]


class Explained(click.Command):
    """A command with examples; ``headings`` name the panels of the commands below it."""

    def __init__(
        self,
        *args: Any,
        examples: Sequence[Example] = (),
        headings: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("context_settings", dict(SETTINGS))
        super().__init__(*args, **kwargs)
        self.short_help = first_sentence(self.help)
        self.examples = tuple(examples)
        self.headings = headings or {}
        self.params += everywhere.options()
        for param in self.params:
            kind = _PATHS.get((param.metavar or "").strip("[]"))
            param.type = _PathText(kind) if kind else param.type

    def get_help(self, ctx: click.Context) -> str:
        from buildgraph.cli import helppage

        return helppage.page(self, self.examples, ctx)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _show_help
        return option

    @property
    def panels(self) -> list[Any]:
        """What rich_click asks a command for."""
        from buildgraph.cli import helppage

        return helppage.panels(self.headings)


def _show_help(context: click.Context, _parameter: click.Parameter, value: object) -> None:
    """Not by click's echo: whether colours are wanted has been decided."""
    if value and not context.resilient_parsing:
        click.echo(context.get_help(), color=True)
        context.exit()


class Command(Explained):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        args = [*_switched(args[:end], self.params), *args[end:]]
        end = args.index("--") if "--" in args else len(args)
        bare = [option for option in self.params if isinstance(option, Bare)]
        for option in bare:
            args[:end] = [option.spelled(argument) for argument in args[:end]]
        return super().parse_args(ctx, args)


def _switched(args: Sequence[str], params: Sequence[click.Parameter]) -> list[str]:
    """Flags as scripts for docker write them: ``--pull=true`` is ``--pull``, and ``--pull=false`` nothing."""
    flags = {
        o for p in params if isinstance(p, Bare) or getattr(p, "is_flag", False) for o in p.opts
    }
    found = []
    for argument in args:
        name, _, value = argument.partition("=")
        if name not in flags or value.lower() not in ("true", "1", "false", "0"):
            found.append(argument)
        elif value.lower() in ("true", "1"):
            found.append(name)
    return found


class Bare(click.Option):
    """An option whose value may be left out, and is only ever written behind ``=``: ``--push``, ``--push=each``."""

    def __init__(self, *args: Any, bare: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bare = bare

    def spelled(self, argument: str) -> str:
        return f"{argument}={self.bare}" if argument in self.opts else argument


def first_sentence(text: str | None) -> str:
    words = " ".join((text or "").split())
    return words.partition(". ")[0].rstrip(".") + "."


class Group(Explained, click.Group):
    """``places`` says where commands are (``module:attribute``), ``headings`` sorts them for the overview; those in
    ``later`` are not supported yet: refused, and listed nowhere."""

    def __init__(
        self,
        *args: Any,
        places: Mapping[str, str] | None = None,
        later: frozenset[str] = frozenset(),
        headings: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("no_args_is_help", False)
        super().__init__(*args, headings=headings or {"Commands": ()}, **kwargs)
        self.places = dict(places or {})
        self.later = later

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(UsageError.exit_code)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.places, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self.places.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = place.partition(":")
        found = getattr(import_module(f"buildgraph.cli.{module}"), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            raise self._unknown(ctx, name)
        return super().resolve_command(ctx, args)

    def _unknown(self, ctx: click.Context, name: str) -> Exception:
        if name.startswith("-"):
            return click.NoSuchOption(name, ctx=ctx)
        if name in self.later:
            return UsageError(
                "unsupported",
                f"{ctx.command_path} {name} is not supported yet",
                hint=f"{ctx.command_path} -h lists what there is",
            )
        hint = near(name, self.list_commands(ctx)) or f"{ctx.command_path} -h lists all commands"
        return UsageError("unknown-command", f"there is no command {name!r}", hint=hint)


def near(name: str, known: Sequence[str]) -> str:
    """``did you mean …?``, or nothing."""
    from difflib import get_close_matches

    matches = get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(matches)}?" if matches else ""


def command(
    name: str, *, examples: Sequence[Example], **extra: Any
) -> Callable[[Callable[Concatenate[session.Session, P], None]], Command]:
    """Make a function of a session a command; its docstring is the help text."""

    def decorate(function: Callable[Concatenate[session.Session, P], None]) -> Command:
        return click.command(name, cls=Command, examples=examples, **extra)(with_session(function))

    return decorate


def with_session(
    function: Callable[Concatenate[session.Session, P], None],
) -> Callable[P, None]:
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        function(everywhere.current(click.get_current_context()), *args, **kwargs)

    params = getattr(function, "__click_params__", [])
    update_wrapper(call, function)
    call.__click_params__ = params  # type: ignore[attr-defined]
    return call

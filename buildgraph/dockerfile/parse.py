"""From text to stages and instructions: each with its lines, or an error that shows them.

``parse`` says what stands in a Dockerfile, not what it means for a target: stages are not looked up, variables not
expanded, images not asked for.
"""

from collections.abc import Iterable

from buildgraph.dockerfile.arguments import Arguments
from buildgraph.dockerfile.instructions import Arg, Dockerfile, From, Instruction, Stage
from buildgraph.dockerfile.lex import Lexer, LogicalLine
from buildgraph.dockerfile.readers import READERS
from buildgraph.dockerfile.source import Lines, Source
from buildgraph.errors import UsageError
from buildgraph.spec.problems import mean, near


def parse(text: str | bytes, name: str = "Dockerfile") -> Dockerfile:
    """Raises :class:`UsageError` with the place of the first mistake; ``name`` is what errors call the file."""
    dockerfile, error = read(text, name)
    if error:
        raise error
    return dockerfile


def read(text: str | bytes, name: str = "Dockerfile") -> tuple[Dockerfile, UsageError | None]:
    """What stands before the first mistake, and the mistake."""
    reading = _Reading(Source(text, name))
    error = None
    try:
        reading.run()
    except UsageError as found:
        error = found
    return reading.result(), error


def parse_trigger(expression: str, name: str, *, escape: str = "\\") -> Instruction:
    """The instruction of an ONBUILD, of a config or of a stage; ``name`` says in errors whose it is.

    Raises :class:`UsageError`; ``bad-onbuild`` where it is not exactly one that may be a trigger.
    """
    source = Source(expression, name)
    lexer = Lexer(source)
    lexer.escape = escape
    found = [instruction(line, source, lexer.escape) for line in lexer.lines()]
    if len(found) == 1 and not isinstance(found[0], From):
        return found[0]
    raise source.error(
        Lines(1, max(1, len(source.lines))),
        "bad-onbuild",
        f"'{expression}' is no single instruction for ONBUILD",
        hint="ONBUILD takes one instruction, other than FROM, ONBUILD and MAINTAINER",
    )


def instruction(line: LogicalLine, source: Source, escape: str) -> Instruction | From:
    """Raises :class:`UsageError`."""
    keyword = line.command.keyword.upper()
    reader = READERS.get(keyword)
    if reader is None:
        raise source.error(
            line.where,
            "unknown-instruction",
            f"there is no instruction '{line.command.keyword}'",
            hint=_hint(line.command.keyword),
        )
    return reader(Arguments(line, source, escape, keyword))


def _hint(keyword: str) -> str:
    close = near(keyword[:40], READERS)
    if close:
        return mean(close).replace('"', "")
    if keyword.startswith("//"):
        return "comments begin with #"
    return "a line that goes on in the next ends with \\; heredocs are for RUN, COPY and ADD only"


class _Reading:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._lexer = Lexer(source)
        self._args: list[Arg] = []
        self._stages: list[tuple[From, list[Instruction]]] = []
        self._empty: list[Lines] = []

    def run(self) -> None:
        for line in self._lexer.lines():
            if line.empty_continuation:
                self._empty.append(Lines(line.empty_continuation, line.empty_continuation))
            self._add(instruction(line, self._source, self._lexer.escape))
        if not self._stages:
            raise self._nothing_to_build()

    def _add(self, found: Instruction | From) -> None:
        if isinstance(found, From):
            self._stages.append((found, []))
        elif self._stages:
            self._stages[-1][1].append(found)
        elif isinstance(found, Arg):
            self._args.append(found)
        else:
            raise self._source.error(
                found.where,
                "instruction-before-from",
                f"{found.name} stands before the first FROM",
                hint="only ARG may; begin the stage with FROM",
            )

    def _nothing_to_build(self) -> UsageError:
        where = Lines(0, 0)
        if self._args:
            message = "there are ARGs, but there is no build stage"
            return self._source.error(where, "no-stage", message, hint="a stage begins with FROM")
        message = "the Dockerfile holds no instruction"
        return self._source.error(where, "empty-dockerfile", message, hint="begin with FROM")

    def result(self) -> Dockerfile:
        return Dockerfile(
            self._source,
            self._lexer.escape,
            tuple(self._lexer.directives.values()),
            tuple(self._args),
            _numbered(self._stages),
            tuple(self._empty),
        )


def _numbered(stages: Iterable[tuple[From, list[Instruction]]]) -> tuple[Stage, ...]:
    return tuple(
        Stage(index, origin, tuple(inside)) for index, (origin, inside) in enumerate(stages)
    )

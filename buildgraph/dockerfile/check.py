"""What is questionable in a Dockerfile, without building it? The build checks, on text.

Findings come in BuildKit's words. Those that stand before a mistake are told with it; a build checks the stages that
its target needs, a check without a target all of them.
"""

from collections.abc import Iterable, Mapping, Sequence

from buildgraph.dockerfile import rules
from buildgraph.dockerfile.budget import Budget
from buildgraph.dockerfile.checkfrom import check_bases, check_defaults
from buildgraph.dockerfile.checkstage import StageCheck
from buildgraph.dockerfile.findings import Finding, Findings
from buildgraph.dockerfile.instructions import (
    Arg,
    Dockerfile,
    From,
    Instruction,
    Maintainer,
    Written,
)
from buildgraph.dockerfile.lex import directive_in
from buildgraph.dockerfile.options import Options
from buildgraph.dockerfile.parse import read
from buildgraph.dockerfile.source import Lines
from buildgraph.dockerfile.stages import StageNode, Stages, blaming
from buildgraph.errors import UsageError
from buildgraph.fs.moby import Patterns
from buildgraph.oci.config import Config
from buildgraph.values import dataclass

CONTROL_ARG = "BUILDKIT_DOCKERFILE_CHECK"
"""A build argument of this name stands for the file's own ``# check=``."""

_RESERVED = ("context", "scratch")


@dataclass(frozen=True, slots=True)
class Report:
    """``findings`` by line; ``error`` is what keeps the file from being built.

    ``fatal`` are the rules whose findings fail the build (``error=true``).
    """

    findings: tuple[Finding, ...]
    error: UsageError | None = None
    fatal: tuple[str, ...] = ()


def check(
    text: str | bytes,
    options: Options | None = None,
    configs: Mapping[str, Config] | None = None,
    *,
    ignore: Sequence[str] = (),
    file: str = "Dockerfile",
    reached: bool = False,
) -> Report:
    """``configs`` are those of images, by the names that FROM gives them: without its base's, undefined variables of a
    stage are not told.

    ``ignore`` are the lines of the context's ignore file. ``reached``: only the stages that the target needs, as for a
    build. Raises :class:`UsageError` ``bad-check-option``, ``bad-pattern``; all else is in the report.
    """
    options = options or Options()
    dockerfile, error = read(text, file)
    findings = Findings(dockerfile, _control(dockerfile, options))
    patterns = Patterns.of_lines(ignore)
    _check_text(dockerfile, findings)
    if error is None:
        _check_names(dockerfile, findings)
        _check_casing(dockerfile, findings)
        check_defaults(dockerfile, options, findings, Budget())
        try:
            check_bases(dockerfile, options, findings, Budget())
            stages = Stages.of(dockerfile, options)
            nodes = _reached(stages, configs or {}, everything=not (reached or options.target))
            StageCheck(stages, configs or {}, findings, patterns, tuple(ignore)).run(nodes)
        except UsageError as found:
            error = found
    return Report(findings.sorted(), error, findings.fatal())


def _control(dockerfile: Dockerfile, options: Options) -> rules.Control:
    if CONTROL_ARG in options.args:
        return rules.Control.parse(options.args[CONTROL_ARG])
    lines = [line.rstrip("\r\n") for line in dockerfile.source.lines]
    if lines and lines[0].startswith("#!"):
        del lines[0]
    at = next((each.line for each in dockerfile.directives if each.name == "check"), 0)
    with blaming(dockerfile, Lines(at, at)):
        return rules.Control.parse(directive_in(lines, "check").split(" ")[0])


def _reached(
    stages: Stages, configs: Mapping[str, Config], *, everything: bool
) -> Sequence[StageNode]:
    target = stages.target()
    while True:
        nodes = stages.nodes if everything else stages.needed(target)
        triggers = {node.stage.index: _triggers(node, configs) for node in nodes}
        for node in nodes:
            stages.fire(node, triggers)
            list(stages.needs(node))  # for what it raises
        if everything or len(stages.needed(target)) == len(nodes):
            return nodes


def _triggers(node: StageNode, configs: Mapping[str, Config]) -> tuple[str, ...]:
    config = configs.get(node.base_name) if node.from_image else None
    return config.onbuild if config else ()


def _instructions(dockerfile: Dockerfile) -> Iterable[Instruction | From]:
    for stage in dockerfile.stages:
        yield stage.origin
        yield from stage.instructions


def _check_text(dockerfile: Dockerfile, findings: Findings) -> None:
    for where in dockerfile.empty_continuations:
        findings.add(rules.NO_EMPTY_CONTINUATION, where)
    for each in (*dockerfile.args, *_instructions(dockerfile)):
        match each:
            case From():
                _check_from(each, findings)
            case Arg():
                _check_description(each, [pair.name for pair in each.pairs], findings)
            case Maintainer():
                findings.at(each, rules.MAINTAINER_DEPRECATED)
            case _:
                pass


def _check_from(origin: From, findings: Findings) -> None:
    if origin.stage_written != origin.stage:
        findings.at(origin, rules.STAGE_NAME_CASING, origin.stage_written)
    keyword, as_written = origin.keyword, origin.as_written
    for cased in (str.lower, str.upper):
        if keyword == cased(keyword) and as_written != cased(as_written):
            findings.at(origin, rules.FROM_AS_CASING, as_written, keyword)
    if origin.stage:
        _check_description(origin, [origin.stage_written], findings)


def _check_description(each: Written, names: Sequence[str], findings: Findings) -> None:
    comments = [comment for comment in each.comments if not comment.lower().startswith("check=")]
    if comments and comments[-1].split(" ")[0] not in names:
        shown = names[0] if len(names) == 1 else "<arg_key>"
        findings.at(each, rules.INVALID_DEFINITION_DESCRIPTION, each.name, shown)


def _check_names(dockerfile: Dockerfile, findings: Findings) -> None:
    seen: set[str] = set()
    for stage in dockerfile.stages:
        name = stage.origin.stage
        if name in _RESERVED:
            findings.at(stage.origin, rules.RESERVED_STAGE_NAME, name)
        if name in seen:
            findings.at(stage.origin, rules.DUPLICATE_STAGE_NAME, name)
        if name:
            seen.add(name)


def _check_casing(dockerfile: Dockerfile, findings: Findings) -> None:
    written = list(_instructions(dockerfile))
    lower = sum(each.keyword.islower() for each in written)
    upper = sum(each.keyword.isupper() for each in written)
    right, name = (str.lower, "lowercase") if lower > upper else (str.upper, "uppercase")
    for each in written:
        if each.keyword != right(each.keyword):
            findings.at(each, rules.CONSISTENT_INSTRUCTION_CASING, each.keyword, name)

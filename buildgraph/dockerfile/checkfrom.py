"""The checks of FROM lines: what their arguments make of them."""

from collections.abc import Iterable, Mapping

from buildgraph.dockerfile import rules
from buildgraph.dockerfile.budget import Budget
from buildgraph.dockerfile.findings import Findings
from buildgraph.dockerfile.instructions import Dockerfile, From
from buildgraph.dockerfile.options import Options
from buildgraph.dockerfile.stages import blaming, global_arguments, parse_platform
from buildgraph.dockerfile.words import Expansion, expansion
from buildgraph.errors import UsageError
from buildgraph.names import Platform, Reference
from buildgraph.values import replace

_TARGET = "TARGETPLATFORM"


def check_defaults(
    dockerfile: Dockerfile, options: Options, findings: Findings, budget: Budget
) -> None:
    """Whether bases stay names of images when no argument is given."""
    try:
        arguments = global_arguments(dockerfile, replace(options, args={}), budget)
        bases = []
        for stage in dockerfile.stages:
            base = expansion(stage.origin.base, arguments, dockerfile.escape).text
            budget.spend(len(base))
            bases.append((stage.origin, base))
    except UsageError:
        return  # the build fails for it, or an argument that is given saves it
    for origin, base in bases:
        if not _is_reference(base):
            findings.at(origin, rules.INVALID_DEFAULT_ARG_IN_FROM, origin.base)


def _is_reference(text: str) -> bool:
    try:
        Reference.parse(text)
    except UsageError:
        return False
    return True


def check_bases(
    dockerfile: Dockerfile, options: Options, findings: Findings, budget: Budget
) -> None:
    """Raises :class:`UsageError` for what cannot be expanded."""
    arguments = global_arguments(dockerfile, options, budget)
    declared = {pair.name for arg in dockerfile.args for pair in arg.pairs}
    known = dict.fromkeys(sorted(declared | set(arguments)))
    for stage in dockerfile.stages:
        origin = stage.origin
        with blaming(dockerfile, origin.where):
            base = expansion(origin.base, arguments, dockerfile.escape)
            budget.spend(len(base.text))
            _check_declared(origin, base.unset, known, findings)
            if origin.platform:
                platform = expansion(origin.platform, arguments, dockerfile.escape)
                _check_declared(origin, platform.unset, known, findings)
                _check_platform(origin, platform, arguments, options.platform, findings)


def _check_declared(
    origin: From, unset: Iterable[str], known: Mapping[str, None], findings: Findings
) -> None:
    for name in sorted(unset):
        if name not in known:
            findings.at(origin, rules.UNDEFINED_ARG_IN_FROM, name, findings.suggest(name, known))


def _check_platform(
    origin: From,
    found: Expansion,
    arguments: Mapping[str, str],
    target: Platform,
    findings: Findings,
) -> None:
    if found.used == {_TARGET} and not found.unset and found.text == arguments.get(_TARGET, ""):
        findings.at(origin, rules.REDUNDANT_TARGET_PLATFORM, origin.platform)
    if found.used or found.unset:
        return
    try:
        platform = parse_platform(found.text, target)
    except UsageError:
        return
    if platform.os not in origin.stage and platform.arch not in origin.stage:
        findings.at(origin, rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED, found.text)

"""The checks of a stage's instructions, line by line, with the variables that each of them sees."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from posixpath import normpath
from typing import Final

from buildgraph.dockerfile import rules
from buildgraph.dockerfile.findings import Findings
from buildgraph.dockerfile.heredoc import Heredoc
from buildgraph.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
    Written,
)
from buildgraph.dockerfile.mounts import read_mount
from buildgraph.dockerfile.options import DEFAULT_PATH, NO_VARIABLES
from buildgraph.dockerfile.ports import exposed_ports
from buildgraph.dockerfile.stages import StageNode, Stages, blaming
from buildgraph.dockerfile.state import check_signal
from buildgraph.dockerfile.words import Expansion, expansion
from buildgraph.fs.moby import Patterns
from buildgraph.oci.config import Config
from buildgraph.values import dataclass, field

_SECRET: Final = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)",
    re.IGNORECASE,
)
_NO_SECRET: Final = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)
_WILDCARD: Final = re.compile(r"[*?\[\\]")
_EVERYTHING: Final = ("*", "**", "**/*")
_REMOTE: Final = ("http://", "https://", "git://", "git@", "ssh://")


@dataclass(slots=True)
class _State:
    """``whole``: every variable is known, because the base's config is; else ``guessed`` are those whose values hang on
    what is not."""

    variables: dict[str, str]
    whole: bool
    declared: set[str] = field(default_factory=set)
    shell: bool = False
    workdir: bool = False
    guessed: set[str] = field(default_factory=set)


class StageCheck:
    def __init__(
        self,
        stages: Stages,
        configs: Mapping[str, Config],
        findings: Findings,
        ignore: Patterns,
        lines: Sequence[str],
    ) -> None:
        self._stages = stages
        self._configs = configs
        self._findings = findings
        self._ignore = ignore
        self._all_ignored = any(line.strip().strip("/") in _EVERYTHING for line in lines)
        self._states: dict[int, _State] = {}
        self._state = _State({}, whole=False)
        self._node: StageNode | None = None
        self._last: dict[str, Written] = {}
        self._children: Counter[int] = Counter()
        """How many begin with a stage."""

    def run(self, nodes: Sequence[StageNode]) -> None:
        """In the file's order. Raises :class:`UsageError` where a word cannot be expanded."""
        self._children.update(node.base.stage.index for node in nodes if node.base)
        for node in nodes:
            self._check_platform(node)
            self._node, self._last = node, {}
            self._state = self._states[node.stage.index] = self._begin(node)
            triggers = len(node.triggers or ())
            for at, each in enumerate(node.instructions):
                where = node.where if at < triggers else each.where
                with blaming(self._stages.file, where):
                    self._check(each, trigger=at < triggers)

    def _begin(self, node: StageNode) -> _State:
        at = node.base.stage.index if node.base else -1
        if self._children[at] == 1 and at in self._states:  # nobody else looks at it any more
            return self._states.pop(at)
        base = self._states.get(at)
        if base:
            self._stages.budget.spend(len(base.variables) + len(base.declared) + len(base.guessed))
            variables, declared = dict(base.variables), set(base.declared)
            guessed = set(base.guessed)
            return _State(variables, base.whole, declared, base.shell, base.workdir, guessed)
        config = self._configs.get(node.base_name)
        variables = {"PATH": DEFAULT_PATH} | (config.environment if config else {})
        whole = config is not None or not node.from_image
        return _State(variables, whole, shell=bool(config and config.shell))

    def _check_platform(self, node: StageNode) -> None:
        config = self._configs.get(node.base_name) if node.from_image else None
        if config is None or not config.diff_ids:
            return
        wanted, found = node.platform, config.platform
        if (wanted.os, wanted.arch) != (found.os, found.arch):
            values = (node.base_name, str(found), str(wanted))
            self._findings.at(node.stage.origin, rules.INVALID_BASE_IMAGE_PLATFORM, *values)

    def _check(self, each: Instruction, *, trigger: bool) -> None:
        found = _Told(self._findings, each, self._node if trigger else None)
        words = [self._word(found, word) for word in _words(each)]
        match each:
            case Env() | Label():
                self._check_pairs(each, found, words)
                if isinstance(each, Env):
                    values = [self._is_sure(pair.value or "") for pair in each.pairs]
                    for name, value, sure in zip(words[::2], words[1::2], values, strict=True):
                        self._assign(name, value, sure=sure)
            case Arg():
                self._check_arg(each, found)
            case Cmd(command=command) | Entrypoint(command=command):
                self._check_once(each)
                if not command.exec and not self._state.shell:
                    found.tell(rules.JSON_ARGS_RECOMMENDED, each.keyword)
            case Healthcheck():
                self._check_once(each)
            case Shell():
                self._state.shell = True
            case Workdir(path=path):
                relative = not words[0].startswith("/") and self._is_sure(path)
                if relative and not self._state.workdir:
                    found.tell(rules.WORKDIR_RELATIVE_PATH, words[0])
                self._state.workdir = True
            case Copy(origin="") | Add():
                self._check_sources(each, found, words)
            case Expose():
                self._check_ports(each, found)
            case Stopsignal(signal=signal) if self._is_sure(signal):
                check_signal(words[0])
            case Run(mounts=mounts):
                for flag in mounts:
                    if all(self._is_sure(option.value or "") for option in flag.options):
                        read_mount(flag, self._plain)
            case _:
                pass

    def _expanded(self, word: str | Heredoc) -> Expansion:
        state = self._state
        guessed = None if state.whole else state.guessed
        if isinstance(word, Heredoc):
            return expansion(word.body, state.variables, quotes=False, guessed=guessed)
        return expansion(word, state.variables, self._stages.file.escape, guessed=guessed)

    def _is_sure(self, word: str) -> bool:
        """Whether it hangs on no variable that only the base's config could tell."""
        if self._state.whole:
            return True
        made = self._expanded(word)
        return not made.unset and not made.used & self._state.guessed

    def _assign(self, name: str, value: str, *, sure: bool) -> None:
        self._state.variables[name] = value
        (self._state.guessed.discard if sure else self._state.guessed.add)(name)

    def _word(self, found: "_Told", word: str | Heredoc) -> str:
        variables, made = self._state.variables, self._expanded(word)
        self._stages.budget.spend(len(made.text))
        if self._state.whole:
            for name in sorted(made.undefined - self._state.declared):
                if name not in NO_VARIABLES:
                    found.tell(
                        rules.UNDEFINED_VAR, name, self._findings.suggest(name, variables, "$")
                    )
        return made.text

    def _check_pairs(self, each: Env | Label, found: "_Told", words: Sequence[str]) -> None:
        for pair, name in zip(each.pairs, words[::2], strict=True):
            if pair.legacy:
                found.tell(rules.LEGACY_KEY_VALUE_FORMAT, each.keyword)
            if isinstance(each, Env):
                _check_secret("ENV", name, found)

    def _check_arg(self, arg: Arg, found: "_Told") -> None:
        given, known = self._stages.options.args, self._stages.arguments
        for pair in arg.pairs:
            _check_secret("ARG", pair.name, found)
            value, sure = given.get(pair.name), True
            if value is None and pair.default is not None:
                value, sure = self._word(found, pair.default), self._is_sure(pair.default)
            elif value is None:
                value = known.get(pair.name)
            if value is not None and pair.name not in NO_VARIABLES:
                self._assign(pair.name, value, sure=sure)
            self._state.declared.add(pair.name)

    def _check_once(self, each: Written) -> None:
        """It is the earlier one that counts for nothing."""
        before = self._last.get(each.name)
        if before is not None:
            rule = rules.MULTIPLE_INSTRUCTIONS_DISALLOWED
            self._findings.at(each, rule, each.keyword, where=before.where)
        self._last[each.name] = each

    def _check_sources(self, each: Copy | Add, found: "_Told", words: Sequence[str]) -> None:
        if not self._ignore:
            return
        verb = "Add" if isinstance(each, Add) else "Copy"
        for source, word in zip(each.sources, words, strict=False):
            if isinstance(source, Heredoc) or (verb == "Add" and word.startswith(_REMOTE)):
                continue
            if not self._is_sure(source):
                continue
            path = normpath(word or ".").lstrip("/") or "."
            if self._is_ignored(path):
                found.tell(rules.COPY_IGNORED_FILE, verb, path)

    def _is_ignored(self, path: str) -> bool:
        """All of it: nothing below it, nor of what its wildcards may mean, is taken back by a later ``!``."""
        ignore = self._ignore
        if path == ".":
            return self._all_ignored and not ignore.reopens
        if not ignore.matches(path) or not ignore.reopens:
            return ignore.matches(path)
        wild = _WILDCARD.search(path)
        folder = path[: wild.start()].rpartition("/")[0] if wild else path
        return not ignore.may_contain(folder)

    def _plain(self, word: str) -> str:
        made = self._expanded(word).text
        self._stages.budget.spend(len(made))
        return made

    def _check_ports(self, each: Expose, found: "_Told") -> None:
        for word in filter(self._is_sure, each.ports):
            ports = [each for made in self._expanded(word).words for each in made.split()]
            exposed_ports(ports, self._stages.budget)
            for port in ports:
                protocol = port.partition("/")[2]
                if protocol != protocol.lower():
                    found.tell(rules.EXPOSE_PROTO_CASING, port)
                if port.rpartition(":")[0].strip(":"):
                    found.tell(rules.EXPOSE_INVALID_FORMAT, port)


class _Told:
    """Findings of one instruction; a trigger's stand where its stage begins."""

    def __init__(self, findings: Findings, each: Written, node: StageNode | None) -> None:
        self._findings = findings
        self._each = each
        self._where = node.where if node else None

    def tell(self, rule: rules.Rule, *values: str) -> None:
        self._findings.at(self._each, rule, *values, where=self._where)


def _check_secret(keyword: str, name: str, found: _Told) -> None:
    if _SECRET.search(name) and not _NO_SECRET.search(name):
        found.tell(rules.SECRETS_USED_IN_ARG_OR_ENV, keyword, name)


def _words(each: Instruction) -> Iterator[str | Heredoc]:
    """What is expanded with one result for each word; the sources of a copy come first, in order."""
    match each:
        case Env(pairs=pairs) | Label(pairs=pairs):
            for pair in pairs:
                yield pair.name
                yield pair.value or ""
        case Copy() | Add():
            for source in each.sources:
                yield source if isinstance(source, str) or source.expand else ""
            yield from (each.to, each.chown, each.chmod, *each.exclude)
            if isinstance(each, Add):
                yield each.checksum
        case Run(mounts=mounts):
            for mount in mounts:
                yield from (o.value or "" for o in mount.options if o.key != "from")
        case Workdir(path=word) | User(user=word) | Stopsignal(signal=word):
            yield word
        case Volume(paths=paths):
            yield from paths
        case _:
            return

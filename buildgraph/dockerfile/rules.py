"""The 22 build checks: their names, what they say, and how a Dockerfile turns them off (BuildKit's linter).

``# check=skip=A,B;error=true`` at the top counts for the file, a comment ``# check=skip=A`` right above an instruction
for that one; ``experimental=…`` turns rules on that are off by themselves; ``all`` names every rule.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from buildgraph.dockerfile.source import SPACES
from buildgraph.errors import UsageError
from buildgraph.spec.problems import mean, near

_DOCS: Final = "https://docs.docker.com/go/dockerfile/rule/"


class Rule(NamedTuple):
    """``message`` is a template; an experimental rule runs only where it is turned on."""

    name: str
    description: str
    message: str
    page: str = ""
    experimental: bool = False

    @property
    def url(self) -> str:
        return f"{_DOCS}{self.page}/" if self.page else ""


STAGE_NAME_CASING: Final = Rule(
    "StageNameCasing",
    "Stage names should be lowercase",
    "Stage name '{}' should be lowercase",
    "stage-name-casing",
)
FROM_AS_CASING: Final = Rule(
    "FromAsCasing",
    "The 'as' keyword should match the case of the 'from' keyword",
    "'{}' and '{}' keywords' casing do not match",
    "from-as-casing",
)
NO_EMPTY_CONTINUATION: Final = Rule(
    "NoEmptyContinuation",
    "Empty continuation lines will become errors in a future release",
    "Empty continuation line",
    "no-empty-continuation",
)
CONSISTENT_INSTRUCTION_CASING: Final = Rule(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    "Command '{}' should match the case of the command majority ({})",
    "consistent-instruction-casing",
)
DUPLICATE_STAGE_NAME: Final = Rule(
    "DuplicateStageName",
    "Stage names should be unique",
    'Duplicate stage name "{}", stage names should be unique',
    "duplicate-stage-name",
)
RESERVED_STAGE_NAME: Final = Rule(
    "ReservedStageName",
    "Reserved words should not be used as stage names",
    'Stage name should not use the same name as reserved stage "{}"',
    "reserved-stage-name",
)
JSON_ARGS_RECOMMENDED: Final = Rule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
    "json-args-recommended",
)
MAINTAINER_DEPRECATED: Final = Rule(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    "Maintainer instruction is deprecated in favor of using label",
    "maintainer-deprecated",
)
UNDEFINED_ARG_IN_FROM: Final = Rule(
    "UndefinedArgInFrom",
    "FROM command must use declared ARGs",
    "FROM argument '{}' is not declared{}",
    "undefined-arg-in-from",
)
WORKDIR_RELATIVE_PATH: Final = Rule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base "
    "image changes",
    'Relative workdir "{}" can have unexpected results if the base image changes',
    "workdir-relative-path",
)
UNDEFINED_VAR: Final = Rule(
    "UndefinedVar",
    "Variables should be defined before their use",
    "Usage of undefined variable '${}'{}",
    "undefined-var",
)
MULTIPLE_INSTRUCTIONS_DISALLOWED: Final = Rule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    "Multiple {} instructions should not be used in the same stage because only the last one will be used",
    "multiple-instructions-disallowed",
)
LEGACY_KEY_VALUE_FORMAT: Final = Rule(
    "LegacyKeyValueFormat",
    "Legacy key/value format with whitespace separator should not be used",
    '"{0} key=value" should be used instead of legacy "{0} key value" format',
    "legacy-key-value-format",
)
INVALID_BASE_IMAGE_PLATFORM: Final = Rule(
    "InvalidBaseImagePlatform",
    "Base image platform does not match expected target platform",
    'Base image {} was pulled with platform "{}", expected "{}" for current build',
)
REDUNDANT_TARGET_PLATFORM: Final = Rule(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
    "redundant-target-platform",
)
SECRETS_USED_IN_ARG_OR_ENV: Final = Rule(
    "SecretsUsedInArgOrEnv",
    "Sensitive data should not be used in the ARG or ENV commands",
    'Do not use ARG or ENV instructions for sensitive data ({} "{}")',
    "secrets-used-in-arg-or-env",
)
INVALID_DEFAULT_ARG_IN_FROM: Final = Rule(
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    "Default value for ARG {} results in empty or invalid base image name",
    "invalid-default-arg-in-from",
)
FROM_PLATFORM_FLAG_CONST_DISALLOWED: Final = Rule(
    "FromPlatformFlagConstDisallowed",
    "FROM --platform flag should not use a constant value",
    'FROM --platform flag should not use constant value "{}"',
    "from-platform-flag-const-disallowed",
)
COPY_IGNORED_FILE: Final = Rule(
    "CopyIgnoredFile",
    "Attempting to Copy file that is excluded by .dockerignore",
    'Attempting to {} file "{}" that is excluded by .dockerignore',
    "copy-ignored-file",
)
INVALID_DEFINITION_DESCRIPTION: Final = Rule(
    "InvalidDefinitionDescription",
    "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not "
    "intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    "Comment for {} should follow the format: `# {} <description>`",
    "invalid-definition-description",
    experimental=True,
)
EXPOSE_PROTO_CASING: Final = Rule(
    "ExposeProtoCasing",
    "Protocol in EXPOSE instruction should be lowercase",
    "Defined protocol '{}' in EXPOSE instruction should be lowercase",
    "expose-proto-casing",
)
EXPOSE_INVALID_FORMAT: Final = Rule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future "
    "release",
    "EXPOSE instruction should not define an IP address or host-port mapping, found '{}'",
    "expose-invalid-format",
)

RULES: Final = tuple(rule for rule in tuple(globals().values()) if isinstance(rule, Rule))


class Control(NamedTuple):
    """Which rules run; ``error`` makes their findings fatal."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    @classmethod
    def parse(cls, text: str) -> "Control":
        """``skip=…;experimental=…;error=true``. Raises :class:`UsageError` ``bad-check-option``."""
        skip = experimental = frozenset[str]()
        error = False
        for part in filter(None, text.strip(SPACES).split(";")):
            name, equals, value = (piece.strip(SPACES) for piece in part.partition("="))
            names = frozenset(each.strip(SPACES) for each in value.split(","))
            if equals and name == "skip":
                skip = names
            elif equals and name == "experimental":
                experimental = names
            elif equals and name == "error" and value.lower() in _BOOLEANS:
                error = _BOOLEANS[value.lower()]
            else:
                raise UsageError(
                    "bad-check-option",
                    f"'{part}' is no option of the checks",
                    hint=mean(near(name, _OPTIONS)) or "write skip=RULE,RULE;error=true",
                )
        return cls(skip, experimental, error)

    def above(self, comments: Iterable[str]) -> "Control":
        """With what a comment above an instruction adds; the first one counts, if it can be read."""
        for comment in comments:
            match = _COMMENT.match(comment)
            if match is None:
                continue
            try:
                more = Control.parse(match[1])
            except UsageError:
                return self
            skip, experimental = self.skip | more.skip, self.experimental | more.experimental
            return Control(skip, experimental, self.error)
        return self

    def runs(self, rule: Rule) -> bool:
        named = self.experimental if rule.experimental else self.skip
        return rule.experimental == ("all" in named or rule.name in named)


_OPTIONS: Final = ("skip", "experimental", "error")
_BOOLEANS: Final = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
_COMMENT: Final = re.compile(r"check\s*=\s*(\S+)", re.IGNORECASE)

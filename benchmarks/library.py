"""What the library does without building: CPU seconds in this process, by the interpreter that runs this file."""

import time
from collections.abc import Callable
from random import Random

from buildgraph.dockerfile.parse import parse
from buildgraph.fs.moby import Patterns

SEED = 4

PART = """\
# what belongs together stands together
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \\
    apt-get update \\
 && apt-get install --yes --no-install-recommends curl git \\
 && rm -rf /var/lib/apt/lists/*
ENV NAME="a value" PATH=/opt/tool/bin:$PATH
WORKDIR /src/${NAME:-app}
COPY --from=base --chown=1000:1000 --link ["pyproject.toml", "src/", "./"]
COPY <<EOF /etc/tool.conf
name = $NAME
EOF
LABEL org.example.part="one" org.example.kind=tool
CMD ["/opt/tool/bin/tool", "--serve"]
"""
PARTS = [
    "**/node_modules",
    "**/*.pyc",
    "**/.git",
    "*.md",
    "!README.md",
    "build/",
    "dist/*",
    "a/**/z",
]
KINDS = ["py", "pyc", "md", "txt", "kind3", "o"]


def parse_dockerfile(rounds: int, scale: float) -> list[float]:
    """2,000 lines."""
    lines = ("FROM box AS base\n" + PART * (round(2_000 * scale) // PART.count("\n") + 1)).split(
        "\n"
    )
    text = "\n".join(lines[: max(20, round(2_000 * scale)) - 3]) + "\n"
    return _seconds(rounds, lambda: parse(text))


def match_paths(rounds: int, scale: float) -> list[float]:
    """100,000 paths against 50 patterns, by a matcher that has seen none of them."""
    random = Random(SEED)
    patterns = [*PARTS]
    patterns += [f"**/*.kind{k}" for k in range(14)] + [f"part{k}/sub/*.o" for k in range(14)]
    patterns += [f"!part{k}/keep" for k in range(14)]
    paths = [
        f"part{random.randrange(40)}/sub{random.randrange(20)}/unit{random.randrange(20)}/"
        f"file{k}.{random.choice(KINDS)}"
        for k in range(round(100_000 * scale))
    ]

    def match() -> None:
        matches = Patterns(patterns).matches
        for path in paths:
            matches(path)

    return _seconds(rounds, match)


def _seconds(rounds: int, work: Callable[[], object]) -> list[float]:
    found = []
    for _ in range(rounds + 1):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return found[1:]

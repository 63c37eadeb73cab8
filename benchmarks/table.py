"""The table of results, for the terminal and for RESULTS.md, and the machine that it was measured on."""

import os
import platform
import re
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rows import Outcome, Row

HEAD = ("row", "work", "yardstick", "buildgraph", "yardstick's", "ratio", "bar", "holds")
VERSIONS = {
    "git": ["git", "--version"],
    "tar": ["tar", "--version"],
    "pigz": ["pigz", "--version"],
    "bubblewrap": ["bwrap", "--version"],
    "runc": ["runc", "--version"],
    "buildah": ["buildah", "--version"],
}


class Measured(NamedTuple):
    row: Row
    outcome: Outcome | None
    reason: str = ""  # why there is no outcome

    @property
    def holds(self) -> bool | None:
        """None where there is nothing to hold."""
        if self.outcome is None or self.row.bar is None:
            return None
        return self.outcome.ratio <= self.row.bar


def cells(measured: Measured) -> tuple[str, ...]:
    row, outcome = measured.row, measured.outcome
    bar = f"≤ {row.bar:g} x" if row.bar is not None else "-"
    if outcome is None:
        return (row.name, row.work, row.yardstick, "-", "-", "-", bar, measured.reason)
    holds = {True: "yes", False: "NO", None: "-"}[measured.holds]
    ratio = f"{outcome.ratio:.4g} x" if outcome.theirs else "-"
    ours, theirs = (figure(side, outcome.unit) for side in (outcome.ours, outcome.theirs))
    return (row.name, row.work, row.yardstick, ours, theirs, ratio, bar, holds)


def figure(values: Sequence[float], unit: str) -> str:
    """The median, and the smallest and largest where there are several."""
    if not values:
        return "-"
    text = show(statistics.median(values), unit)
    if len(values) > 1:
        text += f" ({show(min(values), '')}-{show(max(values), '')}, n={len(values)})"
    return text


def show(value: float, unit: str) -> str:
    digits = 0 if unit == "MB" or value >= 100 else 3 if value < 1 else 2
    return f"{value:.{digits}f} {unit}".rstrip()


def terminal(results: Sequence[Measured]) -> str:
    """Rows by their names alone: a terminal is narrow."""
    lines = [(HEAD[0], *HEAD[3:]), *((c[0], *c[3:]) for c in map(cells, results))]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(results: Sequence[Measured]) -> str:
    head = HEAD[1:]
    lines = [head, ("---",) * len(head), *(cells(one)[1:] for one in results)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine(command: str, folder: Path) -> list[str]:
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = re.match(r"[\d.]+", platform.release())
    hardware = f"{os.cpu_count()} x {platform.machine()}, {memory:.0f} GiB of memory"
    linux = f"{filesystem(folder)}, Linux {kernel[0] if kernel else '?'}"
    return [
        f"date: {datetime.now(UTC):%Y-%m-%d}",
        f"machine: {hardware}, {linux}; load average {load}",
        f"python: {interpreter(command)}",
        "other tools: " + ", ".join(f"{name} {version(argv)}" for name, argv in VERSIONS.items()),
    ]


def interpreter(command: str) -> str:
    """The version of the python3 that runs COMMAND, where its first line names one."""
    path = shutil.which(command)
    if path is None:
        return "unknown"
    with Path(path).open("rb") as script:
        first = script.readline().decode(errors="replace").strip()
    if not first.startswith("#!") or "python" not in first:
        return "unknown"
    code = "import platform, sys; print(platform.python_version(), sys.base_prefix)"
    found, prefix = _output([*first[2:].split(), "-c", code]).split()
    return (
        f"{found}, the distribution's own"
        if prefix == "/usr"
        else f"{found}, not the distribution's"
    )


def version(argv: list[str]) -> str:
    found = re.search(r"\d+(\.\d+)+", _output(argv)) if shutil.which(argv[0]) else None
    return found[0] if found else "missing"


def filesystem(folder: Path) -> str:
    return _output(["findmnt", "-no", "FSTYPE", "-T", str(folder)]).strip()


def _output(argv: list[str]) -> str:
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout


def document(results: Sequence[Measured], about: Sequence[str], rounds: int) -> str:
    return f"""# Results

Written by `benchmarks/run --write`; [the how-to guide](../docs/how-to/benchmarks.md) says what each row does and how to
measure on another machine. Absolute times belong to this machine, ratios travel. Both sides of a row took turns in one
run; the figures are medians, with the smallest and the largest in brackets. Rounds: {rounds}.

{chr(10).join("- " + line for line in about)}

{markdown(results)}
"""

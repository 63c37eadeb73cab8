"""Measure buildgraph against its yardsticks and print the table.

benchmarks/run                      every row of the table
benchmarks/run copy copy-gzip       some of them (globs allowed: 'w1-*'); --list names them
benchmarks/run --write              and write RESULTS.md
"""

import argparse
import fnmatch
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import roots
import table
from bench import Bench
from measure import CommandError
from rows import EXTRA, ROWS, Row

HERE = Path(__file__).resolve().parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", help="names or globs; default: every row with a bar")
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default 5)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="smaller workloads, to try things out"
    )
    parser.add_argument("--dir", type=Path, default=None, help="where to work; on a real disk")
    parser.add_argument("--keep", action="store_true", help="leave the working folder there")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar does not hold")
    return parser.parse_args()


def command() -> str:
    """BUILDGRAPH_CMD, or the one of the checkout's virtual environment."""
    return os.environ.get("BUILDGRAPH_CMD") or str(HERE.parent / ".venv/bin/buildgraph")


def chosen(patterns: list[str]) -> list[Row]:
    if not patterns:
        return list(ROWS)
    known = [*ROWS, *EXTRA]
    for pattern in patterns:
        if not any(fnmatch.fnmatch(row.name, pattern) for row in known):
            sys.exit(f"no row {pattern!r}; there are: {', '.join(row.name for row in known)}")
    return [row for row in known if any(fnmatch.fnmatch(row.name, p) for p in patterns)]


def measured(row: Row, bench: Bench) -> table.Measured:
    missing = [program for program in row.needs if shutil.which(program) is None]
    if missing:
        return table.Measured(row, None, f"not measured: {', '.join(missing)} missing")
    print(f"{row.name}: {row.work} …", file=sys.stderr, flush=True)
    try:
        return table.Measured(row, row.measure(bench))
    except (CommandError, OSError, subprocess.CalledProcessError) as error:
        print(f"{row.name}: {error}", file=sys.stderr)
        return table.Measured(row, None, "failed")


def main() -> int:
    options = arguments()
    # An installed program has its bytecode beside it; without this, every run would compile what was changed last.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if options.list:
        for row in [*ROWS, *EXTRA]:
            print(f"{row.name:12} {row.work}")
        return 0
    rows = chosen(options.rows)
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=options.dir or roots.cache()))
    try:
        about = table.machine(command(), folder)
        print("\n".join(about))
        bench = Bench(folder, command(), options.rounds, options.scale)
        results = [measured(row, bench) for row in rows]
    finally:
        if not options.keep:
            subprocess.run(["rm", "-rf", str(folder)], check=False)
    print(table.terminal(results))
    for one in results:
        if one.outcome is not None and one.outcome.note:
            print(f"{one.row.name}: {one.outcome.note}")
    if options.write and options.scale == 1.0:
        (HERE / "RESULTS.md").write_text(table.document(results, about, options.rounds))
    failed = any(one.outcome is None for one in results)
    missed = any(one.holds is False for one in results)
    return 1 if failed or (options.check and missed) else 0

"""A build that has nothing to do must not pay for modules that it does not use."""

import subprocess
import sys

ALLOWED = {
    "_collections_abc", "_operator", "_stat", "_struct", "errno", "genericpath", "itertools", "operator", "os",
    "os.path", "posixpath", "stat", "struct", "time", "zlib",
}  # fmt: skip


def test_the_check_imports_next_to_nothing() -> None:
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
before = set(sys.modules)
import buildgraph.fs.facts
print(*set(sys.modules) - before)
"""
    argv = [sys.executable, "-I", "-S", "-c", code]
    run = subprocess.run(argv, capture_output=True, text=True, check=True)
    loaded = {name for name in run.stdout.split() if not name.startswith("buildgraph")}
    assert loaded <= ALLOWED

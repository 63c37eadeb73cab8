"""Process 1 around a detached OCI runtime: start it, then wait for its container in its place.

Run as a program of its own, ``python -I -S reaper.py PIDFILE RUNTIME …``, inside a fresh process namespace. In the
foreground runc copies stdout and stderr through two pipes, which loses their order; detached it hands them on as they
are, and its container becomes a child of process 1. Exits as the container does, or as the runtime that failed.
"""

import os
import sys


def main(pid_file: str, *argv: str) -> int:
    runtime = os.posix_spawnp(argv[0], argv, os.environ)
    if code := _wait(runtime):
        return code
    with open(pid_file, encoding="ascii") as text:
        return _wait(int(text.read()))


def _wait(pid: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

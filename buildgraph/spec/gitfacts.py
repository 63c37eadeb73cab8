"""What does git say about the folder of the Buildfile? Asked only when a variable mentions it.

``read`` runs git; ``watched`` names the files whose stat proves that the answer is still the same, without running
anything. ``dirty`` has no such proof: it depends on every tracked file.
"""

import os
from collections.abc import Collection
from pathlib import Path

from buildgraph.errors import MachineError, UsageError
from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class GitFacts:
    """``branch`` is empty on a detached HEAD, ``tag`` where none points at HEAD (else the highest version).

    ``short`` is seven hex digits, however many objects a clone has. ``dirty``: a tracked file differs from HEAD.
    ``time`` is the commit's, in seconds since 1970.
    """

    commit: str
    short: str
    branch: str = ""
    tag: str = ""
    dirty: bool = False
    time: int = 0


def read(folder: Path) -> GitFacts:
    """Raises :class:`UsageError` (``no-git``) outside a repository, or in one that has no commit."""
    lines = _git(
        folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no"
    ).splitlines()
    header = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit = header.get("branch.oid", "(initial)")
    if commit == "(initial)":
        raise _no_git(folder, "the repository has no commit")
    branch = header.get("branch.head", "(detached)")
    tags = _git(folder, "tag", "--points-at", "HEAD", "--sort=-version:refname").split("\n")
    time = _git(folder, "log", "-1", "--format=%ct", "HEAD")
    return GitFacts(
        commit=commit,
        short=commit[:7],
        branch="" if branch == "(detached)" else branch,
        tag=tags[0],
        dirty=any(not line.startswith("#") for line in lines),
        time=int(time),
    )


def watched(folder: Path, used: Collection[str]) -> tuple[Path, ...]:
    """The files (absent ones too) that decide the facts named in ``used``; empty outside a repository."""
    if not used:
        return ()
    found = _git_dir(folder)
    if found is None:
        return tuple(parent / ".git" for parent in (folder, *folder.parents))
    git = found
    common = git
    if (git / "commondir").is_file():
        common = (git / (git / "commondir").read_text().strip()).resolve()
    files = [git / "HEAD", common / "packed-refs"]
    head = (git / "HEAD").read_text(errors="replace").strip()
    if head.startswith("ref: "):
        files.append(common / head.removeprefix("ref: "))
    if "tag" in used:
        tags = common / "refs" / "tags"
        files.append(tags)
        files += sorted(path for path in tags.rglob("*") if tags.is_dir())
    if "dirty" in used:
        files.append(git / "index")
    return tuple(files)


def _git_dir(folder: Path) -> Path | None:
    for parent in (folder, *folder.parents):
        git = parent / ".git"
        if git.is_file():
            text = git.read_text(errors="replace")
            if text.startswith("gitdir: "):
                return (parent / text.removeprefix("gitdir: ").strip()).resolve()
        elif (git / "HEAD").is_file():
            return git
    return None


def _git(folder: Path, *args: str) -> str:
    import subprocess

    # A hook's GIT_DIR must not decide for a folder elsewhere, and asking must not write the index.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8"}
    argv = ["git", "-c", "core.fsmonitor=false", "-C", os.fspath(folder), *args]
    try:
        done = subprocess.run(
            argv, env=environ, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError as error:
        raise MachineError(
            "no-git",
            "the Buildfile mentions git, which is not installed",
            hint="apt-get install git",
        ) from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise _no_git(folder, said[0].removeprefix("fatal: ") if said else "git failed")
    return done.stdout.rstrip("\n")


def _no_git(folder: Path, why: str) -> UsageError:
    return UsageError(
        "no-git",
        f"git knows nothing about {folder}: {why}",
        hint="give the variable that mentions git a value with --set",
    )

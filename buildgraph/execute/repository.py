"""What does a git repository hold at a ref? Asked of the git program, which gets nothing of the user's but the proxies,
the agent of ssh and the keys that it finds in the home folder.

A ref is resolved to a commit first (``git ls-remote``), so that keys hold commits; then exactly that commit is fetched,
shallowly where the server can, and checked out.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from buildgraph.errors import ContentError, MachineError, RemoteError, UsageError
from buildgraph.execute.archive import Surroundings
from buildgraph.execute.authority import proxies

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TIMEOUT: Final = 900
_SCHEMES: Final = "http:https:git:ssh"
_ALONE: Final = (
    *("-c", "protocol.version=2", "-c", "core.hooksPath=/dev/null"),
    *("-c", "advice.detachedHead=false", "-c", "gc.auto=0", "-c", "init.defaultBranch=main"),
)


class Found(NamedTuple):
    """A commit; the branch or tag that led there, and what that names: a tag's own object, or the commit."""

    commit: str
    name: str = ""
    object: str = ""

    @property
    def text(self) -> str:
        """Its words, for ``Found(*text.split())``."""
        return " ".join(filter(None, self))


class Repository:
    """``url`` as git takes it; ``shown`` without a password."""

    def __init__(self, url: str, around: Surroundings, scratch: Path) -> None:
        self.url = url
        self.shown = re.sub(r"//[^/@]*@", "//", url)
        self._env = _environment(around, scratch)

    def resolve(self, ref: str) -> Found:
        """What ``ref`` is now; empty is HEAD. Raises UsageError ``git-ref-missing``."""
        if ref.startswith("-"):
            raise UsageError("git-ref-missing", f"{ref!r} is no ref")
        names = [ref or "HEAD"]
        if ref and not ref.startswith("refs/"):
            names = [ref, f"refs/heads/{ref}", f"refs/tags/{ref}"]
        said = self._git(None, "ls-remote", "--", self.url, *names, *(f"{n}^{{}}" for n in names))
        found = {
            name: commit for commit, _, name in (line.partition("\t") for line in said.splitlines())
        }
        for name in names[1:] + names[:1]:  # a branch before a tag before anything of that name
            if f"{name}^{{}}" in found or name in found:
                commit = found.get(f"{name}^{{}}") or found[name]
                named = name.startswith("refs/")
                return Found(commit, name, found.get(name, commit)) if named else Found(commit)
        raise UsageError(
            "git-ref-missing",
            f"{self.shown} has no {ref or 'HEAD'}",
            hint="name a branch, a tag, or a whole commit",
        )

    def find(self, ref: str, checksum: str) -> Found:
        """What is meant by both together; ``checksum`` is a commit, the beginning of one, or empty.

        Raises ContentError ``checksum-mismatch``.
        """
        if is_commit(checksum) and (not ref or is_commit(ref)):
            found = Found(ref or checksum)
        elif is_commit(ref):
            found = Found(ref)
        else:
            found = self.resolve("" if ref == checksum else ref)
        if not found.commit.startswith(checksum):
            raise ContentError(
                "checksum-mismatch",
                f"{ref or 'HEAD'} is the commit {found.commit}, and {checksum} was asked for",
                hint="somebody moved it, or the checksum is that of another commit",
            )
        return found

    def time(self, folder: Path) -> int:
        """When what is checked out was committed, in seconds since 1970."""
        return int(self._git(folder, "show", "-s", "--format=%ct", "HEAD"))

    def check_out(
        self, ref: str, found: Found, folder: Path, *, submodules: bool, keep: bool = False
    ) -> None:
        """Exactly that commit in ``folder``, which is empty. ``keep``: ``.git`` is wanted, the same for every clone."""
        commit, _, kept = found
        kind = ("--object-format=sha256",) if len(commit) == 64 else ()
        self._git(folder, "init", "--quiet", *kind)
        self._git(folder, "remote", "add", "--", "origin", self.url)
        wanted = ref if ref and not is_commit(ref) else commit
        fetch = ("fetch", "--quiet", "--no-tags", "--depth=1", "--", "origin")
        tag = keep and kept not in ("", commit)  # a tag's object does not come with the commit
        if not (
            (not tag and self._tries(folder, *fetch, commit)) or self._tries(folder, *fetch, wanted)
        ):
            self._git(
                folder, "fetch", "--quiet", "--tags", "origin", "+refs/*:refs/remotes/origin/*"
            )
        try:
            self._git(folder, "checkout", "--quiet", "--force", "--detach", commit)
            if keep and kept:
                self._git(folder, "cat-file", "-e", kept)
        except RemoteError as error:
            raise ContentError(
                "git-changed",
                f"{self.shown} no longer has the commit {commit[:12]} at {ref or 'HEAD'}",
                hint="build again",
            ) from error
        if submodules and (folder / ".gitmodules").exists():
            update = ("submodule", "update", "--quiet", "--init", "--recursive", "--force")
            if not self._tries(folder, *update, "--depth=1"):  # not every server can be shallow
                self._git(folder, *update)
        if keep:
            from buildgraph.execute.gitdir import settle

            settle(folder, found.name, kept, self._git, self._env)

    def _tries(self, folder: Path, *words: str) -> bool:
        try:
            self._git(folder, *words)
        except RemoteError:
            return False
        return True

    def _git(self, folder: Path | None, *words: str) -> str:
        if not shutil.which("git"):
            raise MachineError(
                "no-git", "ADD of a git repository needs git", hint="install it: apt install git"
            )
        where = () if folder is None else ("-C", os.fspath(folder))
        done = subprocess.run(
            ["git", *_ALONE, *where, *words],
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
            umask=0o022,
        )
        if done.returncode:
            said = done.stderr.replace(self.url, self.shown).strip().splitlines()
            raise RemoteError(
                "git-failed",
                f"git {words[0]} of {self.shown} failed",
                hint="look at the address, the ref, and who may read it",
                detail=said[-5:],
            )
        return done.stdout


def is_commit(text: str) -> bool:
    return _COMMIT.fullmatch(text) is not None


def _environment(around: Surroundings, scratch: Path) -> Mapping[str, str]:
    environ = around.environ
    env = {
        "PATH": environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": environ.get("HOME", "/nonexistent"),
        "TMPDIR": os.fspath(scratch),
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ALLOW_PROTOCOL": _SCHEMES,
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        **proxies(environ),
    }
    if agent := environ.get("SSH_AUTH_SOCK"):
        env["SSH_AUTH_SOCK"] = agent
    if around.ca not in ("", "host"):
        env["GIT_SSL_CAINFO"] = os.fspath(around.folder / around.ca)
    return env

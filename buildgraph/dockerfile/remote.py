"""Is a source of ADD an address? URLs of files, and git repositories with what is asked of them.

A repository is ``git://``, ``ssh://``, ``user@host:path``, or an ``http(s)://`` address whose path ends in ``.git``.
What is wanted of it stands behind ``#`` (``ref:subdir``) or, by name, behind ``?`` (Dockerfile reference, "ADD").
"""

import re
from collections.abc import Mapping
from posixpath import basename
from urllib.parse import unquote, urlsplit

from buildgraph.errors import UsageError
from buildgraph.spec.docker import GitTree, RemoteFile
from buildgraph.values import replace

_SCP = re.compile(r"(?P<user>[A-Za-z0-9._-]+)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^/].*|/.+)")
_QUERY = ("ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def remote_source(
    source: str, checksum: str = "", *, keep_git_dir: bool | None = None
) -> RemoteFile | GitTree | None:
    """None for a path. Raises UsageError ``bad-address``, ``bad-git-source``, ``bad-checksum``."""
    if _SCP.fullmatch(source) or source.startswith(("git://", "ssh://")):
        return _git(source, checksum, keep=keep_git_dir)
    if not source.startswith(("http://", "https://")):
        return None
    try:
        path = urlsplit(source).path
    except ValueError as error:
        raise UsageError(
            "bad-address", f"{source} is no address: {error}", hint="write it as https://HOST/PATH"
        ) from error
    if path.endswith(".git"):
        return _git(source, checksum, keep=keep_git_dir)
    name = basename(unquote(path))
    return RemoteFile(source, name or "__unnamed__", _digest(checksum))


def _digest(checksum: str) -> str:
    """Of a file: an algorithm that is known, and as many digits as it has."""
    if not checksum:
        return ""
    algorithm, _, digits = checksum.partition(":")
    length = {"sha256": 64, "sha384": 96, "sha512": 128}.get(algorithm)
    if length is None or not re.fullmatch(rf"[0-9a-f]{{{length}}}", digits):
        raise UsageError(
            "bad-checksum",
            f"--checksum={checksum} is no digest of a file",
            hint="write it as sha256: and 64 hex digits",
        )
    return checksum


def _git(source: str, checksum: str, *, keep: bool | None) -> GitTree:
    address, _, fragment = source.partition("#")
    address, mark, query = address.partition("?")
    ref, _, subdir = fragment.partition(":")
    tree = GitTree(address, ref, subdir.strip("/"), keep_git_dir=bool(keep))
    if mark:
        tree = _asked(tree, _fields(source, query), source, keep=keep)
    if checksum and tree.checksum and checksum != tree.checksum:
        raise _conflict(source, f"the commit {checksum} and the commit {tree.checksum}")
    checksum = checksum or tree.checksum
    if checksum and not _COMMIT.fullmatch(checksum):
        raise UsageError(
            "bad-checksum",
            f"{checksum!r} is no commit",
            hint="write all digits of it, or at least seven",
        )
    return replace(tree, checksum=checksum)


def _fields(source: str, query: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        name = unquote(name)
        if name not in _QUERY:
            raise _wrong(source, f"nothing is called {name!r}", f"there are {', '.join(_QUERY)}")
        if name in found:
            raise _wrong(source, f"{name} stands there twice")
        value = unquote(value)
        if not value and name not in ("keep-git-dir", "submodules"):
            raise _wrong(source, f"{name} has no value")
        found[name] = value if equals and value else None
    return found


def _asked(
    tree: GitTree, fields: Mapping[str, str | None], source: str, *, keep: bool | None
) -> GitTree:
    ref = tree.ref
    if "tag" in fields and "branch" in fields:
        raise _conflict(source, "a tag and a branch")
    for name, prefix in (("ref", ""), ("tag", "refs/tags/"), ("branch", "refs/heads/")):
        value = fields.get(name)
        if value:
            value = value if value.startswith(prefix) else prefix + value
            if ref not in ("", value):
                raise _conflict(source, f"{ref} and {value}")
            ref = value
    subdir = (fields.get("subdir") or "").strip("/")
    if subdir and tree.subdir not in ("", subdir):
        raise _conflict(source, f"the folders {tree.subdir} and {subdir}")
    commit = fields.get("commit") or fields.get("checksum") or ""
    kept = _flag(source, fields, "keep-git-dir", default=bool(keep))
    if keep is not None and kept != keep:
        raise _conflict(source, "two answers to whether .git is kept")
    return replace(
        tree,
        ref=ref or commit,
        subdir=subdir or tree.subdir,
        checksum=commit,
        keep_git_dir=kept,
        submodules=_flag(source, fields, "submodules", default=True),
    )


def _flag(source: str, fields: Mapping[str, str | None], name: str, *, default: bool) -> bool:
    if name not in fields:
        return default
    value = fields[name]
    if value is None or value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise _wrong(source, f"{name} is neither true nor false")


def _conflict(source: str, what: str) -> UsageError:
    return _wrong(source, f"it asks for {what}", "leave one of them out")


def _wrong(source: str, why: str, hint: str = "") -> UsageError:
    shown = source.partition("?")[0].rpartition("@")[2]
    return UsageError("bad-git-source", f"the git source {shown}: {why}", hint=hint)

"""Keys: what a step's result can depend on, and nothing else (DESIGN "Two keys per step").

A *key document* is a mapping of named components; a key is the BLAKE3 of its canonical encoding, and the document is
kept beside the record so that ``why`` can compare two of them. The same function makes both documents: with the
StepKeys of the inputs it yields the StepKey, known before anything runs; with the identities of their results the
ActionKey. A copy or write step's content is its *recipe*, so its key is that of the tree which it lays down.
"""

import re
from collections.abc import Mapping

from buildgraph.digest import Digest, Document, key_of
from buildgraph.graph.step import (
    BindFiles,
    CacheDir,
    ContextFiles,
    CopyPart,
    CopyStep,
    DockerCopyStep,
    DockerFiles,
    FetchStep,
    Files,
    GitStep,
    PackagesStep,
    RunStep,
    ScriptFile,
    SecretFile,
    SshSocket,
    Stack,
    StepId,
    StepMount,
    TmpfsDir,
    WorkdirStep,
    WriteStep,
)
from buildgraph.spec.model import InlineFile, Mode, Owner
from buildgraph.values import dataclass

SCHEMAS: Mapping[str, int] = dict.fromkeys(
    ("copy", "write", "run", "packages", "workdir", "fetch", "git"), 1
)
"""Raised, for one kind alone, when equal documents would no longer mean equal results."""

SANDBOX_PROFILE = 2
"""Raised when commands see another machine: devices, masks, host name, umask, resource files."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a key document says of the inputs: ``names`` per step (StepKeys, or identities of results), and the digest
    of each selection of files as it stands (of the context always; of a stack only for an ActionKey)."""

    names: Mapping[StepId, Document]
    files: Mapping[Files | DockerFiles, Digest]
    version: str = ""
    """What a remote source is now: a checksum, or what the server calls its version; a commit."""


Keyed = (
    CopyStep
    | DockerCopyStep
    | WorkdirStep
    | WriteStep
    | RunStep
    | PackagesStep
    | FetchStep
    | GitStep
)


def document(step: Keyed, inputs: Inputs, recipe: Digest | None = None) -> dict[str, Document]:
    """The key document. ``recipe`` is the tree digest of a copy or write step whose files are all known."""
    match step:
        case WriteStep():
            return {"kind": "write", "schema": SCHEMAS["write"], "tree": recipe}
        case CopyStep():
            head: dict[str, Document] = {"kind": "copy", "schema": SCHEMAS["copy"]}
            return head | ({"tree": recipe} if recipe else _copy(step, inputs))
        case DockerCopyStep():
            head = {"kind": "copy", "schema": SCHEMAS["copy"]}
            return head | ({"tree": recipe} if recipe else _docker_copy(step, inputs))
        case WorkdirStep():
            head = {"kind": "workdir", "schema": SCHEMAS["workdir"]}
            names = {"path": step.path, "user": step.user, "names": _stack(step.names, inputs)}
            return head | ({"tree": recipe} if recipe else names)
        case RunStep():
            return _run(step, inputs)
        case PackagesStep():
            return _packages(step)
        case FetchStep():
            return _fetch(step, inputs.version)
        case GitStep():
            return _git(step, inputs.version)


def key(doc: Mapping[str, Document]) -> str:
    return key_of(doc)


def _part(part: CopyPart, inputs: Inputs) -> Document:
    given: dict[str, Document] = {"owner": _owner(part.owner), "mode": _mode(part.mode)}
    if (part.owner is None) != (part.mode is None):
        given["other"] = "below"  # once the other one was not that of a lower directory
    if isinstance(part.files, ContextFiles) and part.owner:
        given["folder"] = "given"  # once a new one was root's
    if part.files.contents:
        given["contents"] = True  # once the folder that is chosen from brought its own mode
    return {"files": _files(part.files, inputs), "to": part.to, **given}


def _copy(step: CopyStep, inputs: Inputs) -> dict[str, Document]:
    return {
        "parts": [_part(part, inputs) for part in step.parts],
        "names": _stack(step.names, inputs),
        "normalize": [step.keep_mode, step.keep_time],
    }


def _packages(step: PackagesStep) -> dict[str, Document]:
    document: dict[str, Document] = {
        "kind": "packages",
        "schema": SCHEMAS["packages"],
        "packages": step.packages,
        "suite": step.suite,
        "platform": step.platform,
        "pins": step.pins,
    }
    if step.keep_time:
        document["time"] = "keep"
    if step.git_modes:
        document["modes"] = "git"
    return document


def _fetch(step: FetchStep, version: str) -> dict[str, Document]:
    """What is checked is the same wherever it comes from."""
    source: dict[str, Document] = {"checksum": step.checksum}
    if not step.checksum:
        source = {"url": _public(step.url), "version": version}
    return {"kind": "fetch", "schema": SCHEMAS["fetch"], "name": step.name, **source}


def _git(step: GitStep, commit: str) -> dict[str, Document]:
    return {
        "kind": "git",
        "schema": SCHEMAS["git"],
        "commit": commit,
        "subdir": step.subdir,
        "keep": [_public(step.url)] if step.keep_git_dir else None,
        "submodules": _public(step.url) if step.submodules else None,
    }


def _public(url: str) -> str:
    """Documents are kept and handed on: without a password, and for http without the user, which may be a token."""
    url = re.sub(r"^(https?://)[^/@\s]*@", r"\1", url)
    return re.sub(r"^(\w+://[^/@:\s]+):[^/@\s]*@", r"\1@", url)


def _docker_copy(step: DockerCopyStep, inputs: Inputs) -> dict[str, Document]:
    times: dict[str, Document] = {"time": "keep"} if step.keep_time else {}
    return times | {
        "sources": [_source(source, inputs) for source in step.sources],
        "to": step.to,
        "owner": _owner(step.owner),
        "mode": _mode(step.mode),
        "link": step.link,
        "unpack": [s.unpack for s in step.sources if isinstance(s, DockerFiles)],
        "names": _stack(step.names, inputs),
    }


def _source(source: DockerFiles | InlineFile, inputs: Inputs) -> Document:
    if isinstance(source, InlineFile):
        return {"name": source.name, "content": source.content}
    found = inputs.files.get(source)
    if found is not None or source.stack is None:
        return found
    return {
        "stack": _stack(source.stack, inputs),
        "pattern": source.pattern,
        "parents": source.parents,
        "exclude": source.exclude,
    }


def _run(step: RunStep, inputs: Inputs) -> dict[str, Document]:
    document: dict[str, Document] = {
        "kind": "run",
        "schema": SCHEMAS["run"],
        "stack": _stack(step.stack, inputs),
        "with": _stack(step.tools, inputs),
        "argv": step.argv,
        "env": dict(step.env),
        "user": step.user,
        "workdir": step.workdir,
        "platform": step.platform,
        "network": step.network,
        "hosts": dict(step.hosts),
        "mounts": [_mount(mount, inputs) for mount in step.mounts],
        "outputs": step.outputs,
        "discard": step.discard,
        "time": "keep" if step.keep_time else "epoch",
        "sandbox": SANDBOX_PROFILE,
    }
    if step.git_modes:
        document["modes"] = "git"
    if step.dockerfile:
        document |= {"dockerfile": True, "hostname": step.hostname, "insecure": step.insecure}
    return document


def _mount(mount: StepMount, inputs: Inputs) -> Document:
    match mount:
        case BindFiles():
            return {
                "kind": "bind",
                "target": mount.target,
                "write": mount.write,
                "mode": mount.executable,
                "files": _files(mount.files, inputs),
            }
        case ScriptFile():
            return {"kind": "script", "target": mount.target, "content": mount.content}
        case CacheDir():
            owner, mode = _owner(mount.owner), _mode(mount.mode)
            cache: dict[str, Document] = {
                "kind": "cache",
                "id": mount.id,
                "target": mount.target,
                "owner": owner,
                "mode": mode,
            }
            if mount.seed is not None:
                cache["seed"] = _files(mount.seed, inputs)
            if mount.path:
                cache["path"] = mount.path
            return cache | ({"read_only": True} if mount.read_only else {})
        case TmpfsDir():
            owner, mode = _owner(mount.owner), _mode(mount.mode)
            return {"kind": "tmpfs", "target": mount.target, "owner": owner, "mode": mode}
        case SshSocket():
            return {"kind": "ssh", "id": mount.id, "target": mount.target}
        case SecretFile():
            return {"kind": "secret", "id": mount.id, "target": mount.target, "env": mount.env}


def _files(files: Files, inputs: Inputs) -> Document:
    """The digest of what is selected; before a stack's files are known, how they will be selected."""
    found = inputs.files.get(files)
    if found is not None or isinstance(files, ContextFiles):
        return found
    chosen: dict[str, Document] = {
        "stack": _stack(files.stack, inputs),
        "path": files.path,
        "include": files.include,
        "exclude": files.exclude,
    }
    return chosen | ({"follow": True} if files.follow else {})


def _stack(stack: Stack, inputs: Inputs) -> Document:
    return [inputs.names[step] for step in stack]


def _owner(owner: Owner | None) -> Document:
    return None if owner is None else [owner.user, owner.group]


def _mode(mode: Mode | None) -> Document:
    return None if mode is None else [mode.octal, mode.symbolic]

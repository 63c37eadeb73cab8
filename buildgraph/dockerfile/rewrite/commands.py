"""RUN → the keys of a run step: what differs from what the step would have anyway."""

import re
from collections.abc import Mapping
from posixpath import basename

from buildgraph.dockerfile.options import DEFAULT_PATH
from buildgraph.dockerfile.rewrite.chosen import Item, narrow, narrowed
from buildgraph.dockerfile.rewrite.copies import Body
from buildgraph.dockerfile.rewrite.modes import MOST_ODD, Modes, many, told
from buildgraph.dockerfile.rewrite.modes import items as odd_items
from buildgraph.dockerfile.rewrite.names import slug
from buildgraph.dockerfile.rewrite.place import (
    Around,
    Context,
    Inside,
    fixed,
    mode_text,
    owner_text,
    words,
)
from buildgraph.dockerfile.rewrite.shell import broken
from buildgraph.dockerfile.rewrite.toml import Table, Template, Value
from buildgraph.dockerfile.state import DEFAULT_SHELL
from buildgraph.errors import Location
from buildgraph.fs.gomatch import escaped
from buildgraph.oci.config import Config
from buildgraph.spec import model as m

COMPILED = "PYTHONDONTWRITEBYTECODE"
"""What a Buildfile sets and docker does not; empty is unset."""

_CACHE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.@+-]|/(?![/.]))*")
_SHEBANG = re.compile(r"#![ \t]*(\S+)(?:[ \t]+([^\n]*?))?[ \t]*\n")
_TEXT_OPTION = {"perl": "-e", "ruby": "-e", "node": "-e"}
_SHELLS = ("sh", "bash", "dash", "ash", "zsh", "ksh")


def environment(run: m.Run) -> dict[str, str]:
    return {name: fixed(text) for name, text in run.env.items()}


def inherited_environment(config: Config) -> dict[str, str]:
    """What a run step on a stack of that config has without a word."""
    return {"PATH": DEFAULT_PATH, **config.environment}


def body(
    step: m.Step, run: m.Run, config: Config, around: Around, defaults: Mapping[str, Value]
) -> Body:
    """``config`` is that of the stack which the step stands on, in the Buildfile; ``defaults`` those of all steps."""
    found = Body({"on": list(around.refs(step.on))})
    values = found.values
    if (workdir := fixed(run.workdir) if run.workdir else "/") != (config.workdir or "/"):
        values["workdir"] = workdir
    if run.user is not None and fixed(run.user) != config.user:
        values["user"] = fixed(run.user)
    _environment(run, config, values)
    if run.network not in ("default", defaults["network"]):
        values["network"] = run.network
    if run.hosts:
        values["hosts"] = dict(run.hosts)
    _unsayable(step, run, around)
    if mounts := _mounts(step, run, around, found):
        values["mounts"] = mounts
    _command(run, defaults, values)
    return found


def variables(own: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, Value]:
    """What differs; a value that holds the inherited one says so."""
    found: dict[str, Value] = {}
    for name, value in own.items():
        below = inherited.get(name)
        if value == below:
            continue
        found[name] = value
        if below and len(below) > 3 and value.count(below) == 1:
            head, tail = (part.replace("$", "$$") for part in value.split(below))
            found[name] = Template(f"{head}${{env.{name}}}{tail}")
    return found


def _environment(run: m.Run, config: Config, values: dict[str, Value]) -> None:
    inherited = inherited_environment(config)
    found = variables(environment(run), inherited)
    if COMPILED in inherited and COMPILED not in found:
        found[COMPILED] = inherited[COMPILED]
    if found:
        values["env"] = found


def _unsayable(step: m.Step, run: m.Run, around: Around) -> None:
    told = {
        "--security=insecure": run.insecure,
        "a host name": run.hostname,
        "--shm-size": run.shm_size,
        "--ulimit": run.ulimits,
    }
    for name in (name for name, given in told.items() if given):
        around.problems.add(
            step.where, f"RUN with {name}: a run step of a Buildfile has no such key"
        )


# -- the command


def _command(run: m.Run, defaults: Mapping[str, Value], values: dict[str, Value]) -> None:
    assert isinstance(run.command, tuple)
    argv = words(run.command)
    script = next((m_.inline for m_ in run.mounts if isinstance(m_, m.BindMount) and m_.inline), "")
    if script and _inline_script(script, values):
        return
    shell = argv[:-1]
    if not _is_shell(shell):
        values["run"] = list(argv)
        return
    if shell != defaults["shell"]:
        values["shell"] = list(shell)
    text = broken(argv[-1])
    values["run"] = text + "\n" if "\n" in text and not text.endswith("\n") else text


def _is_shell(argv: list[str]) -> bool:
    if tuple(argv) == DEFAULT_SHELL:
        return True
    return len(argv) > 1 and basename(argv[0]) in _SHELLS and argv[-1].endswith("c")


def _inline_script(text: str, values: dict[str, Value]) -> bool:
    """A heredoc whose interpreter takes it as an argument; the kernel gives that at most one other."""
    match = _SHEBANG.match(text)
    program, argument = (match[1], match[2] or "") if match else ("", "")
    shown = basename(program)
    if shown == "env":
        shown = argument.split()[-1] if argument else ""
    option = _TEXT_OPTION.get(shown, "-c")
    known = shown in _SHELLS or shown in _TEXT_OPTION or shown.startswith("python")
    if not known:
        return False
    given = argument.split() if basename(program) == "env" else [argument] if argument else []
    values["shell"] = [program, *given, option]
    values["run"] = text[match.end() :] if match else text
    return True


def _script_file(text: str, mount: m.BindMount, around: Around, found: Body) -> Item:
    """One that is run as a file is the file of a step that nothing stands on."""
    name = around.take("script")
    found.tables.append(
        Table(("step", name), {"write": {"/script": {"text": text, "mode": "0755"}}})
    )
    return {"bind": f"step:{name}", "path": "/script", "target": fixed(mount.target)}


# -- mounts


def _mounts(step: m.Step, run: m.Run, around: Around, found: Body) -> list[Value]:
    made: list[Value] = []
    for mount in run.mounts:
        match mount:
            case m.BindMount(inline=text) if text:
                if not _inline_script(text, {}):
                    made.append(_script_file(text, mount, around, found))
            case m.BindMount():
                made += _bind(step, mount, around, found)
            case m.CacheMount():
                made.append(_cache(step, run, mount, around, found))
            case m.TmpfsMount():
                tmpfs: dict[str, Value] = {"tmpfs": True, "target": fixed(mount.target)}
                if mount.size:
                    tmpfs["size"] = mount.size
                made.append(tmpfs | _attributes(run, mount))
            case m.SecretMount():
                made.append(_secret(run, mount))
            case m.SshMount():
                made.append(_ssh(run, mount))
    return made


def _bind(step: m.Step, mount: m.BindMount, around: Around, found: Body) -> list[Value]:
    source = mount.source
    if source.ref is not None:
        made: dict[str, Value] = {"bind": around.source(source.ref)}
        if source.path != "/":
            made["path"] = source.path
    else:
        context = around.context(source.context, step.where)
        if context is None:
            return []
        made = _of_context(step, context, source.path, around, found)
    made["target"] = fixed(mount.target)
    if mount.write:
        made["write"] = True
    return [made]


def _of_context(step: m.Step, context: Context, path: str, around: Around, found: Body) -> Item:
    """A bind takes one selection, with git's modes; what an ignore file or modes make several is copied for it."""
    folder = "" if path.strip("/") in ("", ".") else path.strip("/")
    chosen, place = narrowed(context, folder), context.at(folder or ".")
    named = next(iter(context.look(escaped(folder or "/")) or ()), None)
    if named is not None and named.kind != "folder":
        file = Inside(basename(folder), "file", named.mode)
        if not any(told((file,), None, "")):
            return {"bind": place}
        items: list[Item] = [{"from": place, "to": "/file", "mode": f"{named.mode:04o}"}]
        return _copied_for(items, "/file", around, found)
    modes = told(named.inside, None, "") if named is not None else Modes("", ())
    if len(chosen) == 1 and not any(modes):
        return narrow({"bind": place}, chosen[0])
    if len(modes.odd) > MOST_ODD:
        around.problems.add(step.where, *many(modes.odd, place))
        return {"bind": place}
    mode: Item = {"mode": modes.clause} if modes.clause else {}
    items = [narrow({"from": place}, one) | {"to": "/"} | mode for one in chosen]
    return _copied_for([*items, *odd_items(modes.odd, place, "/", {})], "", around, found)


def _copied_for(items: list[Item], path: str, around: Around, found: Body) -> Item:
    name = around.take("context")
    values: list[Value] = [*items]
    found.tables.append(
        Table(("step", name), {"copy": values}, ["what a command sees of the context"])
    )
    made: Item = {"bind": f"step:{name}"}
    return made | {"path": path} if path else made


def _cache(
    step: m.Step, run: m.Run, mount: m.CacheMount, around: Around, found: Body
) -> dict[str, Value]:
    name = mount.id if _CACHE.fullmatch(mount.id) else slug(mount.id) or "cache"
    made: dict[str, Value] = {"cache": name, "target": fixed(mount.target)}
    if mount.sharing != "shared":
        made["sharing"] = mount.sharing
    if mount.seed is not None:
        around.problems.add(step.where, f"a cache that begins with files (from=), as {name} does")
    if mount.read_only:
        found.comments.append(f"docker mounts the cache {name} read-only")
    if mount.path:
        around.problems.add(step.where, f"the folder {mount.path!r} of a cache as a mount")
    return made | _attributes(run, mount, mode=0o755)


def _secret(run: m.Run, mount: m.SecretMount) -> dict[str, Value]:
    made: dict[str, Value] = {"secret": mount.id}
    if mount.env:
        made["env"] = mount.env
    elif mount.target is not None and fixed(mount.target) != f"/run/secrets/{mount.id}":
        made["target"] = fixed(mount.target)
    if mount.required:
        made["required"] = True
    return made | ({} if mount.env else _attributes(run, mount, mode=0o400))


def _ssh(run: m.Run, mount: m.SshMount) -> dict[str, Value]:
    made: dict[str, Value] = {"ssh": mount.id}
    if fixed(mount.target) != f"/run/buildgraph/ssh-{basename(mount.id)}.sock":
        made["target"] = fixed(mount.target)
    if mount.required:
        made["required"] = True
    return made | _attributes(run, mount, mode=0o600)


def _attributes(
    run: m.Run,
    mount: m.CacheMount | m.TmpfsMount | m.SecretMount | m.SshMount,
    mode: int | None = None,
) -> dict[str, Value]:
    """Where they differ from a Buildfile's: the step's user, and ``mode``."""
    made: dict[str, Value] = {}
    root = run.user is None or fixed(run.user).partition(":")[0] in ("root", "0")
    owner = mount.owner or m.Owner(0, 0)
    if (owner.user, owner.group) != (0, 0) or not root:
        made["owner"] = owner_text(owner)
    if mount.mode is not None and mount.mode.octal != mode:
        made["mode"] = mode_text(mount.mode)
    return made


def secrets(steps: Mapping[str, m.Step]) -> dict[str, Location]:
    """The secrets that commands ask for, and where first."""
    found: dict[str, Location] = {}
    for step in steps.values():
        if isinstance(step.kind, m.Run):
            for mount in step.kind.mounts:
                if isinstance(mount, m.SecretMount):
                    found.setdefault(mount.id, step.where)
    return found

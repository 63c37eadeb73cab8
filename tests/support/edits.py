"""Small random workspaces and what a person may change in them.

Copies, written files, folders and links, commands on stacks of earlier steps, with tools of others, with parts of what
they write; copies and binds from steps, whole or chosen. Some are wrong: an order of layers that cannot be, a path that is
missing.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import note
from hypothesis import strategies as st
from support.workspace import Workspace, digests

from buildgraph.errors import BuildgraphError, ErrorGroup
from buildgraph.spec.cacheurl import CacheURL

NAMES = ("a", "b", "deep/c", "d.txt")
TEXTS = ("one\n", "two\n", "# comment\none\n", "# other comment\none\n", "")
SCRIPTS = (
    "grep -v '^#' /in/a > /r{k} || true",
    "cat /in/* > /shared 2> /dev/null || true; echo {k} > /r{k}",
    "find / -xdev -type f -newer /nothing 2> /dev/null || find /app /w* /f* -type f | sort > /r{k} || true",
    "rm -rf /opt/d /r*; echo {k} > /r{k}",
    "mkdir -p /opt/d; echo {k} > /opt/d/{k}; mkdir -p /r{k}; cp -r /in /r{k}/",
    "chmod 700 /opt/d || true; echo here > /r{k}",
    "sha256sum /shared /app/* 2> /dev/null > /r{k} || true",
    "mv /opt/old /r{k} || echo gone > /r{k}",
    "true",
)

content = st.tuples(st.sampled_from(TEXTS), st.sampled_from((0o644, 0o755, 0o600)))
files = st.dictionaries(st.sampled_from(NAMES), content, min_size=1)
kinds = st.sampled_from(
    ("run", "run", "run", "copy", "write", "from", "bind", "tools", "part", "tree", "chosen")
)
step = st.tuples(
    kinds, st.integers(0, len(SCRIPTS) - 1), st.sets(st.integers(0, 5), max_size=3), st.booleans()
)
steps = st.lists(step, min_size=3, max_size=6)


@st.composite
def edits(draw: st.DrawFn):
    """One change of the files or of one step."""
    if draw(st.integers(0, 2)):
        name = draw(st.sampled_from(NAMES))
        return "file", name, draw(st.none() | content)
    return "step", draw(st.integers(0, 5)), draw(step)


def buildfile(layout: Path, chosen: list[tuple]) -> str:
    """``s0`` … are the steps; a step stands on those of its numbers that come before it."""
    text = f"buildfile = 1\n[base.box]\nlayout = {json.dumps(str(layout))}\n"
    tops = []
    for k, (kind, script, numbers, flag) in enumerate(chosen):
        below = [f"s{n}" for n in sorted(numbers) if n < k]
        on = json.dumps(["box", *below])
        text += f"[step.s{k}]\n"
        match kind:
            case "copy":
                include = ', include = ["**/*.txt", "a"]' if flag else ""
                text += f'copy = [{{ from = "src"{include}, to = "/app/{"" if flag else k}" }}]\n'
            case "write":
                text += f'write = {{ "/w{k}" = {json.dumps(SCRIPTS[script])} }}\n'
            case "from" if below:
                path = "/opt" if flag else f"/r{below[-1][1:]}"
                text += (
                    f'copy = [{{ from = "step:{below[-1]}", path = "{path}", to = "/f{k}/x" }}]\n'
                )
            case "bind" if below:
                mount = (
                    f'{{ bind = "step:{below[0]}", target = "/in", write = {str(flag).lower()} }}'
                )
                text += f'on = ["box"]\nmounts = [{mount}]\nrun = "find /in/app /in/w* /in/shared > /r{k} || true"\n'
            case "tree":
                mode = "0700" if flag else "0755"
                text += (
                    f'write = {{ "/opt/d/w{k}" = {{ text = "{k}", mode = "{mode}" }} }}\n'
                    f'dirs = {{ "/opt/e" = {{ mode = "{mode}" }} }}\nlinks = {{ "/opt/l" = "d/w{script}" }}\n'
                )
            case "chosen" if below:
                chosen_by = 'include = ["r*", "opt/**"]' if flag else 'exclude = ["opt", "shared"]'
                time = "keep" if script % 2 else "epoch"
                text += (
                    f'copy = [{{ from = "step:{below[-1]}", {chosen_by}, to = "/c{k}/" }}]\n'
                    f'normalize = {{ mode = "{"git" if flag else "keep"}", time = "{time}" }}\n'
                )
            case "tools" if below:
                text += (
                    f'on = ["box"]\nwith = {json.dumps(["box", *below])}\noutputs = ["/r{k}", "/opt/**"]\n'
                    f"run = {json.dumps(SCRIPTS[script].format(k=k))}\n"
                )
            case "part":
                kept = 'outputs = ["/r*"]' if flag else 'discard = ["/shared", "/opt/d/**"]'
                text += f"on = {on}\n{kept}\nrun = {json.dumps(SCRIPTS[script].format(k=k))}\n"
            case _:
                mount = '{ bind = "src", target = "/in" }'
                text += f"on = {on}\nmounts = [{mount}]\nrun = {json.dumps(SCRIPTS[script].format(k=k))}\n"
        tops.append(f"s{k}")
    return text + f'[image.i]\non = {json.dumps(["box", *tops])}\n[image.z]\non = ["box", "s1"]\n'


@contextmanager
def workspace() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="planned") as folder:
        yield Workspace.make(Path(folder))


def write(ws: Workspace, layout: Path, chosen: list[tuple], tree: dict[str, tuple]) -> None:
    for name in NAMES:
        if name in tree:
            ws.write(f"src/{name}", *tree[name])
        else:
            (ws.folder / "src" / name).unlink(missing_ok=True)
    ws.write("Buildfile.toml", buildfile(layout, chosen))


def outcome(ws: Workspace, caches: tuple[CacheURL, ...] = ()) -> object:
    """The images' digests, or what is wrong."""
    try:
        return digests(ws.build(jobs=2, caches=caches))
    except ErrorGroup as group:
        return sorted(error.code for error in group.errors)
    except BuildgraphError as error:
        return [error.code]


def walk(ws: Workspace, layout: Path, chosen: list, tree: dict, changes: list) -> Iterator[int]:
    """The workspace as it is, then after each of the changes; their number."""
    (ws.folder / "src/deep").mkdir(parents=True)
    write(ws, layout, chosen, tree)
    yield 0
    for turn, (sort, which, what) in enumerate(changes, 1):
        match sort:
            case "file" if what is None:
                tree.pop(which, None)
            case "file":
                tree[which] = what
            case _:
                chosen[which % len(chosen)] = what
        note(f"{sort} {which}: {what}")
        write(ws, layout, chosen, tree)
        yield turn

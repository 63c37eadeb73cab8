"""The warm path as a process of its own: what it loads, what it says."""

import os
import subprocess
import sys
from pathlib import Path

from support.registry import running
from support.stores import image, make

from buildgraph.cli import warm
from buildgraph.fs import facts
from buildgraph.store.local import LocalStore

HEAVY = (
    "asyncio blake3 click dataclasses diskcache hashlib json multiprocess networkx pathlib pydantic re rich rich_click \
subprocess tarfile tomli typing zipfile"
)

SELDOM = "asyncio difflib http multiprocess networkx pydantic rich rich_click socket ssl"
"""Of others, what an ordinary build never needs."""

PARTS = """
buildgraph.build.outputs buildgraph.build.remote buildgraph.dockerfile.parse buildgraph.execute.archive
buildgraph.execute.archives buildgraph.execute.forwarding buildgraph.execute.ops_packages buildgraph.execute.remotes
buildgraph.execute.sources buildgraph.fs.dockercontext buildgraph.graph.dockerrecipe buildgraph.image.archive
buildgraph.registry.client
"""
"""Of our own: outputs, packages, registries, Dockerfiles."""

UNPUSHED = """
asyncio blake3 bz2 click concurrent diskcache difflib email hashlib http logging lzma multiprocess networkx pickle
pydantic random rich rich_click shutil sqlite3 ssl subprocess tempfile tomli zipfile
"""
"""What a push over plain http never needs: its own start is most of its CPU time."""

ROOT = Path(__file__).parents[2]

PROGRAM = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
before = set(sys.modules)
from buildgraph.__main__ import main
code = main()
print(*sorted(set(sys.modules) - before))
assert sys.modules["buildgraph"].__file__.startswith({str(ROOT)!r})
sys.exit(code)
"""


def test_a_remembered_answer_loads_nothing_heavy(tmp_path):
    words = ["build", "--home", str(tmp_path)]
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        file = warm.plan_file(words, str(tmp_path))
    finally:
        os.chdir(here)
    os.makedirs(os.path.dirname(file))
    facts.save(file, facts.Facts(os.fsencode(tmp_path)), warm.encode({"plain": b"up to date\n"}))
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "up to date\n")
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & set(HEAVY.split())


def test_plain_progress_of_other_commands_needs_no_rich(tmp_path):
    program = PROGRAM.replace("print(", "print('\\n', ")
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, "init"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "click" in loaded
    assert not loaded & {"rich", "rich_click", "networkx", "pydantic", "asyncio", "multiprocess"}


def test_a_build_of_what_is_in_order_loads_only_what_it_uses(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "Buildfile.toml").write_text(
        "buildfile = 1\n[base.none]\nscratch = true\n"
        '[step.a]\ncopy = [{ from = "file", to = "/" }]\n[image.b]\non = ["none", "a"]\n'
    )
    program = PROGRAM.replace("print(", "print('\\n', ")
    words = ["--progress", "quiet", "build", "--home", str(tmp_path / "home")]
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "diskcache" in loaded
    assert not loaded & set(SELDOM.split())
    assert not set(done.stdout.split()) & set(PARTS.split())


def test_a_push_loads_only_what_it_uses(tmp_path):
    with LocalStore.open(tmp_path / "home") as store:
        store.images.tag("app:1", image(store, make(store, "one")))
    with running(tmp_path / "registry") as registry:
        words = ["push", "app:1", f"{registry.host}/app:1", "--home", str(tmp_path / "home")]
        done = subprocess.run(
            [sys.executable, "-I", "-c", PROGRAM, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert registry.accesses()
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "h11" in loaded
    assert not loaded & set(UNPUSHED.split())
    assert done.stderr.endswith("uploaded\n")

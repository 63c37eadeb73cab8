"""The same tree gives the same images: folder, umask, time zone, locale, hash seed, jobs, store, order of directories."""

import os
import shutil
from pathlib import Path

import pytest
from support.program import Program
from support.workspace import Workspace

BUILDFILE = """
[workspace]
default = ["i", "z", "n"]
[step.src]
copy = [{ from = "src", to = "/app/" }]
[step.etc]
write = { "/etc/conf" = "text\\n", "/usr/bin/tool" = { text = "#!/bin/sh\\n", mode = "0755" } }
dirs = { "/data" = { owner = "1000:1000", mode = "0750" } }
links = { "/usr/bin/link" = "tool" }
[step.one]
on = ["box"]
mounts = [{ bind = "src", target = "/in" }]
run = "find /in | sort > /list; mkdir /made; for i in 9 1 5 a Z; do echo $i > /made/$i; done; ln /made/1 /made/one; umask > /umask; date -d @$SOURCE_DATE_EPOCH > /date"
[step.two]
on = ["box"]
run = "rm -r /opt/d; env | sort > /env; echo x > /bin/x; date > /tmp/now; rm /tmp/now; chmod 600 /opt/old"
[step.user]
on = ["one", "src"]
user = "1000:1000"
workdir = "/desk"
run = "id > /desk/id; echo mine > mine"
[image.i]
on = ["box", "one", "two", "src", "etc", "user"]
env = { A = "1", B = "2" }
labels = { b = "2", a = "1" }
[image.z]
on = ["two", "src"]
compression = "zstd"
[image.n]
on = ["one"]
compression = "none"
squash = true
"""
FILES = {
    "src/main.py": ("print(1)\n", 0o644),
    "src/tool": ("#!/bin/sh\n", 0o755),
    "src/deep/er/file": ("x\n" * 100_000, 0o600),
    "src/ünï \udcff": ("odd\n", 0o640),
    "src/B": ("upper\n", 0o664),
    "src/b": ("lower\n", 0o444),
    "src/empty/.keep": ("", 0o644),
}
WAYS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "one-job": ({}, ("-j", "1")),
    "eight-jobs": ({}, ("-j", "8")),
    "far-away": ({"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "tr_TR.UTF-8"}, ()),
    "seed-one": ({"PYTHONHASHSEED": "1", "USER": "other", "HOME": "/nowhere"}, ("-j", "8")),
    "seed-two": ({"PYTHONHASHSEED": "4242", "SOURCE_DATE_EPOCH": "1"}, ("-j", "8")),
}


def fill(workspace: Workspace, names: list[str]) -> Workspace:
    workspace.base()
    workspace.buildfile(BUILDFILE)
    for name in names:
        workspace.write(name, *FILES[name])
    os.symlink("main.py", workspace.folder / "src/link")
    return workspace


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    return Program.of(fill(Workspace.make(folder), list(FILES))).digests()


@pytest.mark.parametrize("way", WAYS)
def test_the_surroundings_do_not_matter(expected, way, tmp_path):
    """Each in another folder, with its files made in another order, from an empty store and from a warm one."""
    environ, words = WAYS[way]
    names = sorted(FILES, key=lambda name: hash((way, name)))
    umask = os.umask(0o022 if way == "seed-one" else 0o077)
    try:
        folder = tmp_path / way / "a folder"
        folder.mkdir(parents=True)
        workspace = fill(Workspace.make(folder, f"{way} ü"), names)
        program = Program(workspace.folder, workspace.home, environ)
        assert program.build(*words).digests == expected
        assert program.build(*words).digests == expected
        again = program.build("--no-cache", *words)
        assert again.digests == expected
        assert again.ran == {"src", "etc", "one", "two", "user"}
    finally:
        os.umask(umask)


def test_a_store_of_other_builds_does_not_matter(expected, tmp_path):
    """Layers packed before for another image, by another codec, in another order."""
    workspace = fill(Workspace.make(tmp_path), list(FILES))
    program = Program.of(workspace)
    for target in ("user", "z", "two", "n", "i"):
        program.build(target)
    program.run("cache", "gc", "--max-size", "3MB")
    assert program.digests() == expected


def test_times_owners_and_copies_of_the_tree_do_not_matter(expected, tmp_path):
    """A copy of the folder whose files are another user's and of another century."""
    workspace = fill(Workspace.make(tmp_path), list(FILES))
    copied = tmp_path / "copied"
    shutil.copytree(workspace.folder, copied, symlinks=True)
    for path in [*copied.rglob("*"), copied]:
        os.utime(path, (4e9, 1e9), follow_symlinks=False)
        if os.geteuid() == 0 and "box" not in path.parts:
            os.lchown(path, 12345, 54321)
        if path.is_dir():
            path.chmod(0o700)
    assert Program(copied, workspace.home.with_name("other")).digests() == expected
    assert Program(copied, workspace.home).digests() == expected


def test_it_is_reached_from_anywhere(expected, tmp_path):
    """By a link, with -C, with -f, from a folder below."""
    workspace = fill(Workspace.make(tmp_path), list(FILES))
    link = tmp_path / "link"
    link.symlink_to(workspace.folder)
    program = Program(workspace.folder, workspace.home)
    assert program.digests() == expected
    assert Program(link, workspace.home).digests() == expected
    assert Program(workspace.folder / "src/deep", workspace.home).digests() == expected
    assert Program(Path("/"), workspace.home).build("-C", workspace.folder).digests == expected
    file = workspace.folder / "Buildfile.toml"
    assert Program(tmp_path, workspace.home).build("-f", file).digests == expected


def test_a_copy_of_the_folder_knows_what_its_first_change_is(tmp_path):
    """Nothing ever ran in the copy: what it is compared with is what another folder made."""
    workspace = fill(Workspace.make(tmp_path), list(FILES))
    Program.of(workspace).build("i")
    copied = tmp_path / "copied"
    shutil.copytree(workspace.folder, copied, symlinks=True)
    program = Program(copied, workspace.home)
    assert program.build("i").metadata["steps"]["executed"] == 0
    assert "it never ran here: its result was there on 2" in program.run("why", "src").stdout
    (copied / "src/main.py").write_text("print(2)\n")
    told = program.run("plan", "i").stdout
    assert "execute  src   /app/main.py content: " in told
    assert "execute  one   mount /in: src/main.py content: " in told

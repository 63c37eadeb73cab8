import os
import socket
import threading
from pathlib import Path

import pytest
from blake3 import blake3
from support.grow import MONOREPO, context, grow

from buildgraph.errors import BuildgraphError
from buildgraph.fs import scan
from buildgraph.fs.context import Context, Selected
from buildgraph.fs.fingerprint import StatCache
from buildgraph.fs.scan import Selection
from buildgraph.fs.tree import DIRECTORY, FILE, SYMLINK


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return grow(tmp_path / "root", MONOREPO)


def names(selected: tuple[Selected, ...]) -> list[str]:
    return [
        os.fsdecode(one.path)
        + ("/" if one.kind == DIRECTORY else "@" if one.kind == SYMLINK else "")
        for one in selected
    ]


def code_of(context: Context, *args: object, **named: bool) -> str:
    with pytest.raises(BuildgraphError) as caught:
        context.select(*args, **named)
    assert "\n" not in caught.value.message
    return f"{caught.value.code}: {caught.value.message} | {caught.value.hint}"


def test_everything(root: Path) -> None:
    found = context(root, ("**/__pycache__",), (b".git", b"Buildfile.toml")).select(".")
    assert names(found) == [
        "lib/", "lib.py", "lib/a.py", "lib/a_test.py", "lib/empty/", "lib/sub/", "lib/sub/b.py", "link@", "run.sh",
    ]  # fmt: skip
    by_name = {one.path: one for one in found}
    content = blake3(b"a").hexdigest()
    source = os.fsencode(root / "lib/a.py")
    assert by_name[b"lib/a.py"] == (b"lib/a.py", FILE, False, 1, content, b"", source)
    assert by_name[b"run.sh"].executable
    assert by_name[b"link"] == (
        b"link",
        SYMLINK,
        False,
        0,
        "",
        b"lib/a.py",
        os.fsencode(root / "link"),
    )
    assert by_name[b"lib"] == (b"lib", DIRECTORY, False, 0, "", b"", os.fsencode(root / "lib"))


@pytest.mark.parametrize(
    ("path", "include", "exclude", "expected"),
    [
        ("lib", [], [], ["a.py", "a_test.py", "empty/", "sub/", "sub/b.py"]),
        ("lib/", [], ["**/*_test.py"], ["a.py", "empty/", "sub/", "sub/b.py"]),
        ("./lib//sub/..", ["*.py"], [], ["a.py", "a_test.py"]),
        ("lib", ["sub/**"], [], ["sub/", "sub/b.py"]),
        ("lib", ["empty"], [], ["empty/"]),
        ("lib", ["empty/**"], [], []),
        ("lib", ["**/b.py"], [], ["sub/", "sub/b.py"]),
        ("lib", ["sub", "a.py"], ["sub/b.py"], ["a.py", "sub/"]),
        ("lib", ["**"], ["sub/**"], ["a.py", "a_test.py", "empty/", "sub/"]),
        ("lib", ["nothing*"], [], []),
        ("lib/empty", [], [], []),
        (".", ["lib/*.py", "r*"], [], ["lib/", "lib/a.py", "lib/a_test.py", "run.sh"]),
        (".", ["link"], [], ["link@"]),
    ],
)
def test_globs(
    root: Path, path: str, include: list[str], exclude: list[str], expected: list[str]
) -> None:
    ctx = context(root, ("**/__pycache__",), (b".git",))
    assert names(ctx.select(path, include, exclude)) == expected


def test_one_file(root: Path) -> None:
    (found,) = context(root).select("run.sh")
    assert found == (
        b"",
        FILE,
        True,
        4,
        blake3(b"echo").hexdigest(),
        b"",
        os.fsencode(root / "run.sh"),
    )


def test_a_named_link_is_followed(root: Path) -> None:
    grow(root, {"dir": "-> lib", "abs": f"-> {root}/lib", "up": "-> lib/../lib/sub"})
    ctx = context(root)
    (found,) = ctx.select("link")
    assert (found.path, found.source) == (b"", os.fsencode(root / "lib/a.py"))
    assert names(ctx.select("dir/sub", ["b.py"])) == ["b.py"]
    assert names(ctx.select("abs/sub", ["b.py"])) == ["b.py"]
    assert ctx.select("up", ["b.py"]) == ctx.select("lib/sub", ["b.py"])


def test_always_ignored_unless_spelled_out(root: Path) -> None:
    ctx = context(root, (), (b".git", b"Buildfile.toml", b"lib/sub"))
    assert b".git" not in {one.path for one in ctx.select(".")}
    assert names(ctx.select(".", [".git/**"])) == [".git/", ".git/HEAD"]
    assert names(ctx.select(".", [".git"])) == [".git/", ".git/HEAD"]
    assert names(ctx.select(".", ["Buildfile.toml", "lib/sub/b.*"])) == [
        "Buildfile.toml", "lib/", "lib/sub/", "lib/sub/b.py",
    ]  # fmt: skip
    assert names(ctx.select(".", ["Build*", "l*/sub", ".g*"])) == [
        "lib/",
        "lib/sub/",
        "lib/sub/b.py",
    ]
    assert names(ctx.select(".git")) == ["HEAD"]
    assert names(ctx.select("lib/sub", [".git"])) == [".git"]


def test_what_the_workspace_ignores_is_never_selected(root: Path) -> None:
    ctx = context(root, ("lib", "*.sh"))
    assert names(ctx.select(".", ["lib/**", "run.sh"])) == []
    assert code_of(ctx, "lib").startswith("source-ignored: lib is never selected")
    assert code_of(ctx, "lib/sub").startswith("source-ignored")
    assert code_of(ctx, "run.sh").startswith("source-ignored")
    assert names(context(root, ("*",)).select(".")) == []


def test_globs_beside_a_single_file_are_told(root: Path) -> None:
    ctx = context(root)
    assert code_of(ctx, "run.sh", ["*.sh"]).startswith("globs-of-a-file: run.sh is a file")
    assert code_of(ctx, "link", (), ["x"]).startswith("globs-of-a-file: link is a file")


def test_a_missing_source_has_near_names(root: Path) -> None:
    shown = code_of(context(root), "libs")
    assert shown == "source-missing: libs does not exist | did you mean lib or lib.py?"
    assert code_of(context(root), "lib/subb/x").startswith(
        "source-missing: lib/subb/x does not exist"
    )
    assert code_of(context(root), "lib/subb/x").endswith("did you mean lib/sub?")
    assert code_of(context(root), "LIBS/sub").endswith("did you mean lib/sub?")
    assert code_of(context(root), "run.sh/x").startswith("source-missing")
    grow(root, {"dangling": "-> nowhere"})
    assert code_of(context(root), "dangling").startswith("source-missing")
    grow(root, {"lib/lost": "-> nowhere"})
    shown = code_of(context(root), "lib", follow=True)
    assert shown.startswith("source-missing: lib/lost does not exist")


@pytest.mark.parametrize("target", ["..", "/etc", "lib/../../x", "../root-sibling"])
def test_a_source_cannot_leave_the_context(root: Path, target: str) -> None:
    (root.parent / "root-sibling").mkdir()
    grow(root, {"out": f"-> {target}"})
    assert code_of(context(root), "out/passwd").startswith("source-escapes: out/passwd leads out")
    assert names(context(root).select(".", ["out"])) == ["out@"]
    assert code_of(context(root), ".", ["out"], follow=True).startswith("source-escapes: out leads")
    assert names(context(root).select(".", ["out/passwd"])) == []


def test_the_context_itself_is_left_neither(root: Path) -> None:
    assert code_of(context(root), "../root").startswith("source-escapes")
    assert code_of(context(root), "lib/../..").startswith("source-escapes")


def test_links_that_lead_to_themselves(root: Path) -> None:
    grow(
        root,
        {"x": "-> y", "y": "-> x", "lib/up": "-> ..", "lib/self": "-> .", "lib/sub/in": "-> .."},
    )
    ctx = context(root)
    assert code_of(ctx, "x").startswith("source-loop")
    for name in ("up", "self", "sub/in"):
        assert code_of(ctx, "lib", [name], follow=True).startswith("source-loop")
    assert "lib/sub/in@" in names(ctx.select("."))


def test_follow(root: Path) -> None:
    grow(root, {"in/file": "-> ../lib/a.py", "in/dir": "-> ../lib", "in/two": "-> dir/sub"})
    ctx = context(root, ("**/__pycache__",), (b".git",))
    found = ctx.select("in", (), ["**/*_test.py", "**/.git"], follow=True)
    assert names(found) == [
        "dir/", "dir/a.py", "dir/empty/", "dir/sub/", "dir/sub/b.py", "file", "two/", "two/b.py",
    ]  # fmt: skip
    by_name = {one.path: one for one in found}
    assert by_name[b"file"].source == os.fsencode(root / "lib/a.py")
    assert by_name[b"two/b.py"].content == blake3(b"b").hexdigest()
    assert names(ctx.select("in", ["two/*.py", "file"], follow=True)) == [
        "file",
        "two/",
        "two/b.py",
    ]
    assert names(ctx.select("in", ["dir/"], ["dir/s*"], follow=True)) == [
        "dir/", "dir/a.py", "dir/a_test.py", "dir/empty/",
    ]  # fmt: skip
    assert names(ctx.select("in")) == ["dir@", "file@", "two@"]


def test_two_links_that_lead_to_each_other(root: Path) -> None:
    grow(root, {"p/q": "-> ../r", "r/s": "-> ../p"})
    assert code_of(context(root), "p", follow=True).startswith("source-loop")


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_special_files_are_refused_where_they_are_selected(root: Path, kind: str) -> None:
    path = root / "lib/special"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(root / "lib")
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind("special")
        finally:
            os.chdir(here)
    else:
        try:
            os.mknod(path, 0o020644, os.makedev(1, 3))
        except PermissionError:
            os.mkfifo(path)
    grow(root, {"to-special": "-> lib/special"})
    ctx = context(root, ("ignored/**",))
    for selection in [("lib",), ("lib/special",), (".",), ("to-special",)]:
        assert "special is a FIFO, socket or device" in code_of(ctx, *selection)
    assert code_of(ctx, ".", ["to-special"], follow=True).startswith("source-special")
    assert b"special" not in {one.path for one in ctx.select("lib", (), ["special"])}
    assert names(context(root, ("lib/special",)).select("lib", ["*.py"])) == ["a.py", "a_test.py"]
    assert names(ctx.select("lib", ["a.py"])) == ["a.py"]


def test_a_folder_that_cannot_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def denied(path: bytes) -> object:
        if path == os.fsencode(root / "lib/sub"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert code_of(context(root), ".").startswith("source-unreadable: lib/sub cannot be read")
    assert names(context(root).select("lib", ["*.py"])) == ["a.py", "a_test.py"]


def test_a_file_that_vanishes_between_listing_and_reading(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = scan.Scan._visit

    def vanishing(self: scan.Scan, place: scan._Place, found: object, **named: bool) -> object:
        more = visit(self, place, found, **named)
        if place.folder.path == b"lib/sub":
            (root / "lib/sub/b.py").unlink()
        return more

    monkeypatch.setattr(scan.Scan, "_visit", vanishing)
    assert code_of(context(root), ".").startswith("source-changed: lib/sub/b.py vanished")


def test_a_file_that_changes_between_scan_and_reading(root: Path) -> None:
    ctx = context(root)
    collect = ctx._scan.collect

    def changing(selection: Selection) -> object:
        found = collect(selection)
        for batch in found.batches:
            batch.folder.stat(batch.names)
        (root / "lib/a.py").write_text("changed")
        return found

    ctx._scan.collect = changing
    found = {one.path: one for one in ctx.select("lib")}
    assert found[b"a.py"].content == blake3(b"changed").hexdigest()
    assert found[b"a.py"].size == 7


def test_names_of_any_bytes(root: Path) -> None:
    raw = [b"new\nline", b"\xff\xfe", b"A", b"a", "é".encode(), b"-rf", b"x" * 255]
    (root / "odd").mkdir()
    for name in raw:
        with open(os.path.join(os.fsencode(root / "odd"), name), "wb") as out:
            out.write(name)
    found = context(root).select("odd")
    assert [one.path for one in found] == sorted(raw)
    assert [one.content for one in found] == [blake3(name).hexdigest() for name in sorted(raw)]
    (one,) = context(root).select("odd/" + os.fsdecode(b"\xff\xfe"))
    assert one.size == 2


def test_depth(root: Path) -> None:
    fd = os.open(root, os.O_RDONLY)
    depth = 150
    for _ in range(depth):
        os.mkdir("deep", dir_fd=fd)
        inner = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    found = context(root).select(".", ["deep"])
    assert len(found) == depth


def test_many_selections_list_and_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    cache = StatCache.load(root.parent / "stat", root)
    calls = []
    digest = StatCache.digest
    monkeypatch.setattr(StatCache, "digest", lambda *a: calls.append(list(a[2])) or digest(*a))
    ctx = Context(root, cache)
    selections = [
        Selection("lib"),
        Selection("lib", ("*.py",)),
        Selection("."),
        Selection("run.sh"),
    ]
    ctx.prefetch(selections)
    once = len(listed)
    assert once == len(set(listed))
    for selection in selections:
        assert ctx.select(*selection)
    assert len(listed) == once
    assert sum(map(bool, calls)) == 1


def test_threads(root: Path) -> None:
    ctx = context(root)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(ctx.select("."))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_missing_archive_is_named(root: Path) -> None:
    with pytest.raises(BuildgraphError) as caught:
        context(root).digests([root / "run.sx"])
    assert caught.value.code == "source-missing"
    assert "run.sh" in caught.value.hint


def test_a_root_that_is_a_link(root: Path) -> None:
    (root.parent / "alias").symlink_to(root)
    found = context(root.parent / "alias").select("lib", ["a.py"])
    assert found[0].source == os.fsencode(root / "lib/a.py")

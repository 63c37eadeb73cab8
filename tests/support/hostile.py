"""Hostile archives by name, each with what must come of it.

:func:`case` makes one. ``outside`` is the absolute path of a folder beside the root, with a file ``canary`` in it,
that the archive tries to reach. ``expected`` lists the paths of the tree that the archive is applied as, without
implied parents, each with its kind (``tree.FILE`` and so on) and what matters of it; it is None where the archive is
refused, with ``code`` and an error that shows ``entry``. Archives named ``gz-…`` (and ``bomb``) are compressed.
"""

import gzip
import zlib
from dataclasses import dataclass, field

from support.tarwrite import (
    END,
    file,
    folder,
    gnu_long,
    hardlink,
    header,
    pax,
    raw_pax,
    symlink,
)

Expected = dict[bytes, tuple[object, ...]]


@dataclass(frozen=True)
class Case:
    archive: bytes
    expected: Expected | None = None
    code: str = ""
    entry: str = ""
    modes: dict[bytes, int] = field(default_factory=dict)


def case(name: str, outside: str) -> Case:
    for part in (_names, _links, _hard, _whiteouts, _special, _numbers, _damage, _changes):
        if name in (cases := part(outside.encode())):
            return cases[name]()
    raise KeyError(name)


def names(outside: str = "/outside") -> tuple[str, ...]:
    parts = (_names, _links, _hard, _whiteouts, _special, _numbers, _damage, _changes)
    return tuple(name for part in parts for name in part(outside.encode()))


def _applied(body: bytes, expected: Expected, **more) -> Case:
    return Case(file(b"first", b"1") + body + END, {b"first": ("f", b"1"), **expected}, **more)


def _refused(body: bytes, code: str, entry: str) -> Case:
    return Case(file(b"first", b"1") + body + END, None, code, entry)


EVIL = ("f", b"hostile")


def _names(out: bytes) -> dict:
    inside = out.lstrip(b"/")
    evil = inside + b"/evil"
    bad = "archive-name"
    return {
        "name-up": lambda: _refused(file(b"../evil"), bad, "../evil"),
        "name-absolute": lambda: _applied(file(out + b"/evil"), {evil: EVIL}),
        "name-double-slash": lambda: _applied(
            file(b"//" + inside.replace(b"/", b"//") + b"//evil"), {evil: EVIL}
        ),
        "name-mid-up": lambda: _refused(file(b"a/../../evil"), bad, "a/../../evil"),
        "name-dotdot-only": lambda: _refused(folder(b".."), bad, "'..'"),
        "name-dot": lambda: _applied(folder(b".", 0o711) + file(b"./x"), {b"": ("d",), b"x": EVIL}),
        "name-slash": lambda: _applied(folder(b"/", 0o711), {b"": ("d",)}),
        "name-empty": lambda: _refused(file(b""), bad, "''"),
        "name-sibling-prefix": lambda: _refused(file(b"../root-evil/x"), bad, "../root-evil/x"),
        "pax-path-up": lambda: _refused(
            pax([(b"path", b"../evil")]) + file(b"fine"), bad, "../evil"
        ),
        "pax-linkpath": lambda: _refused(
            pax([(b"linkpath", b"../.." + out + b"/canary")]) + hardlink(b"x", b"first"),
            "archive-link",
            "/x ",
        ),
        "gnu-longname-up": lambda: _refused(
            gnu_long(b"L", b"../" * 50 + b"evil") + file(b"fine"), bad, "../../"
        ),
        "pax-global-path": lambda: _refused(
            pax([(b"path", b"../evil")], b"g") + file(b"fine"), "archive-header", "PaxHeaders/it"
        ),
        "name-newline": lambda: _applied(file(b"a\nb\x1b[2J"), {b"a\nb\x1b[2J": EVIL}),
        "name-bytes": lambda: _applied(file(b"\xff\xfe\x80"), {b"\xff\xfe\x80": EVIL}),
        "name-255": lambda: _applied(file(b"n" * 255), {b"n" * 255: EVIL}),
        "name-256": lambda: _refused(file(b"n" * 256), bad, "nnnn"),
        "name-4096": lambda: _refused(file(b"n/" * 2048), bad, "n/n/"),
        "name-64k": lambda: _refused(file(b"n/" * 32768), bad, "n/n/"),
        "case-fold": lambda: _applied(
            file(b"Name", b"1") + file(b"name", b"2"), {b"Name": ("f", b"1"), b"name": ("f", b"2")}
        ),
    }


def _links(out: bytes) -> dict:
    inside = out.lstrip(b"/")
    evil = inside + b"/evil"
    bad = "archive-link"
    up = b"../" * 20 + inside
    loops = [symlink(b"l%d" % i, b"l%d/l%d" % (i + 1, i + 1)) for i in range(60)]
    return {
        "sym-abs-then-file": lambda: _applied(
            symlink(b"s", out) + file(b"s/evil"), {b"s": ("l", out), evil: EVIL}
        ),
        "sym-up-then-file": lambda: _applied(
            symlink(b"s", up) + file(b"s/evil"), {b"s": ("l", up), evil: EVIL}
        ),
        "sym-chain": lambda: _applied(
            symlink(b"a", b"b") + symlink(b"b", b"c") + symlink(b"c", out) + file(b"a/evil"),
            {b"a": ("l", b"b"), b"b": ("l", b"c"), b"c": ("l", out), evil: EVIL},
        ),
        "sym-two-step": lambda: _applied(
            symlink(b"a", b".") + symlink(b"a/b", b"..") + file(b"a/b/evil"),
            {b"a": ("l", b"."), b"b": ("l", b".."), b"evil": EVIL},
        ),
        "sym-then-overwrite": lambda: _applied(
            symlink(b"s", out + b"/canary") + file(b"s"), {b"s": EVIL}
        ),
        "sym-then-dir": lambda: _applied(
            symlink(b"s", out) + folder(b"s") + file(b"s/evil"), {b"s": ("d",), b"s/evil": EVIL}
        ),
        "sym-then-chmod": lambda: _applied(
            symlink(b"s", out) + folder(b"s", 0o7777), {b"s": ("d",)}, modes={b"s": 0o7777}
        ),
        "sym-then-chown": lambda: _applied(
            symlink(b"s", out, uid=4242, gid=4242), {b"s": ("l", out)}
        ),
        "sym-self": lambda: _refused(symlink(b"s", b"s") + file(b"s/evil"), bad, "/s/evil"),
        "sym-loop": lambda: _refused(
            symlink(b"a", b"b") + symlink(b"b", b"a") + file(b"a/evil"), bad, "/a/evil"
        ),
        "sym-deep-loop": lambda: _refused(b"".join(loops) + file(b"l0/evil"), bad, "/l0/evil"),
        "sym-trailing-slash": lambda: _applied(
            symlink(b"s/", out + b"/") + file(b"s/evil"), {b"s": ("l", out + b"/"), evil: EVIL}
        ),
        "sym-empty-target": lambda: _refused(symlink(b"s", b""), bad, "/s "),
        "sym-root": lambda: _refused(symlink(b".", out), "archive-name", "'.'"),
        "sym-dangling-ok": lambda: _applied(
            symlink(b"s", b"/nowhere/at/all"), {b"s": ("l", b"/nowhere/at/all")}
        ),
        "sym-parent-replaced": lambda: _applied(
            folder(b"d") + file(b"d/a") + symlink(b"d", out) + file(b"d/evil"),
            {b"d": ("l", out), evil: EVIL},
        ),
    }


def _hard(out: bytes) -> dict:
    bad = "archive-link"
    canary = out + b"/canary"
    return {
        "hard-abs": lambda: _refused(hardlink(b"h", canary), bad, "/h "),
        "hard-up": lambda: _refused(hardlink(b"h", b"../outside/canary"), bad, "/h "),
        "hard-read": lambda: _refused(hardlink(b"h", b"/etc/shadow"), bad, "/h "),
        "hard-via-sym": lambda: _refused(
            symlink(b"s", out) + hardlink(b"h", b"s/canary"), bad, "/h "
        ),
        "hard-to-sym": lambda: _applied(
            symlink(b"a", canary) + hardlink(b"h", b"a"),
            {b"a": ("l", canary), b"h": ("h", b"a")},
        ),
        "hard-missing": lambda: _refused(hardlink(b"h", b"ghost"), bad, "/h "),
        "hard-self": lambda: _refused(file(b"h") + hardlink(b"h", b"./h"), bad, "/h "),
        "hard-to-dir": lambda: _refused(folder(b"d") + hardlink(b"h", b"d"), bad, "/h "),
        "hard-forward": lambda: _refused(hardlink(b"h", b"later") + file(b"later"), bad, "/h "),
        "hard-chmod": lambda: _applied(
            file(b"a", mode=0o600) + hardlink(b"h", b"a", mode=0o4777, uid=7),
            {b"a": EVIL, b"h": ("h", b"a")},
            modes={b"a": 0o600, b"h": 0o600},
        ),
    }


def _whiteouts(out: bytes) -> dict:
    inside = out.lstrip(b"/")
    bad = "archive-name"
    return {
        "wh-up": lambda: _refused(file(b"../.wh.canary", b""), bad, "../.wh.canary"),
        "wh-dot": lambda: _refused(file(b"d/.wh..", b""), bad, "d/.wh.."),
        "wh-empty": lambda: _refused(file(b"d/.wh.", b""), bad, "d/.wh."),
        "wh-up-path": lambda: _refused(file(b"d/.wh...", b""), bad, "d/.wh..."),
        "wh-through-sym": lambda: _applied(
            symlink(b"s", out) + file(b"s/.wh.canary", b""),
            {b"s": ("l", out), inside + b"/canary": ("w",)},
        ),
        "wh-opq-through-sym": lambda: _applied(
            symlink(b"s", out) + file(b"s/.wh..wh..opq", b""), {b"s": ("l", out), inside: ("o",)}
        ),
        "wh-aufs": lambda: _applied(
            file(b".wh..wh.aufs", b"") + folder(b".wh..wh.plnk") + file(b".wh..wh.plnk/1.2"), {}
        ),
        "wh-missing": lambda: _applied(file(b".wh.ghost", b""), {b"ghost": ("w",)}),
    }


def _special(out: bytes) -> dict:
    device = "archive-device"
    cap = bytes.fromhex("0100000200200000000000000000000000000000")
    return {
        "dev-chr": lambda: _applied(header(b"d", b"3", device=(1, 3)), {b"d": ("c", (1, 3))}),
        "dev-blk": lambda: _applied(header(b"d", b"4", device=(7, 0)), {b"d": ("b", (7, 0))}),
        "dev-huge": lambda: _refused(header(b"d", b"3", device=(1 << 40, 3)), device, "/d "),
        "overlay-whiteout-chr": lambda: _refused(header(b"d", b"3"), device, "/d "),
        "xattr-overlay": lambda: _applied(
            pax(
                [
                    (b"SCHILY.xattr.trusted.overlay.opaque", b"y"),
                    (b"SCHILY.xattr.trusted.overlay.redirect", out),
                    (b"SCHILY.xattr.user.overlay.opaque", b"y"),
                    (b"SCHILY.xattr.security.selinux", b"label"),
                ]
            )
            + folder(b"d"),
            {b"d": ("d",)},
        ),
        "xattr-cap": lambda: _applied(
            pax([(b"SCHILY.xattr.security.capability", cap)]) + file(b"x", mode=0o755),
            {b"x": (*EVIL, ((b"security.capability", cap),))},
        ),
        "xattr-long": lambda: _refused(
            pax([(b"SCHILY.xattr.user." + b"n" * 300, b"v")]) + file(b"x"), "archive-xattr", "/x "
        ),
        "fifo": lambda: _applied(header(b"p", b"6"), {b"p": ("p",)}),
        "fifo-then-file": lambda: _applied(header(b"p", b"6") + file(b"p"), {b"p": EVIL}),
        "setuid": lambda: _applied(
            file(b"x", mode=0o6755, uid=0), {b"x": EVIL}, modes={b"x": 0o6755}
        ),
        "type-unknown": lambda: _refused(header(b"x", b"Q"), "archive-type", "/x "),
        "type-contiguous": lambda: _applied(file(b"x", kind=b"7"), {b"x": EVIL}),
        "sparse-exabyte": lambda: _refused(
            pax(
                [
                    (b"GNU.sparse.major", b"1"),
                    (b"GNU.sparse.minor", b"0"),
                    (b"GNU.sparse.realsize", b"%d" % (1 << 60)),
                ]
            )
            + file(b"x"),
            "archive-sparse",
            "/x ",
        ),
    }


def _numbers(_: bytes) -> dict:
    bad = "archive-header"
    return {
        "mtime-negative": lambda: _applied(file(b"x", mtime=-1), {b"x": EVIL}),
        "mtime-huge": lambda: _applied(pax([(b"mtime", b"9" * 25)]) + file(b"x"), {b"x": EVIL}),
        "mtime-nan": lambda: _refused(pax([(b"mtime", b"nan")]) + file(b"x"), bad, "/x "),
        "uid-huge": lambda: _refused(pax([(b"uid", b"%d" % 2**40)]) + file(b"x"), bad, "/x "),
        "uid-negative": lambda: _refused(file(b"x", uid=-2), bad, "/x "),
        "pax-size-lie": lambda: _refused(
            pax([(b"size", b"1000000")]) + file(b"x"), "archive-truncated", "/x"
        ),
        "pax-size-negative": lambda: _refused(pax([(b"size", b"-512")]) + file(b"x"), bad, "/x "),
        "pax-bad-record": lambda: _refused(
            raw_pax(b"999 path=../evil\n") + file(b"x"), bad, "PaxHeaders/it"
        ),
    }


def _damage(_: bytes) -> dict:
    whole = file(b"first", b"1") + file(b"x") + END
    both: Expected = {b"first": ("f", b"1"), b"x": EVIL}
    broken = bytearray(whole)
    broken[1024 + 150] ^= 1
    packed = gzip.compress(whole, mtime=0)
    wrong = bytearray(packed)
    wrong[-6] ^= 1
    cut = "bad-compression"
    return {
        "truncated-data": lambda: Case(whole[: 1024 + 512 + 3], None, "archive-truncated", "/x"),
        "truncated-header": lambda: Case(whole[: 1024 + 100], None, "archive-truncated", "/first"),
        "no-end-blocks": lambda: Case(whole[:-1024], both),
        "bad-checksum": lambda: Case(bytes(broken), None, "archive-header", "byte 1024"),
        "garbage-after": lambda: Case(whole + b"\xffgarbage" * 999, both),
        "empty-file": lambda: Case(b"", {}),
        "zeros": lambda: Case(bytes(1 << 20), {}),
        "not-a-tar": lambda: Case(b"<!doctype html>\n" * 100, None, "archive-header", "byte 0"),
        "gz-trailing": lambda: Case(packed + b"garbage", None, cut, ""),
        "gz-truncated": lambda: Case(packed[:-20], None, cut, ""),
        "gz-two-members": lambda: Case(
            gzip.compress(whole[:700], mtime=0) + gzip.compress(whole[700:], mtime=0), both
        ),
        "gz-bad-crc": lambda: Case(bytes(wrong), None, cut, ""),
        "bomb": lambda: Case(bomb(), None, "archive-too-big", ""),
    }


def _changes(_: bytes) -> dict:
    many = 5_000
    deep = b"d/" * 1900
    return {
        "duplicate": lambda: _applied(
            file(b"x", b"old") + file(b"x", b"new"), {b"x": ("f", b"new")}
        ),
        "file-then-dir": lambda: _applied(file(b"x") + folder(b"x"), {b"x": ("d",)}),
        "dir-then-file": lambda: _applied(
            folder(b"x/") + file(b"x/y/z") + file(b"x"), {b"x": EVIL}
        ),
        "file-as-parent": lambda: _refused(file(b"x") + file(b"x/y"), "archive-parent", "/x/y"),
        "no-parents": lambda: _applied(file(b"a/b/c"), {b"a/b/c": EVIL}),
        "dir-mode-0": lambda: _applied(
            folder(b"d", 0) + file(b"d/x"), {b"d": ("d",), b"d/x": EVIL}, modes={b"d": 0}
        ),
        "dir-readonly-order": lambda: _applied(
            folder(b"d", 0o555) + folder(b"d/e", 0o500) + file(b"d/e/x"),
            {b"d": ("d",), b"d/e": ("d",), b"d/e/x": EVIL},
            modes={b"d": 0o555, b"d/e": 0o500},
        ),
        "many-entries": lambda: Case(
            b"".join(header(b"%d" % i) for i in range(many)) + END,
            {b"%d" % i: ("f", b"") for i in range(many)},
        ),
        "deep-dirs": lambda: _applied(file(deep + b"x"), {deep + b"x": EVIL}),
    }


def bomb(size: int = 1 << 26) -> bytes:
    """A gzip of little that holds a file of ``size`` zeros."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    out = [packer.compress(header(b"bomb", size=size))]
    out += [packer.compress(zeros) for _ in range(size >> 20)]
    out.append(packer.compress(END))
    out.append(packer.flush())
    return b"".join(out)

"""Tar bytes for tests, every field at will: written for itself, so that reader and writer cannot share a mistake."""


def number(value: int, width: int) -> bytes:
    """Octal where it fits, else GNU base-256."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return bytes([0xFF if value < 0 else 0x80]) + value.to_bytes(width - 1, "big", signed=value < 0)


def header(
    name: bytes,
    kind: bytes = b"0",
    *,
    size: int = 0,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 1_000_000_000,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
) -> bytes:
    assert len(name) <= 100
    assert len(link) <= 100
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:108] = number(mode, 8)
    block[108:116] = number(uid, 8)
    block[116:124] = number(gid, 8)
    block[124:136] = number(size, 12)
    block[136:148] = number(mtime, 12)
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = magic
    block[329:337] = number(device[0], 8)
    block[337:345] = number(device[1], 8)
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def file(name: bytes, content: bytes = b"hostile", kind: bytes = b"0", **fields) -> bytes:
    return named(name, kind, size=len(content), **fields) + padded(content)


def folder(name: bytes, mode: int = 0o755, **fields) -> bytes:
    return named(name, b"5", mode=mode, **fields)


def symlink(name: bytes, target: bytes, **fields) -> bytes:
    return named(name, b"2", link=target, mode=0o777, **fields)


def hardlink(name: bytes, target: bytes, **fields) -> bytes:
    return named(name, b"1", link=target, **fields)


def named(name: bytes, kind: bytes, *, link: bytes = b"", **fields) -> bytes:
    """A header, behind an extended one where a name does not fit."""
    long = [(b"path", name)] * (len(name) > 100) + [(b"linkpath", link)] * (len(link) > 100)
    before = pax(long) if long else b""
    return before + header(name[:100], kind, link=link[:100], **fields)


def records(*pairs: tuple[bytes, bytes]) -> bytes:
    out = b""
    for key, value in pairs:
        rest = b" " + key + b"=" + value + b"\n"
        length = len(rest)
        while len(b"%d" % length + rest) != length:
            length = len(b"%d" % length + rest)
        out += b"%d" % length + rest
    return out


def pax(pairs, kind: bytes = b"x") -> bytes:
    return raw_pax(records(*pairs), kind)


def raw_pax(body: bytes, kind: bytes = b"x") -> bytes:
    return header(b"PaxHeaders/it", kind, size=len(body)) + padded(body)


def gnu_long(kind: bytes, name: bytes) -> bytes:
    body = name + b"\0"
    return header(b"././@LongLink", kind, size=len(body), magic=b"ustar  \0") + padded(body)


END = bytes(1024)

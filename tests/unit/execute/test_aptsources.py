"""apt's sources: read in both forms, narrowed to a suite, written in one."""

import pytest

from buildgraph.execute.aptsources import (
    Source,
    canonical,
    from_mirror,
    narrowed,
    own_suite,
    parse,
    parse_deb822,
    parse_lines,
    read,
)

DEB822 = """# a comment
Types: deb deb-src
URIs: http://deb.debian.org/debian
# inside
Suites: bookworm bookworm-updates trixie
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
Enabled: no
URIs: http://off.example.org
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example.org
Suites: bookworm
Components: main

types: deb
uris: http://a.example.org file:/srv/mirror
suites: bookworm-security
components: main
architectures: amd64 arm64
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBG
 -----END PGP PUBLIC KEY BLOCK-----
"""
LINES = """# deb http://commented.example.org bookworm main
deb http://deb.debian.org/debian bookworm main contrib # why
deb-src http://deb.debian.org/debian bookworm main
deb [arch=amd64,i386 signed-by=/k.gpg by-hash=no] http://x.example.org/apt bookworm main
deb cdrom:[Debian 12]/ bookworm main
deb http://flat.example.org/ ./

nonsense
"""
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12"\nVERSION_CODENAME=bookworm\nID=debian\n'


def test_paragraphs():
    first, second = parse_deb822(DEB822)
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert first == Source(
        ("http://deb.debian.org/debian",),
        ("bookworm", "bookworm-updates", "trixie"),
        ("main", "contrib"),
        (("Signed-By", key),),
    )
    assert second.architectures == ("amd64", "arm64")
    assert second.options[0][1].splitlines()[1:3] == [
        " -----BEGIN PGP PUBLIC KEY BLOCK-----",
        " .",
    ]


def test_lines():
    first, second, third = parse_lines(LINES)
    assert first == Source(("http://deb.debian.org/debian",), ("bookworm",), ("main", "contrib"))
    assert second.options == (("Signed-By", "/k.gpg"), ("By-Hash", "no"))
    assert second.architectures == ("amd64", "i386")
    assert third.suites == ("./",)


def test_what_is_written_is_read_as_the_same():
    for source in (*parse_deb822(DEB822), *list(parse_lines(LINES))[:1]):
        (again,) = parse(source.to_deb822())
        assert again.suites == source.suites
        assert again.components == source.components
        assert [value for _, value in again.options] == [value for _, value in source.options]


def test_folders_are_copied_from():
    source = Source(("file:/srv/mirror", "http://x"), ("bookworm",), ("main",))
    assert "URIs: copy:/srv/mirror http://x\n" in source.to_deb822()


def test_narrowing():
    found = narrowed([*parse_deb822(DEB822), *parse_lines(LINES)], "bookworm", "amd64")
    assert [source.suites for source in found] == [
        ("bookworm", "bookworm-updates"),
        ("bookworm-security",),
        ("bookworm",),
        ("bookworm",),
    ]
    arm = narrowed(parse_lines(LINES), "bookworm", "arm64")
    assert [source.uris[0] for source in arm] == ["http://deb.debian.org/debian"]
    assert narrowed(parse_lines(LINES), "book", "amd64") == ()


@pytest.mark.parametrize(
    ("suites", "os_release", "expected"),
    [
        (("bookworm", "bookworm-updates"), DEBIAN, "bookworm"),
        (("nodistro", "stable", "stable-updates"), DEBIAN, "stable"),
        (("sid",), "VERSION_CODENAME=forky\n", "sid"),
        ((), DEBIAN, "bookworm"),
        (("cloud-sdk",), "ID=void\n", ""),
    ],
)
def test_the_suite_of_the_machine(suites, os_release, expected):
    sources = [Source(("http://x",), (suite,), ("main",)) for suite in suites]
    assert own_suite(sources, os_release) == expected


def test_mirrors():
    (address,) = from_mirror("http://m.example.org/debian", "sid")
    assert (address.uris, address.suites) == (("http://m.example.org/debian",), ("sid",))
    assert from_mirror("/srv/mirror", "sid")[0].uris == ("copy:/srv/mirror",)
    assert [
        s.suites for s in from_mirror("deb http://m sid main\ndeb http://n sid main", "sid")
    ] == [
        ("sid",),
        ("sid",),
    ]
    assert len(from_mirror(DEB822, "bookworm")) == 2


def test_a_keyring_replaces_the_one_that_was_named():
    (first, _) = parse_deb822(DEB822)
    assert first.signed_by("/mine.gpg").options == (("Signed-By", "/mine.gpg"),)


def test_the_sources_of_a_root():
    text = canonical(DEBIAN, "bookworm")
    found = list(parse_deb822(text))
    assert [source.suites for source in found] == [
        ("bookworm", "bookworm-updates"),
        ("bookworm-security",),
    ]
    assert [source.suites for source in parse_deb822(canonical(DEBIAN, "sid"))] == [("sid",)]
    assert canonical("ID=ubuntu\n", "noble") == ""


def test_reading_a_machine(tmp_path):
    (tmp_path / "sources.list").write_text("deb http://one sid main\n")
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "b.list").write_text("deb http://three sid main\n")
    (parts / "a.sources").write_text(
        "Types: deb\nURIs: http://two\nSuites: sid\nComponents: main\n"
    )
    (parts / "c.list.save").write_text("deb http://no sid main\n")
    assert [s.uris[0] for s in read(tmp_path)] == ["http://one", "http://two", "http://three"]
    assert read(tmp_path / "nowhere") == ()

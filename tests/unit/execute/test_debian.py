"""Packages as the lock, apt and dpkg write them."""

import pytest

from buildgraph.execute.debian import (
    Package,
    architecture_of,
    as_installed,
    foreign_architectures,
    installed,
    merged_links,
    pinned,
    preferred,
    simulated,
)

ZLIB = Package("zlib1g", "amd64", "1:1.2.13.dfsg-1")
ADDUSER = Package("adduser", "all", "3.134")
FOREIGN = Package("libc6", "i386", "2.36-9")


@pytest.mark.parametrize("package", [ZLIB, ADDUSER, FOREIGN])
def test_pins_round_trip(package):
    assert Package.parse(str(package)) == package


def test_names_for_apt():
    names = [package.named("amd64") for package in (ZLIB, ADDUSER, FOREIGN)]
    assert names == ["zlib1g", "adduser", "libc6:i386"]


def test_simulation():
    lines = [
        "Reading package lists...",
        "Inst zlib1g (1:1.2.13.dfsg-1 Debian:12.15/oldstable [amd64]) []",
        "Inst libc6:i386 (2.36-9 Debian:12, Debian-Security:12/oldstable-security [i386])",
        "Inst adduser [3.133] (3.134 Debian:12.15/oldstable [all]) [gone:amd64 on x]",
        "Remv old [1]",
        "Conf zlib1g (1:1.2.13.dfsg-1 Debian:12.15/oldstable [amd64])",
    ]
    before = [Package("adduser", "all", "3.133"), Package("old", "amd64", "1")]
    assert simulated(lines, before) == (ADDUSER, FOREIGN, ZLIB)


def test_status():
    status = (
        "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\n"
        "Version: 1:1.2.13.dfsg-1\nDescription: x\n long\n .\n text\n\n"
        "Package: half\nStatus: install ok half-configured\nArchitecture: all\nVersion: 1\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n"
    )
    assert installed(status) == (ZLIB,)
    assert installed("") == ()


def test_an_index_as_a_status():
    stanza = "Package: zlib1g\nArchitecture: amd64\nVersion: 1:1.2.13.dfsg-1\nDescription: x\n y\n"
    assert installed(as_installed(f"{stanza}\n{stanza}")) == (ZLIB,)


def test_preferences():
    text = pinned([ADDUSER, FOREIGN], "amd64")
    assert text.split("\n\n")[0].splitlines() == [
        "Package: *",
        "Pin: release *",
        "Pin-Priority: -1",
    ]
    assert "Package: libc6:i386\nPin: version 2.36-9\nPin-Priority: 1001\n" in text
    soft = preferred([ADDUSER], "amd64", ("usrmerge",))
    assert soft.startswith("Package: usrmerge\nPin: release *\nPin-Priority: -1\n")
    assert "Package: *" not in soft


def test_architectures():
    assert [architecture_of(*p) for p in (("amd64", ""), ("arm64", ""), ("386", ""))] == [
        "amd64",
        "arm64",
        "i386",
    ]
    assert [architecture_of("arm", v) for v in ("v6", "v7")] == ["armel", "armhf"]
    wishes = ("curl", "libc6:i386", "a:amd64=1:2", "b:any", "c:native", "d=1:3")
    assert foreign_architectures(wishes, "amd64") == ("i386",)


def test_links_of_a_merged_usr():
    assert merged_links("arm64") == ("bin", "sbin", "lib")
    assert "lib64" in merged_links("amd64")

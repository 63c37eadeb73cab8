"""A package archive on disk that apt takes for one of Debian's, without a single package file in it."""

import hashlib
import subprocess
from pathlib import Path

ESSENTIAL = {"Essential": "yes", "Priority": "required"}
REQUIRED = {"Priority": "required"}


def architecture() -> str:
    return subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()


class Archive:
    """``put`` adds a version of a package, ``drop`` takes all of one away; both take effect with ``publish``."""

    def __init__(self, folder: Path, suite: str = "bookworm") -> None:
        self.folder = folder
        self.suite = suite
        self.stanzas: dict[tuple[str, str], str] = {}

    @property
    def mirror(self) -> str:
        return f"deb [trusted=yes] copy:{self.folder} {self.suite} main"

    def put(self, name: str, version: str = "1", arch: str = "", **fields: str) -> "Archive":
        described = {
            "Package": name,
            "Version": version,
            "Architecture": arch or architecture(),
            "Maintainer": "Nobody <nobody@example.org>",
            "Priority": "optional",
            "Description": name,
            "Filename": f"pool/{name}_{version}.deb",
            "Size": "1000",
            "SHA256": hashlib.sha256(f"{name}{version}".encode()).hexdigest(),
            **{key.replace("_", "-"): value for key, value in fields.items()},
        }
        self.stanzas[name, version] = "".join(f"{k}: {v}\n" for k, v in described.items())
        return self

    def drop(self, name: str, version: str) -> "Archive":
        del self.stanzas[name, version]
        return self

    def publish(self) -> "Archive":
        packages = "\n".join(self.stanzas.values()).encode()
        path = f"main/binary-{architecture()}/Packages"
        dists = self.folder / "dists" / self.suite
        (dists / path).parent.mkdir(parents=True, exist_ok=True)
        (dists / path).write_bytes(packages)
        digest = hashlib.sha256(packages).hexdigest()
        (dists / "Release").write_text(
            f"Origin: Test\nSuite: {self.suite}\nCodename: {self.suite}\n"
            f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nArchitectures: {architecture()} all\n"
            f"Components: main\nSHA256:\n {digest} {len(packages)} {path}\n"
        )
        return self


def tiny(folder: Path) -> Archive:
    """Base, dash and libc, of which the first two are essential; apt is required; curl and git are there to ask for."""
    archive = Archive(folder)
    archive.put("libc", "2.36-9").put("base", "12.4", Pre_Depends="awk", **ESSENTIAL)
    archive.put("dash", "0.5", Pre_Depends="libc (>= 2.30)", **ESSENTIAL)
    archive.put("mawk", "1.3", Provides="awk", **REQUIRED).put("gawk", "5.2", Provides="awk")
    archive.put("apt", "2.6", Depends="libc, tzdata", **REQUIRED).put("tzdata", "2024a", "all")
    archive.put("libcurl", "7.88").put("curl", "7.88", Depends="libcurl (= 7.88)")
    archive.put("git", "1:2.39", Depends="gawk | awk", Recommends="less").put("less", "590")
    return archive.publish()

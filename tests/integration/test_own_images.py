"""The Buildfile of the project itself: right, and with the packages that scripts/setup installs. (It is built by hand.)"""

import re
import tomllib
from pathlib import Path

from support.program import Program

ROOT = Path(__file__).parents[2]


def test_the_buildfile_is_right(tmp_path):
    Program(ROOT, tmp_path / "home").run("check")


def test_images_have_the_packages_that_a_checkout_has():
    script = (ROOT / "scripts/setup").read_text()
    lists = [set(text.split()) for text in re.findall(r'packages="(?:\$packages )?(.*)"', script)]
    builds, tests = lists[0], lists[0] | lists[1]
    steps = tomllib.loads((ROOT / "Buildfile.toml").read_text())["step"]
    assert set(steps["os"]["packages"]["packages"]) == builds
    assert set(steps["test-os"]["packages"]["packages"]) == tests

"""The Buildfile of the project itself: right, and with what the checkout and scripts/setup have.

Building it takes three minutes of apt, pip and tests, so that is done by hand.
"""

import json
import re
import tomllib
from pathlib import Path

from support.program import Program

ROOT = Path(__file__).parents[2]
BUILDFILE = tomllib.loads((ROOT / "Buildfile.toml").read_text())
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_buildfile_is_right(tmp_path):
    Program(ROOT, tmp_path / "home").run("check")


def test_images_have_the_packages_that_a_checkout_has():
    script = (ROOT / "scripts/setup").read_text()
    lists = [set(text.split()) for text in re.findall(r'packages="(?:\$packages )?(.*)"', script)]
    builds, tests = lists[0], lists[0] | lists[1]
    steps = BUILDFILE["step"]
    assert set(steps["os"]["packages"]["packages"]) == builds
    assert set(steps["test-os"]["packages"]["packages"]) == tests


def test_a_plan_of_all_has_every_step(tmp_path):
    planned = json.loads(Program(ROOT, tmp_path / "home").run("plan", "--json").stdout)
    assert sorted(planned["targets"]) == ["buildgraph", "buildgraph-test"]
    assert {step["id"] for step in planned["steps"]} == set(BUILDFILE["step"])
    first = {step["id"] for step in planned["steps"] if step["decision"] == "execute"}
    assert first == {"os", "test-os", "checkout"}


def test_the_wheel_is_made_from_all_that_pyproject_names():
    (source,) = (m for m in BUILDFILE["step"]["wheel"]["mounts"] if m["target"] == "/src")
    project, hatch = PYPROJECT["project"], PYPROJECT["tool"]["hatch"]
    wheel = hatch["build"]["targets"]["wheel"]
    named = {project["readme"], "LICENSE", hatch["version"]["path"].split("/")[0]}
    named |= {*wheel["packages"], *wheel["shared-scripts"], "pyproject.toml"}
    assert named == set(source["include"])
    assert all((ROOT / path).exists() for path in named)

"""``examples/shop`` does what its README says. Needs the archives of Debian and PyPI; a cold build takes a minute."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.capability import require, require_root
from support.program import Program

SHOP = Path(__file__).parents[2] / "examples/shop"
COLD = 900
"""Seconds that the first build may take on a busy machine."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The example built once, in a folder and a store of its own."""
    require("mmdebstrap", "bwrap")
    require_root()
    place = tmp_path_factory.mktemp("examples")
    shutil.copytree(
        SHOP, place / "shop", ignore=shutil.ignore_patterns("Buildfile.lock", "__pycache__")
    )
    program = Program(place / "shop", place / "home")
    process = program.start("build", "--progress", "plain")
    out, err = process.communicate(timeout=COLD)
    assert process.returncode == 0, f"{out}\n{err[-6000:]}"
    return program


@contextmanager
def edited(file: Path, old: str, new: str) -> Iterator[None]:
    before = file.read_text()
    assert old in before
    file.write_text(before.replace(old, new))
    try:
        yield
    finally:
        file.write_text(before)


def test_a_second_build_executes_nothing(shop):
    built = shop.build()
    assert built.metadata["steps"]["executed"] == 0
    assert set(built.digests) == {"api", "web", "report"}


def test_a_changed_file_makes_a_copy_and_a_test_run(shop):
    before = shop.digests()
    with edited(shop.folder / "services/api/app.py", "listed()", "listing()"):
        built = shop.build()
    assert built.ran == {"api-src", "api-test"}
    assert {name for name, digest in built.digests.items() if digest != before[name]} == {"api"}


def test_a_comment_in_c_is_cut_off(shop):
    before = shop.digests()
    with edited(shop.folder / "libs/money/money.c", "no floating point", "never a fraction"):
        built = shop.build()
    assert built.ran == {"libmoney"}
    assert built.metadata["steps"]["cutoff"] == 4
    assert built.digests == before


def test_a_comment_in_requirements_is_cut_off(shop):
    before = shop.digests()
    with edited(shop.folder / "tools/requirements.txt", "# Used", "# Needed"):
        built = shop.build()
    assert built.ran == {"tools"}
    assert built.digests == before


def test_a_step_that_is_forced_to_run_comes_out_as_before(shop):
    before = shop.digests()
    built = shop.build("--rebuild", "tools")
    assert built.ran == {"tools"}
    assert built.digests == before


def test_a_failed_check_keeps_an_image_from_being_published(shop):
    before = shop.run("images").stdout
    with edited(shop.folder / "libs/money/money.c", "rest > 500", "rest > 400"):
        said = shop.run("build", "api", code=1).stderr
        assert "api-test" in said
    assert shop.run("images").stdout == before


def test_an_image_brings_all_that_its_command_needs(shop, tmp_path):
    shop.run("build", "report", "-o", f"type=local,dest={tmp_path / 'root'}")
    opt = tmp_path / "root/opt"
    assert (opt / "shop/money/libmoney.so").is_file()
    assert (opt / "shop/report/table.py").is_file()
    assert list(opt.glob("venv/lib/python3*/site-packages/tabulate"))
    assert not list(opt.glob("venv/lib/python3*/site-packages/pytest"))
    assert not (tmp_path / "root/usr/bin/gcc").exists()

from pathlib import Path

import pytest

from buildgraph.errors import MachineError
from buildgraph.sandbox.namespace import IdRange, subordinate_range


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "subgid"
    path.write_text("# ranges\n\nann:100000:65536\n1007:300000:70000\nbob:500000:10\nbad:x:y\n")
    return path


def test_by_name_and_by_number_the_largest_wins(file: Path) -> None:
    assert subordinate_range(str(file), "ann", 1000) == IdRange(100000, 65536)
    assert subordinate_range(str(file), "ann", 1007) == IdRange(300000, 70000)


@pytest.mark.parametrize(("user", "had"), [("bob", "10 ids"), ("bad", "no ids"), ("eve", "no ids")])
def test_too_few(file: Path, user: str, had: str) -> None:
    with pytest.raises(MachineError, match=had) as caught:
        subordinate_range(str(file), user, 1)
    assert caught.value.code == "no-subuid"
    assert f"usermod --add-subgids 100000-165535 {user}" in caught.value.hint


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no ids"):
        subordinate_range(str(tmp_path / "subuid"), "ann", 1)

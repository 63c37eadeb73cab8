"""What properties of builds stand on."""

from pathlib import Path

import pytest
from support.workspace import Workspace


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small root as an OCI layout."""
    return Workspace.make(tmp_path_factory.mktemp("layout")).base().folder / "box"

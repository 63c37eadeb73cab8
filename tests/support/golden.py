"""Texts that are kept beside the tests. Write them anew with UPDATE_GOLDEN=1 and read the difference."""

import os
from pathlib import Path


def check(file: Path, text: str) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()

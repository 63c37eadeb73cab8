"""Texts of Go's fmt, checked against what Go 1.22 prints."""

import pytest

from buildgraph.dockerfile.gotext import duration, healthcheck, quoted, quoted_list
from buildgraph.oci.config import Healthcheck


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (250_000_000, "250ms"),
        (1_500_000, "1.5ms"),
        (5_000_000_000, "5s"),
        (1_500_000_000, "1.5s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
        (3_661_001_000_000, "1h1m1.001s"),
        (-5_000_000_000, "-5s"),
    ],
)
def test_duration(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text


def test_quoting() -> None:
    assert quoted('a "b" \\ ü\n\t\x00') == '"a \\"b\\" \\\\ ü\\n\\t\\x00"'
    assert quoted("\u200b\U000e0001") == '"\\u200b\\U000e0001"'
    assert quoted_list(("/bin/sh", "-c", "x y")) == '["/bin/sh" "-c" "x y"]'
    assert quoted_list(()) == "[]"


def test_healthcheck() -> None:
    check = Healthcheck(("CMD-SHELL", "true"), interval=5_000_000_000, retries=3)
    assert healthcheck(check) == (
        "{Test:[CMD-SHELL true] Interval:5s Timeout:0s StartPeriod:0s StartInterval:0s Retries:3}"
    )

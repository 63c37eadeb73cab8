import pytest

from buildgraph.store.faults import tells_full


@pytest.mark.parametrize(
    "line",
    [
        "E: Write error - write (28: No space left on device)",
        "E: You don't have enough free space in /var/cache/apt/archives/.",
        "dpkg: error: cannot copy: Disk quota exceeded",
    ],
)
def test_programs_say_that_a_disk_is_full(line):
    assert tells_full(["Reading package lists...", line])


def test_other_words_of_programs_say_nothing_of_the_disk():
    assert not tells_full(["E: Unable to locate package space", "device or resource busy"])

"""How often and how long is waited, without waiting."""

from email.utils import formatdate

import pytest

from buildgraph.registry.patience import ATTEMPTS, Pace, Retries, retry_after


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_waits_double_and_end(clock):
    retries = Retries(clock, 90.0, jitter=lambda: 0.0)
    while retries.again():
        pass
    assert clock.slept == [0.2, 0.4, 0.8, 1.6, 3.2]
    assert len(clock.slept) == ATTEMPTS - 1


def test_at_most_half_of_a_wait_is_left_out(clock):
    retries = Retries(clock, 90.0, jitter=lambda: 1.0)
    assert retries.again()
    assert clock.slept == [0.1]


def test_the_registry_says_how_long(clock):
    retries = Retries(clock, 90.0)
    assert retries.again(7.0)
    assert clock.slept == [7.0]


def test_nobody_waits_for_longer_than_there_is_patience(clock):
    retries = Retries(clock, 90.0)
    assert retries.again(60.0)
    assert not retries.again(31.0)
    assert clock.slept == [60.0]


def test_the_time_that_tries_took_counts_too(clock):
    retries = Retries(clock, 90.0, since=clock.monotonic())
    clock.now += 89.5
    assert not retries.again(1.0)
    assert retries.again(0.0)


def test_a_try_that_cost_a_timeout_counts_for_more(clock):
    retries = Retries(clock, 90.0, attempts=4)
    assert retries.again(slow=True)
    assert not retries.again()


def test_progress_buys_new_tries(clock):
    retries = Retries(clock, 5.0, attempts=2, jitter=lambda: 0.0)
    for _ in range(20):
        assert retries.again()
        retries.forgive()
    assert not Retries(clock, 5.0, attempts=2, tried=2).again()


def test_waiting_stays_bounded_however_much_is_forgiven(clock):
    retries = Retries(clock, 5.0, jitter=lambda: 0.0)
    while retries.again():
        retries.forgive()
    assert sum(clock.slept) <= 5.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("1", 1.0),
        (" 120 ", 120.0),
        ("9" * 50, 999999999.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        (formatdate(1_700_000_030, usegmt=True), 30.0),
        (formatdate(1_600_000_000, usegmt=True), 0.0),
    ],
)
def test_retry_after(header, seconds):
    assert retry_after(header, 1_700_000_000.0) == seconds


def test_a_trickle_is_noticed():
    pace = Pace(10.0)
    pace.add(9.0, 1)
    for _ in range(10):
        pace.add(1.0, 100)
    with pytest.raises(TimeoutError, match="only 1101 bytes came in 11 s"):
        pace.add(1.0, 100)


def test_a_slow_but_honest_transfer_is_not():
    pace = Pace(10.0)
    for _ in range(100):
        pace.add(1.0, 2000)


def test_what_the_first_byte_took_is_the_socket_s_own_affair():
    pace = Pace(10.0)
    pace.add(9.9, 1)
    pace.add(9.9, 1)

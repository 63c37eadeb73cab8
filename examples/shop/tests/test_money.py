import money


def test_halves_are_rounded_to_even():
    assert [money.with_tax(cents, 500) for cents in (1, 3, 5)] == [2, 4, 8]


def test_cents_are_shown_with_two_places():
    assert money.shown(1205) == "12.05"

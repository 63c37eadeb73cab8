import unittest

import money


class Money(unittest.TestCase):
    def test_halves_are_rounded_to_even(self):
        self.assertEqual([money.with_tax(cents, 500) for cents in (1, 3, 5)], [2, 4, 8])

    def test_cents_are_shown_with_two_places(self):
        self.assertEqual(money.shown(1205), "12.05")

import unittest

from web.app import page


class Page(unittest.TestCase):
    def test_it_counts_and_lists(self):
        self.assertIn("We sell three things", page())
        self.assertIn("<li>spoon: 1.78</li>", page())

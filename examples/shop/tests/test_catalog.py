import unittest

import catalog


class Catalog(unittest.TestCase):
    def test_prices_include_the_tax(self):
        self.assertEqual(catalog.Product("teapot", 2450).price, "29.16")

    def test_everything_has_a_name(self):
        self.assertTrue(all(each.name for each in catalog.products()))

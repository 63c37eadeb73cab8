import unittest

from report.table import table


class Table(unittest.TestCase):
    def test_there_is_a_row_for_each_product(self):
        self.assertEqual(len(table().splitlines()), 2 + 3)

from report.table import table


def test_there_is_a_row_for_each_product():
    assert len(table().splitlines()) == 2 + 3

import catalog


def test_prices_include_the_tax():
    assert catalog.Product("teapot", 2450).price == "29.16"


def test_everything_has_a_name():
    assert all(each.name for each in catalog.products())

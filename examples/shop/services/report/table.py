from catalog import products
from tabulate import tabulate


def table() -> str:
    rows = [(each.name, each.price) for each in products()]
    return tabulate(rows, headers=["product", "price"], floatfmt=".2f")

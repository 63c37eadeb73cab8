"""What the shop sells."""

import json
from pathlib import Path
from typing import NamedTuple

import money

TAX_PERMILLE = 190


class Product(NamedTuple):
    name: str
    cents: int

    @property
    def price(self) -> str:
        return money.shown(money.with_tax(self.cents, TAX_PERMILLE))


def products() -> list[Product]:
    text = Path(__file__).with_name("products.json").read_text()
    return [Product(**each) for each in json.loads(text)]

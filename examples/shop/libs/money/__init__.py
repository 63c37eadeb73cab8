"""Exact sums of money, in cents; the arithmetic is in money.c."""

import ctypes
from pathlib import Path

_library = ctypes.CDLL(str(Path(__file__).with_name("libmoney.so")))
_library.money_with_tax.argtypes = [ctypes.c_longlong, ctypes.c_int]
_library.money_with_tax.restype = ctypes.c_longlong


def with_tax(cents: int, permille: int) -> int:
    return _library.money_with_tax(cents, permille)


def shown(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"

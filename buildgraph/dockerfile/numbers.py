"""Which number do these digits say? In time linear to the text, whatever its length."""

_DIGITS = "0123456789"


def natural(text: str, most: int, *, base: int = 10) -> int | None:
    """None for what is no number of ASCII digits, or one above ``most``."""
    if not text or not text.isascii() or text.strip(_DIGITS[:base]):
        return None
    digits = text.lstrip("0")
    if len(digits) > most.bit_length():
        return None
    value = int(digits or "0", base)
    return value if value <= most else None

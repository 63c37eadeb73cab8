"""How does the name of a file look in a message? It is bytes: what is no text, or would move a cursor, is escaped."""


def printable(name: bytes) -> str:
    text = name.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

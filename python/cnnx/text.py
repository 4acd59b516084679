"""Text that comes from elsewhere (names of files and classes, headers), made fit to be shown."""

from __future__ import annotations


def printable(text: str, *, lines: bool = False) -> str:
    r"""The text with everything that does not show as itself written as an escape.

    Control characters could move the cursor or recolour a terminal, marks of direction could reorder a line,
    and bytes of a name that is not UTF-8 (lone surrogates, in Python) cannot be encoded.

    Parameters
    ----------
    text
        Any string.
    lines
        Leave line breaks as they are.

    Examples
    --------
    >>> printable("cat\x1b[31m\n")
    'cat\\x1b[31m\\n'
    """
    if lines:
        return "\n".join(map(printable, text.split("\n")))
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()

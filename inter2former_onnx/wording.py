"""Words in messages: counts with their nouns, and names that are safe to print."""

from __future__ import annotations

import unicodedata


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a count with its noun: "1 picture", "2 pictures".

    Args:
        count: how many.
        noun: for one of them.
        plural: for several, where that is not the noun and an s.
    """
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def printable(text: object) -> str:
    """Write a text, such as a file name, in one line that steers no terminal.

    Returns:
        The text with escapes for control characters and for bytes that are not UTF-8 (\\n, \\x1b, \\xe9).
    """
    return "".join(map(_printable, str(text)))


def listed(names: list[str] | tuple[str, ...], most: int = 5) -> str:
    """Write the first of some names, and how many more there are."""
    shown = ", ".join(printable(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _printable(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")

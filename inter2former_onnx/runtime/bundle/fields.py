"""Reading one JSON object field by field, with errors that say where and what was found."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ...errors import Inter2FormerError


class Fields:
    """A JSON object and its place in the document, which every error names.

    Every method raises `error` when the field is missing or is not what the method's name says.

    Attributes:
        values: the object.
        where: its place.
        error: the class of the errors.
    """

    def __init__(self, values: dict[str, Any], where: str, error: type[Inter2FormerError]) -> None:
        self.values = values
        self.where = where
        self.error = error

    def _get(self, name: str, kinds: type | tuple[type, ...], expected: str) -> Any:
        if name not in self.values:
            raise self.error(f"{self.where}: {name} is missing; expected {expected}")
        value = self.values[name]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise self._unexpected(name, expected)
        return value

    def _unexpected(self, name: str, expected: str) -> Inter2FormerError:
        return self.error(f"{self.where}: {name}: expected {expected}, found {short(self.values[name])}")

    def string(self, name: str) -> str:
        """Read a text of 1 to 200 characters."""
        value = self._get(name, str, "a text")
        if not 0 < len(value) <= 200:
            raise self._unexpected(name, "a text of 1 to 200 characters")
        return str(value)

    def matching(self, name: str, pattern: re.Pattern[str], expected: str) -> str:
        """Read a text that `pattern` matches as a whole; `expected` says in words what that is."""
        value = str(self._get(name, str, expected))
        if not pattern.fullmatch(value):
            raise self._unexpected(name, expected)
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Read one of `choices`."""
        expected = " or ".join(repr(choice) for choice in choices)
        value = str(self._get(name, str, expected))
        if value not in choices:
            raise self._unexpected(name, expected)
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        """Read a whole number from `low` to `high`."""
        expected = f"a whole number from {low} to {high}"
        value = int(self._get(name, int, expected))
        if not low <= value <= high:
            raise self._unexpected(name, expected)
        return value

    def number(self, name: str, low: float, high: float) -> float:
        """Read a finite number from `low` to `high`."""
        expected = f"a number from {low:g} to {high:g}"
        value = self._get(name, (int, float), expected)
        if not low <= value <= high or not math.isfinite(value):
            raise self._unexpected(name, expected)
        return float(value)

    def object(self, name: str) -> Fields:
        """Read an object."""
        return Fields(self._get(name, dict, "an object"), f"{self.where}: {name}", self.error)

    def objects(self, name: str) -> Iterator[Fields]:
        """Read a list of objects."""
        for index, value in enumerate(self._get(name, list, "a list of objects")):
            if not isinstance(value, dict):
                raise self.error(f"{self.where}: {name}[{index}]: expected an object, found {short(value)}")
            yield Fields(value, f"{self.where}: {name}[{index}]", self.error)

    def counts(self) -> dict[str, int]:
        """Read all of the object, as name -> count."""
        return {name: self.integer(name, 0, 1 << 32) for name in self.values}


def short(value: object) -> str:
    """Show a value in an error message, cut to 60 characters."""
    if isinstance(value, (dict, list)):
        return f"{type(value).__name__} of {len(value)}"
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python agrees to print
        text = "a very long number"
    return text if len(text) <= 60 else text[:57] + "..."

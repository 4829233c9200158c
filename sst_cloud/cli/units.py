"""Parsing of numbers, sizes and hours of the day."""

import math
import re
from datetime import time
from typing import Any, Final

import click

LITRES_PER_M3: Final = 1_000
_SIZES: Final = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


class FiniteRange(click.FloatRange):
    """A finite number in a range; Python would also accept `nan` and `inf`."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse a number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


class Size(click.ParamType[int]):
    """`512MB`, `2GB`, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse a size."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,9}) ?([kMG]B)", value)
        if not found or not int(found[1]):
            self.fail(f"{value!r} is not a size; write 512MB or 2GB", param, ctx)
        return int(found[1]) * _SIZES[found[2]]


def spell_size(size: int) -> str:
    """A size in the format of options, in the largest unit that divides it."""
    unit = max((unit for unit in _SIZES if size % _SIZES[unit] == 0), key=_SIZES.__getitem__)
    return f"{size // _SIZES[unit]}{unit}"


class Hours(click.ParamType[tuple[time, time]]):
    """`01:00-05:00`; may span midnight."""

    name = "hours"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[time, time]:
        """Parse two times of day."""
        if isinstance(value, tuple):
            return value
        try:
            first, last = map(time.fromisoformat, value.split("-"))
            clear = first.tzinfo is None and last.tzinfo is None
        except ValueError:
            clear = False
        if not clear:
            self.fail(f"{value!r} is not a range of hours; write 01:00-05:00", param, ctx)
        return first, last

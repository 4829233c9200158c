"""Parsing and formatting durations."""

import re
from datetime import timedelta
from typing import Any, Final

import click

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_READ: Final = _UNITS | {"w": 7 * 86400}
_LONGEST: Final = 36_500 * 86_400
"""A hundred years: longer than anything here, without overflow in date arithmetic."""


class Duration(click.ParamType[timedelta]):
    """`90s`, `20m`, `1h30m`, `1d`, `4w`; a plain number is in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Parse a duration between a second and a hundred years."""
        if isinstance(value, timedelta):
            return value
        text = f"{value}s" if value.isdecimal() else value
        parts = re.findall(r"(\d{1,10})([smhdw])", text)
        if "".join(number + unit for number, unit in parts) != text:
            parts = []
        seconds = sum(int(number) * _READ[unit] for number, unit in parts)
        if not 1 <= seconds <= _LONGEST:
            self.fail(f"{value!r} is not a duration; write 20m, 90s or 1h30m", param, ctx)
        return timedelta(seconds=seconds)


def spell(duration: timedelta) -> str:
    """A duration in the format of options, in the largest unit that divides it."""
    seconds = int(duration.total_seconds())
    unit = max((unit for unit in _UNITS if seconds % _UNITS[unit] == 0), key=_UNITS.__getitem__)
    return f"{seconds // _UNITS[unit]}{unit}"


def in_words(duration: timedelta) -> str:
    """An approximate duration in words."""
    seconds = int(duration.total_seconds())
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"

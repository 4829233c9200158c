"""Types of command-line options: durations, sizes, hours, time zones, times, addresses."""

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs
import click

_FORMATTED_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PARSED_UNITS: Final = _FORMATTED_UNITS | {"w": 7 * 86400}
"""Unit → seconds."""
_MAX_SECONDS: Final = 36_500 * 86_400
"""A hundred years: no option needs more, and date arithmetic does not overflow."""


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
        seconds = sum(int(number) * _PARSED_UNITS[unit] for number, unit in parts)
        if not 1 <= seconds <= _MAX_SECONDS:
            self.fail(f"{value!r} is not a duration; write 20m, 90s or 1h30m", param, ctx)
        return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """A duration in the format of options, in the largest unit that divides it."""
    seconds = int(duration.total_seconds())
    unit = max(
        (unit for unit in _FORMATTED_UNITS if seconds % _FORMATTED_UNITS[unit] == 0),
        key=_FORMATTED_UNITS.__getitem__,
    )
    return f"{seconds // _FORMATTED_UNITS[unit]}{unit}"


LITRES_PER_M3: Final = 1_000
_SIZE_UNITS: Final = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


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
        match = re.fullmatch(r"(\d{1,9}) ?([kMG]B)", value)
        if not match or not int(match[1]):
            self.fail(f"{value!r} is not a size; write 512MB or 2GB", param, ctx)
        return int(match[1]) * _SIZE_UNITS[match[2]]


def format_size(size: int) -> str:
    """A size in the format of options, in the largest unit that divides it."""
    unit = max(
        (unit for unit in _SIZE_UNITS if size % _SIZE_UNITS[unit] == 0), key=_SIZE_UNITS.__getitem__
    )
    return f"{size // _SIZE_UNITS[unit]}{unit}"


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
            valid = first.tzinfo is None and last.tzinfo is None
        except ValueError:
            valid = False
        if not valid:
            self.fail(f"{value!r} is not a range of hours; write 01:00-05:00", param, ctx)
        return first, last


class Zone(click.ParamType[tzinfo]):
    """An IANA time zone."""

    name = "zone"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tzinfo:
        """Look up the zone."""
        if isinstance(value, tzinfo):
            return value
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"{value!r} is not a time zone; write one like Europe/Moscow", param, ctx)


_TIME_FORMATS: Final[Sequence[tuple[str, str, Callable[[datetime], datetime]]]] = (
    (r"\d{4}", "{}-01-01", lambda start: start.replace(year=start.year + 1)),
    (r"\d{4}-\d\d", "{}-01", lambda start: (start + timedelta(days=32)).replace(day=1)),
    (r"\d{4}-W\d\d", "{}-1", lambda start: start + timedelta(days=7)),
    (r"\d{4}-\d\d-\d\d", "{}", lambda start: start + timedelta(days=1)),
    (r"\d{4}-\d\d-\d\d[T ].+", "{}", lambda start: start),
)
"""Formats of a time: pattern, ISO template, and the end of the period that starts then."""
_YEARS: Final = range(1970, 3000)


@attrs.frozen
class Moment(click.ParamType[datetime]):
    """A year, month, week, day, or date and time in ISO 8601; its start, or its end.

    Without an offset it is local time, and naive: each house has its own time zone.
    """

    end: bool = False
    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Parse a time."""
        if isinstance(value, datetime):
            return value
        for pattern, template, end_of in _TIME_FORMATS:
            if re.fullmatch(pattern, value):
                with suppress(ValueError):
                    start = datetime.fromisoformat(template.format(value))
                    if start.year in _YEARS:
                        return end_of(start) if self.end else start
        examples = "2026-11, 2026-11-23 or 2026-11-23T17:20"
        raise click.BadParameter(f"{value!r} is not a time; write one like {examples}", ctx, param)


class Month(click.ParamType[date]):
    """A month as `2026-10`."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The first day of the month."""
        if isinstance(value, date):
            return value
        try:
            month = datetime.strptime(value, "%Y-%m").replace(tzinfo=UTC).date()
        except ValueError:
            month = None
        if month is None or month.year not in _YEARS:
            self.fail(f"{value!r} is not a month; write one like 2026-10", param, ctx)
        return month


class Address(click.ParamType[tuple[str, int]]):
    """`PORT` on localhost, or `HOST:PORT`."""

    name = "address"
    extra_toml_types: ClassVar[tuple[type, ...]] = (int,)
    """The types that a configuration file may use besides str."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Parse an address."""
        from sst_cloud.collector.metrics import address_from  # noqa: PLC0415

        try:
            return address_from(str(value))
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)

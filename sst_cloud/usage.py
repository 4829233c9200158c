"""Readings → consumption per hour, day or month. Pure functions."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Final, Literal

import attrs

from .enums import Quality, Quantity, Water
from .readings import Reading

Period = Literal["hour", "day", "month"]


@attrs.frozen(kw_only=True)
class Usage:
    """What one meter counted in one period."""

    start: datetime
    """Beginning of the period in local time."""
    end: datetime
    house_id: int
    house: str
    device_id: int
    point_id: str
    name: str | None
    water: Water | None
    litres: float


def usage(readings: Iterable[Reading], by: Period, zone: tzinfo = UTC) -> list[Usage]:
    """Consumption of every meter by hour, day or month of a time zone, oldest first.

    What was used between two readings is spread evenly over the time between them. A total that
    falls (a replaced meter) starts anew from there. Suspect readings do not count.
    """
    meters: dict[object, list[Reading]] = defaultdict(list)
    for reading in readings:
        if reading.quantity is Quantity.VOLUME and reading.quality is not Quality.SUSPECT:
            meters[reading.series].append(reading)
    found = [use for meter in meters.values() for use in _usage_of_meter(meter, by, zone)]
    return sorted(found, key=lambda use: (use.start, use.house_id, use.device_id, use.point_id))


def _usage_of_meter(meter: list[Reading], by: Period, zone: tzinfo) -> Iterator[Usage]:
    meter.sort(key=lambda reading: reading.time)
    litres: dict[datetime, float] = defaultdict(float)
    for before, after in pairwise(meter):
        used = max(0, after.value - before.value)
        lasted = after.time - before.time
        start = before.time
        while start < after.time:
            end = min(after.time, _next(start, by, zone))
            litres[_floor(start, by, zone).astimezone(UTC)] += used * ((end - start) / lasted)
            start = end
    last = meter[-1]
    for beginning, amount in litres.items():
        yield Usage(
            start=beginning.astimezone(zone),
            end=_next(beginning, by, zone).astimezone(zone),
            house_id=last.house_id,
            house=last.house,
            device_id=last.device_id,
            point_id=last.point_id,
            name=last.name,
            water=last.water,
            litres=round(amount, 3),
        )


def _hour(local: datetime) -> datetime:
    return local.replace(minute=0, second=0)


def _day(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, fold=0)


def _month(local: datetime) -> datetime:
    return _day(local).replace(day=1)


_FLOORS: Final[Mapping[Period, Callable[[datetime], datetime]]] = {
    "hour": _hour,
    "day": _day,
    "month": _month,
}
_PAST_THE_NEXT: Final = {"day": timedelta(days=1), "month": timedelta(days=32)}
"""Added to the beginning of a period in local time, this lands in the next one."""


def _floor(moment: datetime, by: Period, zone: tzinfo) -> datetime:
    return _FLOORS[by](moment.astimezone(zone))


def _next(moment: datetime, by: Period, zone: tzinfo) -> datetime:
    """The beginning of the next period, in UTC. Right over clock changes."""
    beginning = _floor(moment, by, zone)
    if by == "hour":
        return beginning.astimezone(UTC) + timedelta(hours=1)
    return _FLOORS[by](beginning + _PAST_THE_NEXT[by]).astimezone(UTC)

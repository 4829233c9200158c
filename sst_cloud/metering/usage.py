"""Readings → consumption per hour, day, week or month. Pure functions."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal

import attrs

from sst_cloud.enums import Water
from sst_cloud.quantities import Quantity
from sst_cloud.readings import Reading

from .plausibility import MAX_FLOW
from .totals import Increment, MeterTrail

Period = Literal["hour", "day", "week", "month"]

GAP: Final = timedelta(hours=3)
"""Readings further apart than this leave a gap: the usage in it is known, its times are not."""

_HOUR: Final = timedelta(hours=1)
_SECOND: Final = timedelta(seconds=1)


@attrs.frozen(kw_only=True)
class Break:
    """Two successive totals that no pipe can explain: the meter was replaced or reset."""

    time: datetime
    """When the second was read, in local time."""
    before_l: int
    after_l: int


@attrs.frozen(kw_only=True)
class Usage:
    """The water used at one meter in one period."""

    start: datetime
    """Start of the period in local time, or of the range asked for, if that is later."""
    end: datetime
    house_id: int
    house: str
    device_id: int
    device: str
    point_id: str
    name: str | None
    water: Water | None
    litres: float
    estimated_l: float = 0.0
    """How many of them are estimates, spread evenly over a gap that crosses the period's ends."""
    missing: float = 0.0
    """Share of the period not covered by readings: in gaps, before the first, after the last."""
    breaks: tuple[Break, ...] = ()
    """Where the usage is unknown; it counts as 0."""

    @property
    def meter(self) -> tuple[int, int, str]:
        """What identifies the meter."""
        return self.house_id, self.device_id, self.point_id


def usage(  # noqa: PLR0913  each is an option with a good default
    readings: Iterable[Reading],
    by: Period,
    zone: tzinfo = UTC,
    *,
    zones: Mapping[int, tzinfo] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    gap: timedelta = GAP,
    max_flow: float = MAX_FLOW,
) -> list[Usage]:
    """Water used at every meter by hour, day, week (from Monday) or month, oldest first.

    Periods follow the time zone, or the house's own if it is in `zones`. Water used between two
    readings is spread evenly over the time between them. `since` and `until` cut off what lies
    outside, exact to the litre if there are readings on both sides; without a time zone they are
    local time. Suspect readings are ignored, and so is a rise that no pipe of `max_flow` litres
    per hour can deliver; after a fall (a replaced meter), counting restarts from the new total.
    """
    tally = UsageTally(
        by=by,
        zone=zone,
        zones=zones or {},
        since=since,
        until=until,
        gap=gap,
        max_flow=max_flow,
    )
    for reading in sorted(readings, key=lambda reading: reading.time):
        tally.add(reading)
    return tally.usages()


def start_of_last(length: timedelta, by: Period, end: datetime) -> datetime:
    """The start of a range of this length up to `end`, rounded to whole periods."""
    moment = end - timedelta(microseconds=1) - max(timedelta(0), length - _PERIOD_LENGTHS[by])
    hour = moment.replace(minute=0, second=0, microsecond=0)
    return hour if by == "hour" else _PERIOD_START[by](hour.replace(hour=0))


@attrs.define(kw_only=True)
class UsageTally:
    """`usage` for a stream of readings, oldest first."""

    by: Period
    zone: tzinfo = UTC
    zones: Mapping[int, tzinfo] = attrs.field(factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    gap: timedelta = GAP
    max_flow: float = MAX_FLOW
    _meters: dict[object, "_MeterUsage"] = attrs.field(factory=dict, init=False, repr=False)

    def add(self, reading: Reading) -> None:
        """Count a reading; quantities other than volume are ignored."""
        if reading.quantity is not Quantity.VOLUME:
            return
        meter = self._meters.get(reading.series)
        if meter is None:
            zone = self.zones.get(reading.house_id, self.zone)
            meter = self._meters[reading.series] = _MeterUsage(
                reading,
                MeterTrail(self.max_flow),
                _Calendar(self.by, zone, _as_utc(self.since, zone), _as_utc(self.until, zone)),
                self.gap,
            )
        meter.add(reading)

    def usages(self) -> list[Usage]:
        """The result, oldest first. Nothing may be added afterwards."""
        results = [usage for meter in self._meters.values() for usage in meter.usages()]
        return sorted(results, key=lambda usage: (usage.start, usage.meter))


@attrs.define
class _PeriodSum:
    """The sums of one period; times in UTC."""

    start: datetime
    end: datetime
    litres: float = 0.0
    estimated: float = 0.0
    covered: timedelta = timedelta(0)
    breaks: list[Break] = attrs.field(factory=list)

    @property
    def missing(self) -> float:
        return max(0.0, 1 - self.covered / (self.end - self.start))


@attrs.define
class _MeterUsage:
    latest: Reading
    trail: MeterTrail
    calendar: "_Calendar"
    gap: timedelta
    sums: dict[datetime, _PeriodSum] = attrs.field(factory=dict)
    current: _PeriodSum | None = None

    def add(self, reading: Reading) -> None:
        self.latest = reading
        for step in self.trail.add(reading):
            self._count(step)

    def usages(self) -> Iterator[Usage]:
        for step in self.trail.finish():
            self._count(step)
        zone, meter = self.calendar.zone, self.latest
        for period in self.sums.values():
            yield Usage(
                start=period.start.astimezone(zone),
                end=period.end.astimezone(zone),
                house_id=meter.house_id,
                house=meter.house,
                device_id=meter.device_id,
                device=meter.device,
                point_id=meter.point_id,
                name=meter.name,
                water=meter.water,
                litres=round(period.litres, 3),
                estimated_l=round(period.estimated, 3),
                missing=round(period.missing, 4),
                breaks=tuple(period.breaks),
            )

    def _count(self, step: Increment) -> None:
        start, end = self.calendar.clip(step.before.time, step.after.time)
        if start >= end:
            return
        while start < end:
            period = self._period(start)
            stop = min(end, period.end)
            share = (stop - start) / step.duration
            litres = (step.litres or 0) * share
            period.litres += litres
            if step.duration <= self.gap:
                period.covered += stop - start
            elif share < 1:
                period.estimated += litres
            start = stop
        if step.litres is None:
            local = step.after.time.astimezone(self.calendar.zone)
            totals = {"before_l": int(step.before.value), "after_l": int(step.after.value)}
            period.breaks.append(Break(time=local, **totals))

    def _period(self, moment: datetime) -> _PeriodSum:
        """The sum of the period that contains a moment; created on first use."""
        period = self.current
        if period is None or not period.start <= moment < period.end:
            start, end = self.calendar.period(moment)
            period = self.current = self.sums.setdefault(start, _PeriodSum(start, end))
        return period


@attrs.frozen
class _Calendar:
    """The periods of a time zone between two moments. Takes and returns UTC."""

    by: Period
    zone: tzinfo
    since: datetime | None
    until: datetime | None

    def clip(self, start: datetime, end: datetime) -> tuple[datetime, datetime]:
        return (
            start if self.since is None else max(start, self.since),
            end if self.until is None else min(end, self.until),
        )

    def period(self, moment: datetime) -> tuple[datetime, datetime]:
        """The start and end of the period that contains a moment."""
        local = moment.astimezone(self.zone)
        if self.by == "hour":
            return self.clip(*self._hour(moment))
        start = _PERIOD_START[self.by](local.replace(hour=0, minute=0, second=0, fold=0))
        end = _PERIOD_START[self.by](start + _INTO_NEXT_PERIOD[self.by])
        return self.clip(start.astimezone(UTC), end.astimezone(UTC))

    def _hour(self, moment: datetime) -> tuple[datetime, datetime]:
        """An hour of the clock; shorter where the clock is changed by part of an hour."""
        offset = self._offset_past_hour(moment)
        start = (moment + offset).replace(minute=0, second=0, microsecond=0) - offset
        end = start + _HOUR
        if self._offset_past_hour(start) != offset:
            start = self._clock_change(start, moment)
        if self._offset_past_hour(end) != offset:
            end = self._clock_change(moment, end)
        return start, end

    def _offset_past_hour(self, moment: datetime) -> timedelta:
        """The UTC offset beyond whole hours."""
        return (moment.astimezone(self.zone).utcoffset() or timedelta(0)) % _HOUR

    def _clock_change(self, before: datetime, after: datetime) -> datetime:
        """The second between two moments at which the clock was changed."""
        new_offset = self._offset_past_hour(after)
        while after - before > _SECOND:
            middle = before + (after - before) // _SECOND // 2 * _SECOND
            if self._offset_past_hour(middle) == new_offset:
                after = middle
            else:
                before = middle
        return after


def _as_utc(moment: datetime | None, zone: tzinfo) -> datetime | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


_PERIOD_START: Final[Mapping[Period, Callable[[datetime], datetime]]] = {
    "day": lambda midnight: midnight,
    "week": lambda midnight: midnight - timedelta(days=midnight.weekday()),
    "month": lambda midnight: midnight.replace(day=1),
}
_PERIOD_LENGTHS: Final[Mapping[Period, timedelta]] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=28),
}
_INTO_NEXT_PERIOD: Final[Mapping[Period, timedelta]] = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=32),
}
"""Added to the start of a period in local time, this lands in the next one."""
MAX_MISSING: Final = 0.05
"""A period counts as complete if a smaller share of it is missing."""

"""The report to the water utility: meter totals on the report day."""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import ROUND_FLOOR, Decimal
from itertools import takewhile
from typing import Final

import attrs

from sst_cloud.enums import Water
from sst_cloud.quantities import Quantity
from sst_cloud.readings import Reading
from sst_cloud.sink import History
from sst_cloud.wording import printable

from .bracketing import volume_readings
from .plausibility import MAX_FLOW
from .totals import Increment, MeterTrail
from .usage import GAP

_LONGEST_MONTH: Final = timedelta(days=31)
_MAX_HOURS: Final = 48
"""Longer spans are given in days."""


@attrs.frozen(kw_only=True)
class MeterReport:
    """What one meter showed at the start and at the end. Times are local."""

    device_id: int
    device: str
    point_id: str
    name: str | None
    water: Water | None
    first_time: datetime
    first_l: int
    first_m3: Decimal
    """Rounded down."""
    last_time: datetime
    last_l: int
    last_m3: Decimal
    """Rounded down: the figure to submit."""
    used_m3: Decimal
    """The difference of the rounded totals, so that each report continues the one before."""
    notes: tuple[str, ...] = ()
    """Warnings to read before submitting it: readings missing, a meter replaced."""


@attrs.frozen(kw_only=True)
class Report:
    """The meters of one house from one report to the next. Times are local."""

    house_id: int
    house: str
    month: str
    """For example `2026-10`."""
    start: datetime
    end: datetime
    """Midnight at the end of the report day."""
    meters: tuple[MeterReport, ...]
    cold_m3: Decimal
    """Usage of all cold meters."""
    hot_m3: Decimal

    @property
    def title(self) -> str:
        """The house and the month in words: `Flat, October 2026`."""
        house = printable(self.house or f"House {self.house_id}")
        return f"{house}, {self.end - timedelta(days=1):%B %Y}"


@attrs.frozen
class UtilityReports:
    """The reports of all houses."""

    reports: tuple[Report, ...] = ()
    reason: str = ""
    """Why there are none: the period, and the time of the first reading."""


async def utility_reports(  # noqa: PLR0913  each is an option with a good default
    history: History,
    *,
    month: date | None = None,
    day: int | None = None,
    days: Mapping[int, int] | None = None,
    zone: tzinfo = UTC,
    zones: Mapping[int, tzinfo] | None = None,
    houses: Sequence[str | int] = (),
    decimals: int = 0,
    max_flow: float = MAX_FLOW,
    now: datetime | None = None,
) -> UtilityReports:
    """A report for each house of a store; by default of the latest month whose report day is over.

    The report day of the month is `day`, or the house's own if it is in `days`, by house id, or the
    last. A house in `zones` has its own time zone. `houses` are names or ids, and none means all;
    raises `SSTCloudError` for one without readings.
    """
    now = now or datetime.now(UTC)
    zones, days = zones or {}, days or {}

    def period(house_id: int | None) -> tuple[datetime, datetime]:
        house_zone = zone if house_id is None else zones.get(house_id, zone)
        house_day = day or (None if house_id is None else days.get(house_id))
        house_month = month or last_report_month(now, house_day, house_zone)
        return report_period(house_month, house_day, house_zone)

    first = (month or (now - timedelta(days=32)).date()).replace(day=1)
    begin = datetime(first.year, first.month, 1, tzinfo=UTC)
    until = begin + _LONGEST_MONTH if month else None
    by_house: dict[int, list[Reading]] = defaultdict(list)
    oldest: Reading | None = None
    async for reading in volume_readings(
        history, begin - _LONGEST_MONTH, until, houses=houses, now=now
    ):
        by_house[reading.house_id].append(reading)
        oldest = oldest or reading
    reports = tuple(
        house_report
        for house_id, readings in sorted(by_house.items())
        for house_report in report(
            readings, *period(house_id), decimals=decimals, max_flow=max_flow, now=now
        )
    )
    if reports:
        return UtilityReports(reports)
    start, end = period(oldest.house_id if oldest else None)
    reason = (
        f"No meter was read by the end of {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, so there "
        "is nothing to report"
    )
    if oldest is not None:
        first_time = oldest.time.astimezone(end.tzinfo)
        reason += f": the first reading is from {first_time:%Y-%m-%d %H:%M}"
    return UtilityReports(reason=f"{reason}.")


def report_period(month: date, day: int | None, zone: tzinfo) -> tuple[datetime, datetime]:
    """From the end of a house's report day in the previous month to its end in this month.

    Without a day, or if the month is too short for it, it is the last of the month.
    """
    previous = month.replace(day=1) - timedelta(days=1)
    return _end(previous, day, zone), _end(month, day, zone)


def last_report_month(now: datetime, day: int | None, zone: tzinfo) -> date:
    """The first day of the latest month whose report day is over."""
    this_month = now.astimezone(zone).date().replace(day=1)
    return (
        this_month
        if _end(this_month, day, zone) <= now
        else (this_month - timedelta(days=1)).replace(day=1)
    )


def report(  # noqa: PLR0913  each is an option with a good default
    readings: Iterable[Reading],
    start: datetime,
    end: datetime,
    *,
    decimals: int = 0,
    gap: timedelta = GAP,
    max_flow: float = MAX_FLOW,
    now: datetime | None = None,
) -> list[Report]:
    """Totals of every meter at two moments, per house: the last ones read by then.

    `readings` should reach back before `start`, as far as the last reading may lie, and beyond
    `end`, so that a glitch just before it can be recognised. `decimals` are those of a cubic
    metre. Readings later than `now` are not reported as missing.
    """
    meters: dict[object, list[Reading]] = defaultdict(list)
    for reading in sorted(readings, key=lambda reading: reading.time):
        if reading.quantity is Quantity.VOLUME:
            meters[reading.series].append(reading)
    houses: dict[int, list[MeterReport]] = defaultdict(list)
    names: dict[int, str] = {}
    for meter in meters.values():
        meter_report = _MeterPeriod(
            readings=meter,
            trail=MeterTrail(max_flow),
            start=start,
            end=end,
            now=now or end,
            unit=Decimal(1).scaleb(-decimals),
            gap=gap,
        ).report()
        if meter_report is not None:
            houses[meter[-1].house_id].append(meter_report)
            names[meter[-1].house_id] = meter[-1].house
    return [
        Report(
            house_id=house_id,
            house=names[house_id],
            month=f"{end - timedelta(days=1):%Y-%m}",
            start=start,
            end=end,
            meters=tuple(
                sorted(meter_reports, key=lambda meter: (meter.device_id, meter.point_id))
            ),
            cold_m3=_used(meter_reports, Water.COLD, decimals),
            hot_m3=_used(meter_reports, Water.HOT, decimals),
        )
        for house_id, meter_reports in sorted(houses.items())
    ]


@attrs.frozen
class _MeterPeriod:
    readings: Sequence[Reading]
    trail: MeterTrail
    start: datetime
    end: datetime
    now: datetime
    unit: Decimal
    gap: timedelta

    def report(self) -> MeterReport | None:
        """None if the meter has no reading before the end."""
        steps = [step for reading in self.readings for step in self.trail.add(reading)]
        steps += self.trail.finish()
        earliest = steps[0].before if steps else self.trail.last
        if earliest is None or earliest.time > self.end:
            return None
        first = last = earliest
        steps_between: list[Increment] = []
        for step in takewhile(lambda step: step.after.time <= self.end, steps):
            last = step.after
            if last.time <= self.start:
                first = last
            else:
                steps_between.append(step)
        return MeterReport(
            device_id=last.device_id,
            device=last.device,
            point_id=last.point_id,
            name=last.name,
            water=last.water,
            first_time=self._local(first),
            first_l=int(first.value),
            first_m3=self._m3(first.value),
            last_time=self._local(last),
            last_l=int(last.value),
            last_m3=self._m3(last.value),
            used_m3=self._used(first, steps_between),
            notes=tuple(self._notes(first, last, steps_between)),
        )

    def _used(self, first: Reading, steps: Sequence[Increment]) -> Decimal:
        """The usage; if the meter was replaced, the sum over both."""
        used, start_total, total = 0 * self.unit, first.value, first.value
        for step in steps:
            if step.litres is None:
                used += self._m3(total) - self._m3(start_total)
                start_total = total = step.after.value
            else:
                total += step.litres
        return used + self._m3(total) - self._m3(start_total)

    def _notes(self, first: Reading, last: Reading, steps: Sequence[Increment]) -> Iterator[str]:
        if first.time > self.start:
            yield f"no reading before {self._time_in_words(first)}; usage until then is missing"
        elif self.start - first.time > self.gap:
            yield f"the first reading is {_age(first, self.start)} older than the start"
        if self.end > self.now:
            if self.now - last.time > self.gap:
                yield f"the last reading is {_age(last, self.now)} old"
        elif self.end - last.time > self.gap:
            yield f"the last reading is {_age(last, self.end)} older than the end"
        for step in steps:
            if step.litres is None:
                yield (
                    f"it showed {step.before.value / 1000:,.3f} m³, then "
                    f"{step.after.value / 1000:,.3f} m³ on {self._time_in_words(step.after)}; "
                    "if it was replaced, submit both"
                )

    def _time_in_words(self, reading: Reading) -> str:
        return f"{self._local(reading):%Y-%m-%d %H:%M}"

    def _local(self, reading: Reading) -> datetime:
        return reading.time.astimezone(self.end.tzinfo)

    def _m3(self, litres: float) -> Decimal:
        return Decimal(int(litres)).scaleb(-3).quantize(self.unit, ROUND_FLOOR)


def _age(reading: Reading, moment: datetime) -> str:
    hours = round((moment - reading.time) / timedelta(hours=1))
    return f"{hours} h" if hours <= _MAX_HOURS else f"{round(hours / 24)} days"


def _used(meters: Iterable[MeterReport], water: Water, decimals: int) -> Decimal:
    zero = Decimal(0).scaleb(-decimals)
    return sum((meter.used_m3 for meter in meters if meter.water is water), zero)


def _end(month: date, day: int | None, zone: tzinfo) -> datetime:
    days = monthrange(month.year, month.month)[1]
    last = min(day, days) if day and day > 0 else days
    return datetime.combine(month.replace(day=last) + timedelta(days=1), time(), zone)

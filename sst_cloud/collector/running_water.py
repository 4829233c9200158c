"""Detects water that runs without a pause or at night: one meter, reading by reading."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final

import attrs

from sst_cloud.flow import REFRESH, litres_between
from sst_cloud.readings import Reading, format_time

from .events import Event, EventKind, point_in_words
from .remembered import moment
from .rules import WatchRules
from .troubles import hours

_TELLS_OF_PAUSES: Final = 1.5
"""Two readings further apart than this many pauses cannot show whether there was one."""


_SET_BACK: Final = timedelta(days=2)
"""How far a clock may be changed; one that was further ahead was wrong."""


@attrs.frozen(kw_only=True)
class Running:
    """What is known of a meter's water, after its last good reading."""

    time: datetime
    total: int
    since: datetime | None = None
    """The start of the flow without a pause; None while the meter stands still."""
    rose: datetime | None = None
    """When the total last rose."""
    ran_l: int = 0
    """Litres since then."""
    told: bool = False
    """Whether the missing pause has been reported."""
    night: date | None = None
    """The last night watched, by the day it started on."""
    night_l: int = 0
    night_told: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **attrs.asdict(self),
            "time": format_time(self.time),
            "since": self.since and format_time(self.since),
            "rose": self.rose and format_time(self.rose),
            "night": self.night and self.night.isoformat(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Running":
        """The state from its `as_dict`; missing fields get their defaults."""
        return cls(**{name: _READ[name](record[name]) for name in _READ if name in record})


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "time": lambda text: datetime.fromisoformat(text).astimezone(UTC),
    "total": int,
    "since": moment,
    "rose": moment,
    "ran_l": int,
    "told": bool,
    "night": lambda text: None if text is None else date.fromisoformat(text),
    "night_l": int,
    "night_told": bool,
}
"""How each field is parsed from JSON."""


def run(
    meter: Running | None, reading: Reading, zone: tzinfo, rules: WatchRules
) -> tuple[list[Event], Running]:
    """Continue with a good reading. A total that no pipe can deliver is ignored."""
    total = int(reading.value)
    if meter is None:
        return [], Running(time=reading.time, total=total)
    after = attrs.evolve(meter, time=reading.time, total=total)
    if reading.time <= meter.time:  # a repeat, or the clock has been set back
        since, rose = (when and min(when, reading.time) for when in (meter.since, meter.rose))
        return [], attrs.evolve(after, since=since, rose=rose)
    used = litres_between(meter.total, total, reading.time - meter.time, max_flow=rules.max_flow)
    if used is None:
        return [], after
    flow = _flow(meter, used, reading.time, rules)
    night = _night(meter, used, reading.time, zone, rules)
    after = attrs.evolve(after, **flow, **night)
    return list(_news(meter, after, reading, rules)), after


def _flow(meter: Running, used: int, time: datetime, rules: WatchRules) -> dict[str, Any]:
    """The changes to what is known of pauses."""
    if not used:
        paused = meter.rose is not None and time - meter.rose >= rules.pause
        return {"since": None, "rose": None, "ran_l": 0, "told": False} if paused else {}
    seen = time - meter.time <= _TELLS_OF_PAUSES * rules.pause
    if meter.since is None or not (seen or meter.told):
        return {"rose": time, "since": meter.time if seen else time, "ran_l": used * seen}
    told = meter.told or time - meter.since >= rules.continuous_flow
    return {"rose": time, "ran_l": meter.ran_l + used, "told": told}


def _night(
    meter: Running, used: int, time: datetime, zone: tzinfo, rules: WatchRules
) -> dict[str, Any]:
    """The changes to what is known of the night: only usage between two of its readings counts.

    The first of them may show a total from before the night, as the cloud lags behind. Once a
    night has been reported, earlier ones are over, even if the clock is set back.
    """
    night = _night_of(meter.time - REFRESH, zone, rules)
    if night is None or night != _night_of(time, zone, rules):
        return {}
    if meter.night_told and meter.night and night < meter.night <= night + _SET_BACK:
        return {}
    before, told = (meter.night_l, meter.night_told) if night == meter.night else (0, False)
    litres = before + used
    return {"night": night, "night_l": litres, "night_told": told or litres > rules.night_litres}


def _night_of(time: datetime, zone: tzinfo, rules: WatchRules) -> date | None:
    """The day on which the night at a moment started; None by day."""
    local = time.astimezone(zone)
    start, end = rules.night
    if start < end:
        return local.date() if start <= local.time() <= end else None
    if start > end and local.time() >= start:
        return local.date()
    return local.date() - timedelta(days=1) if start > end and local.time() <= end else None


def _news(before: Running, after: Running, reading: Reading, rules: WatchRules) -> Iterator[Event]:
    where = point_in_words(reading)
    if after.told is not before.told:
        flow = after if after.told else before
        lasted = hours((flow.rose or flow.time) - (flow.since or flow.time))
        told = f"Water has been running for {lasted:g} h without a pause"
        paused = f"Water has paused after {lasted:g} h"
        yield Event.at_point(
            reading,
            EventKind.CONTINUOUS_FLOW,
            f"{told if after.told else paused}, {flow.ran_l} L: {where}",
            over=not after.told,
            hours=lasted,
            used_l=flow.ran_l,
        )
    if after.night_told and not (before.night_told and before.night == after.night):
        yield Event.at_point(
            reading,
            EventKind.NIGHT_USE,
            f"Use at night, {after.night_l} L: {where}",
            night=str(after.night),
            used_l=after.night_l,
            limit_l=rules.night_litres,
        )

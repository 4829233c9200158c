"""Detects water that runs without a pause or at night: one meter, reading by reading."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final

import attrs

from sst_cloud.metering.plausibility import litres_between
from sst_cloud.readings import Reading, format_time
from sst_cloud.source import DEFAULT_REFRESH
from sst_cloud.wording import point_in_words

from .alarm_tracker import hours
from .events import Event, EventKind
from .rules import AlarmRules
from .state_json import parse_time

_PAUSE_VISIBLE: Final = 1.5
"""Readings further apart than this many pauses cannot show whether there was one."""
_MAX_CLOCK_CHANGE: Final = timedelta(days=2)
"""A clock that is set back further than this had been wrong."""


@attrs.frozen(kw_only=True)
class FlowState:
    """The flow at a meter, as of its last good reading."""

    time: datetime
    total: int
    since: datetime | None = None
    """The start of the flow without a pause; None while the meter stands still."""
    last_rise: datetime | None = None
    """When the total last rose."""
    used_l: int = 0
    """Litres since then."""
    reported: bool = False
    """Whether the continuous flow has been reported."""
    night: date | None = None
    """The last night with readings, by the day it started on."""
    night_l: int = 0
    night_reported: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **attrs.asdict(self),
            "time": format_time(self.time),
            "since": self.since and format_time(self.since),
            "last_rise": self.last_rise and format_time(self.last_rise),
            "night": self.night and self.night.isoformat(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "FlowState":
        """The state from its `as_dict`; missing fields get their defaults."""
        return cls(**{name: _PARSERS[name](record[name]) for name in _PARSERS if name in record})


_PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "time": lambda text: datetime.fromisoformat(text).astimezone(UTC),
    "total": int,
    "since": parse_time,
    "last_rise": parse_time,
    "used_l": int,
    "reported": bool,
    "night": lambda text: None if text is None else date.fromisoformat(text),
    "night_l": int,
    "night_reported": bool,
}
"""How each field is parsed from JSON."""


def advance(
    meter: FlowState | None,
    reading: Reading,
    zone: tzinfo,
    rules: AlarmRules,
    refresh: timedelta = DEFAULT_REFRESH,
) -> tuple[list[Event], FlowState]:
    """Continue with a good reading. A total that no pipe can deliver is ignored.

    A total may be as old as the source's `refresh` interval.
    """
    total = int(reading.value)
    if meter is None:
        return [], FlowState(time=reading.time, total=total)
    after = attrs.evolve(meter, time=reading.time, total=total)
    if reading.time <= meter.time:  # a repeat, or the clock has been set back
        since, last_rise = (
            moment and min(moment, reading.time) for moment in (meter.since, meter.last_rise)
        )
        return [], attrs.evolve(after, since=since, last_rise=last_rise)
    duration = reading.time - meter.time
    used = litres_between(meter.total, total, duration, max_flow=rules.max_flow, refresh=refresh)
    if used is None:
        return [], after
    flow = _flow(meter, used, reading.time, rules)
    night = _night(meter, used, reading.time, zone, rules, refresh)
    after = attrs.evolve(after, **flow, **night)
    return list(_events(meter, after, reading, rules)), after


def _flow(meter: FlowState, used: int, time: datetime, rules: AlarmRules) -> dict[str, Any]:
    """The changed fields about pauses."""
    if not used:
        has_paused = meter.last_rise is not None and time - meter.last_rise >= rules.pause
        return (
            {"since": None, "last_rise": None, "used_l": 0, "reported": False} if has_paused else {}
        )
    pause_visible = time - meter.time <= _PAUSE_VISIBLE * rules.pause
    if meter.since is None or not (pause_visible or meter.reported):
        return {
            "last_rise": time,
            "since": meter.time if pause_visible else time,
            "used_l": used * pause_visible,
        }
    reported = meter.reported or time - meter.since >= rules.continuous_flow
    return {"last_rise": time, "used_l": meter.used_l + used, "reported": reported}


def _night(  # noqa: PLR0913, PLR0917
    meter: FlowState,
    used: int,
    time: datetime,
    zone: tzinfo,
    rules: AlarmRules,
    refresh: timedelta,
) -> dict[str, Any]:
    """The changed fields about the night: only usage between two of its readings counts.

    The first of them may show a total from before the night, as the source may lag behind.
    Once a night has been reported, earlier ones are over, even if the clock is set back.
    """
    night = _night_of(meter.time - refresh, zone, rules)
    if night is None or night != _night_of(time, zone, rules):
        return {}
    if meter.night_reported and meter.night and night < meter.night <= night + _MAX_CLOCK_CHANGE:
        return {}
    litres_before, reported = (
        (meter.night_l, meter.night_reported) if night == meter.night else (0, False)
    )
    litres = litres_before + used
    return {
        "night": night,
        "night_l": litres,
        "night_reported": reported or litres > rules.night_litres,
    }


def _night_of(time: datetime, zone: tzinfo, rules: AlarmRules) -> date | None:
    """The day on which the night that contains a time started; None by day."""
    local = time.astimezone(zone)
    start, end = rules.night
    if start < end:
        return local.date() if start <= local.time() <= end else None
    if start > end and local.time() >= start:
        return local.date()
    return local.date() - timedelta(days=1) if start > end and local.time() <= end else None


def _events(
    before: FlowState, after: FlowState, reading: Reading, rules: AlarmRules
) -> Iterator[Event]:
    point = point_in_words(reading)
    if after.reported is not before.reported:
        flow = after if after.reported else before
        duration = hours((flow.last_rise or flow.time) - (flow.since or flow.time))
        running = f"Water has been running for {duration:g} h without a pause"
        paused = f"Water has paused after {duration:g} h"
        yield Event.at_point(
            reading,
            EventKind.CONTINUOUS_FLOW,
            f"{running if after.reported else paused}, {flow.used_l} L: {point}",
            over=not after.reported,
            hours=duration,
            used_l=flow.used_l,
        )
    if after.night_reported and not (before.night_reported and before.night == after.night):
        yield Event.at_point(
            reading,
            EventKind.NIGHT_USE,
            f"Use at night, {after.night_l} L: {point}",
            night=str(after.night),
            used_l=after.night_l,
            limit_l=rules.night_litres,
        )

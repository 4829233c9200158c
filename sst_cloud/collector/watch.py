"""Events that residents want to know about. A pure function with explicit state.

A stale reading ends no trouble, and starts only one that may have silenced its device: a leak, or
closed valves. A suspect total is ignored.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

import attrs

from sst_cloud.enums import Quality, Quantity
from sst_cloud.readings import Reading, format_time

from .events import Event, EventKind
from .remembered import moment, opened, readable
from .rules import WatchRules
from .running_water import Running, run
from .troubles import EVERYWHERE, Place, Since, Troubles, Where, hours

__all__ = ["WatchRules", "WatchState", "watch"]

_A_MOMENT: Final = timedelta(seconds=1)
"""Set just before a poll that a device is missing from, so that the next poll knows."""
_RECOVERED: Final = 5
"""A battery is good again this many percent above the threshold, as readings fluctuate."""

_TROUBLES: Final = {
    Quantity.LEAK: (EventKind.LEAK, True),
    Quantity.SENSOR_LOST: (EventKind.SENSOR_LOST, True),
    Quantity.VALVE_OPEN: (EventKind.VALVE_CLOSED, False),
}
"""Quantity → the event it causes, and the value that is the trouble."""
_LAST_REPORTED: Final = {EventKind.LEAK, EventKind.VALVE_CLOSED}
"""Reported even for a silent device: a flood may destroy it before the next poll."""

_DeviceId = tuple[int, int]
_MeterId = tuple[int, int, str]


@attrs.frozen
class Heard:
    """When a device was last in a poll, and its name."""

    time: datetime
    house: str
    device: str


@attrs.frozen(kw_only=True)
class WatchState:
    """The state after the last poll."""

    troubles: Since = attrs.field(factory=dict, hash=False)
    water: Mapping[_MeterId, Running] = attrs.field(factory=dict, hash=False)
    heard: Mapping[_DeviceId, Heard] = attrs.field(factory=dict, hash=False)
    answered: datetime | None = None
    """When there were last readings; initially, when they were first polled for."""

    def to_json(self) -> str:
        """The state as text."""
        record = {
            "troubles": [
                [kind.value, *where, since and format_time(since)]
                for (kind, where), since in self.troubles.items()
            ],
            "water": [[*meter, running.as_dict()] for meter, running in self.water.items()],
            "heard": [
                [*device, format_time(heard.time), heard.house, heard.device]
                for device, heard in self.heard.items()
            ],
            "answered": self.answered and format_time(self.answered),
        }
        return json.dumps(record, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "WatchState":
        """The state from its `to_json`, as far as it can be read."""
        record = opened(text)
        if not isinstance(record, dict):
            return cls()
        return cls(
            troubles=dict(readable(_trouble, record.get("troubles"))),
            water=dict(readable(_water, record.get("water"))),
            heard=dict(readable(_heard, record.get("heard"))),
            answered=next(readable(moment, [record.get("answered")]), None),
        )


def _trouble(row: Any) -> tuple[tuple[EventKind, Where], datetime | None]:
    kind, house_id, device_id, point, point_id, since = row
    where = (
        None if house_id is None else int(house_id),
        None if device_id is None else int(device_id),
        None if point is None else str(point),
        None if point_id is None else str(point_id),
    )
    return (EventKind(kind), where), moment(since)


def _water(row: Any) -> tuple[_MeterId, Running]:
    house_id, device_id, point_id, running = row
    return (int(house_id), int(device_id), str(point_id)), Running.from_dict(running)


def _heard(row: Any) -> tuple[_DeviceId, Heard]:
    house_id, device_id, time, house, device = row
    heard = datetime.fromisoformat(time).astimezone(UTC)
    return (int(house_id), int(device_id)), Heard(heard, str(house), str(device))


def watch(
    state: WatchState,
    readings: Sequence[Reading],
    now: datetime,
    *,
    zones: Mapping[int, tzinfo],
    rules: WatchRules,
) -> tuple[tuple[Event, ...], WatchState]:
    """The events from a poll's judged readings, each once when it starts and once when it is over.

    `zones` has the houses' time zones. After a failed poll, call it without readings.
    """
    troubles = Troubles(now.astimezone(UTC).replace(microsecond=0), state.troubles)
    heard, answered = _silence(troubles, state, readings, rules)
    good = [reading for reading in readings if reading.quality is Quality.GOOD]
    _points(troubles, readings)
    _batteries(troubles, good, rules)
    _devices(troubles, readings)
    water = dict(state.water)
    for reading in good:
        if reading.quantity is Quantity.VOLUME:
            meter = (reading.house_id, reading.device_id, reading.point_id)
            zone = zones.get(reading.house_id, UTC)
            events, water[meter] = run(water.get(meter), reading, zone, rules)
            troubles.events += events
    after = WatchState(troubles=troubles.since, water=water, heard=heard, answered=answered)
    return tuple(troubles.events), after


def _points(troubles: Troubles, readings: Iterable[Reading]) -> None:
    """Valves count as closed only if they were seen open before."""
    for reading in readings:
        if reading.quantity not in _TROUBLES:
            continue
        kind, trouble = _TROUBLES[reading.quantity]
        place, on = Place.point(reading), reading.value is trouble
        stale = reading.quality is Quality.STALE
        if stale and not (on and kind in _LAST_REPORTED):
            continue
        if kind is not EventKind.VALVE_CLOSED or not on or troubles.known(kind, place):
            troubles.say(kind, place, on=on, stale=stale)


def _batteries(troubles: Troubles, readings: Iterable[Reading], rules: WatchRules) -> None:
    """A battery is low if the sensor reports it or its percentage is low. Levels are ignored."""
    told: dict[Place, list[Reading]] = defaultdict(list)
    for reading in readings:
        percent = reading.quantity is Quantity.BATTERY and reading.unit == Quantity.BATTERY.unit
        if percent or reading.quantity is Quantity.BATTERY_LOW:
            told[Place.point(reading)].append(reading)
    for place, theirs in told.items():
        low = troubles.lasts(EventKind.BATTERY_LOW, place)
        enough = rules.battery_percent + (_RECOVERED if low else 0)
        percents = [r.value for r in theirs if r.quantity is Quantity.BATTERY]
        flags = [r.value for r in theirs if r.quantity is Quantity.BATTERY_LOW]
        on = any(flags) or any(percent < enough for percent in percents)
        details = {"percent": percents[0]} if percents else {}
        troubles.say(EventKind.BATTERY_LOW, place, on=on, details=details)


def _devices(troubles: Troubles, readings: Iterable[Reading]) -> None:
    """Whether devices are online: from their own report, or else from their readings.

    Readings without a model do not count: the device could not be read, only its meters.
    """
    devices: dict[_DeviceId, list[Reading]] = defaultdict(list)
    for reading in readings:
        devices[reading.house_id, reading.device_id].append(reading)
    for device, theirs in devices.items():
        online = [r.value for r in theirs if r.quantity is Quantity.ONLINE]
        qualities = {r.quality for r in theirs if r.model}
        if online or qualities & {Quality.GOOD, Quality.STALE}:
            silent = not all(online) if online else Quality.GOOD not in qualities
            place = Place.whole_device(*device, theirs[0].house, theirs[0].device)
            troubles.say(EventKind.DEVICE_STALE, place, on=silent)


def _silence(
    troubles: Troubles, state: WatchState, readings: Sequence[Reading], rules: WatchRules
) -> tuple[dict[_DeviceId, Heard], datetime]:
    """Polls fail, or a device is missing from them.

    Clocks may be set back: nothing was heard later than now. After an outage every device gets the
    same time again to come back; if there were no polls meanwhile, only those present before.
    """
    kind, now = EventKind.NO_READINGS, troubles.now
    answered = min(state.answered or now, now)
    told = bool(readings) and troubles.lasts(kind, EVERYWHERE)
    unasked = bool(readings) and now - answered >= rules.silence

    def since(last: datetime) -> datetime:
        """The start of a device's silence."""
        if told or (unasked and last >= answered):
            return now - _A_MOMENT
        return min(last, now)

    heard = {
        device: attrs.evolve(last, time=since(last.time)) for device, last in state.heard.items()
    }
    if not readings:
        if now - answered >= rules.silence:
            troubles.say(kind, EVERYWHERE, on=True, details={"hours": hours(now - answered)})
        return heard, answered

    troubles.say(kind, EVERYWHERE, on=False)
    there = {(r.house_id, r.device_id): Heard(now, r.house, r.device) for r in readings}
    heard |= there
    for device, last in heard.items():
        place = Place.whole_device(*device, last.house, last.device)
        if device in there:
            troubles.say(kind, place, on=False)
        elif now - last.time >= rules.silence:
            troubles.say(kind, place, on=True, details={"hours": hours(now - last.time)})
    return heard, now

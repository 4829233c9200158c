"""Detects alarms in the readings of a poll. A pure function with explicit state.

A stale reading ends no alarm, and starts only one that may have silenced its device: a leak, or
closed valves. A suspect total is ignored.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

import attrs

from sst_cloud.enums import Quality
from sst_cloud.quantities import Quantity
from sst_cloud.readings import Reading, format_time
from sst_cloud.source import DEFAULT_REFRESH

from .alarm_tracker import ActiveSince, AlarmTracker, Place, PlaceId, hours
from .continuous_flow import FlowState, advance
from .events import Event, EventKind
from .rules import AlarmRules
from .state_json import parse, parse_rows, parse_time

_JUST_BEFORE: Final = timedelta(seconds=1)
"""How long before the first poll that a device is missing from its silence starts."""
_BATTERY_HYSTERESIS: Final = 5
"""Percent above the threshold at which a battery is good again, as readings fluctuate."""

_ALARM_OF_QUANTITY: Final = {
    Quantity.LEAK: (EventKind.LEAK, True),
    Quantity.SENSOR_LOST: (EventKind.SENSOR_LOST, True),
    Quantity.VALVE_OPEN: (EventKind.VALVE_CLOSED, False),
}
"""Quantity → the event it causes, and the value that raises the alarm."""
_REPORTED_WHEN_STALE: Final = {EventKind.LEAK, EventKind.VALVE_CLOSED}
"""Reported even for a silent device: a flood may destroy it before the next poll."""

_DeviceId = tuple[int, int]
_MeterId = tuple[int, int, str]


@attrs.frozen
class LastSeen:
    """When a device was last in a poll, and its name."""

    time: datetime
    house: str
    device: str


@attrs.frozen(kw_only=True)
class AlarmState:
    """The state after the last poll."""

    alarms: ActiveSince = attrs.field(factory=dict, hash=False)
    flow: Mapping[_MeterId, FlowState] = attrs.field(factory=dict, hash=False)
    last_seen: Mapping[_DeviceId, LastSeen] = attrs.field(factory=dict, hash=False)
    last_readings: datetime | None = None
    """When there were last readings; before any, the time of the first poll."""

    def to_json(self) -> str:
        """The state as text."""
        record = {
            "alarms": [
                [kind.value, *place_id, since and format_time(since)]
                for (kind, place_id), since in self.alarms.items()
            ],
            "flow": [[*meter, flow.as_dict()] for meter, flow in self.flow.items()],
            "last_seen": [
                [*device, format_time(last.time), last.house, last.device]
                for device, last in self.last_seen.items()
            ],
            "last_readings": self.last_readings and format_time(self.last_readings),
        }
        return json.dumps(record, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "AlarmState":
        """The state from its `to_json`, as far as it can be read."""
        record = parse(text)
        if not isinstance(record, dict):
            return cls()
        return cls(
            alarms=dict(parse_rows(_alarm_row, record.get("alarms"))),
            flow=dict(parse_rows(_flow_row, record.get("flow"))),
            last_seen=dict(parse_rows(_last_seen_row, record.get("last_seen"))),
            last_readings=next(parse_rows(parse_time, [record.get("last_readings")]), None),
        )


def _alarm_row(row: Any) -> tuple[tuple[EventKind, PlaceId], datetime | None]:
    kind, house_id, device_id, point, point_id, since = row
    place_id = (
        None if house_id is None else int(house_id),
        None if device_id is None else int(device_id),
        None if point is None else str(point),
        None if point_id is None else str(point_id),
    )
    return (EventKind(kind), place_id), parse_time(since)


def _flow_row(row: Any) -> tuple[_MeterId, FlowState]:
    house_id, device_id, point_id, flow = row
    return (int(house_id), int(device_id), str(point_id)), FlowState.from_dict(flow)


def _last_seen_row(row: Any) -> tuple[_DeviceId, LastSeen]:
    house_id, device_id, time, house, device = row
    moment = datetime.fromisoformat(time).astimezone(UTC)
    return (int(house_id), int(device_id)), LastSeen(moment, str(house), str(device))


def detect_alarms(  # noqa: PLR0913
    state: AlarmState,
    readings: Sequence[Reading],
    now: datetime,
    *,
    zones: Mapping[int, tzinfo],
    rules: AlarmRules,
    source: str = "the source",
    refresh: timedelta = DEFAULT_REFRESH,
) -> tuple[tuple[Event, ...], AlarmState]:
    """The alarms in validated readings: an event when one starts, and one when it is over.

    `zones` has the houses' time zones, `source` the name of the source, and `refresh` its refresh
    interval. After a failed poll, call it without readings.
    """
    tracker = AlarmTracker(now.astimezone(UTC).replace(microsecond=0), state.alarms)
    last_seen, last_readings = _check_silence(
        tracker, state, readings, rules, Place.whole_source(source)
    )
    good = [reading for reading in readings if reading.quality is Quality.GOOD]
    _check_points(tracker, readings)
    _check_batteries(tracker, good, rules)
    _check_devices(tracker, readings)
    flow = dict(state.flow)
    for reading in good:
        if reading.quantity is Quantity.VOLUME:
            meter = (reading.house_id, reading.device_id, reading.point_id)
            zone = zones.get(reading.house_id, UTC)
            events, flow[meter] = advance(flow.get(meter), reading, zone, rules, refresh)
            tracker.events += events
    new_state = AlarmState(
        alarms=tracker.active_since, flow=flow, last_seen=last_seen, last_readings=last_readings
    )
    return tuple(tracker.events), new_state


def _check_points(tracker: AlarmTracker, readings: Iterable[Reading]) -> None:
    """Alarms of single points. Valves count as closed only if they were open before."""
    for reading in readings:
        if reading.quantity not in _ALARM_OF_QUANTITY:
            continue
        kind, alarm_value = _ALARM_OF_QUANTITY[reading.quantity]
        place, on = Place.point(reading), reading.value is alarm_value
        stale = reading.quality is Quality.STALE
        if stale and not (on and kind in _REPORTED_WHEN_STALE):
            continue
        if kind is not EventKind.VALVE_CLOSED or not on or tracker.is_known(kind, place):
            tracker.set(kind, place, on=on, stale=stale)


def _check_batteries(tracker: AlarmTracker, readings: Iterable[Reading], rules: AlarmRules) -> None:
    """A battery is low if the sensor reports it or its percentage is low. Levels are ignored."""
    readings_by_place: dict[Place, list[Reading]] = defaultdict(list)
    for reading in readings:
        percent = reading.quantity is Quantity.BATTERY and reading.unit == Quantity.BATTERY.unit
        if percent or reading.quantity is Quantity.BATTERY_LOW:
            readings_by_place[Place.point(reading)].append(reading)
    for place, place_readings in readings_by_place.items():
        is_low = tracker.is_active(EventKind.BATTERY_LOW, place)
        threshold = rules.battery_percent + (_BATTERY_HYSTERESIS if is_low else 0)
        percents = [r.value for r in place_readings if r.quantity is Quantity.BATTERY]
        flags = [r.value for r in place_readings if r.quantity is Quantity.BATTERY_LOW]
        on = any(flags) or any(percent < threshold for percent in percents)
        details = {"percent": percents[0]} if percents else {}
        tracker.set(EventKind.BATTERY_LOW, place, on=on, details=details)


def _check_devices(tracker: AlarmTracker, readings: Iterable[Reading]) -> None:
    """Whether devices are online: from their own report, or else from their readings.

    Readings without a model do not count: the device could not be read, only its meters.
    """
    devices: dict[_DeviceId, list[Reading]] = defaultdict(list)
    for reading in readings:
        devices[reading.house_id, reading.device_id].append(reading)
    for device, device_readings in devices.items():
        online = [r.value for r in device_readings if r.quantity is Quantity.ONLINE]
        qualities = {r.quality for r in device_readings if r.model}
        if online or qualities & {Quality.GOOD, Quality.STALE}:
            is_silent = not all(online) if online else Quality.GOOD not in qualities
            place = Place.whole_device(*device, device_readings[0].house, device_readings[0].device)
            tracker.set(EventKind.DEVICE_STALE, place, on=is_silent)


def _check_silence(
    tracker: AlarmTracker,
    state: AlarmState,
    readings: Sequence[Reading],
    rules: AlarmRules,
    source: Place,
) -> tuple[dict[_DeviceId, LastSeen], datetime]:
    """Alarms for failed polls, and for devices missing from polls; returns what was last seen.

    Clocks may be set back: nothing was seen later than now. After an outage, the silence of every
    device starts anew; if there were no polls meanwhile, only that of devices present before it.
    """
    kind, now = EventKind.NO_READINGS, tracker.now
    last_readings = min(state.last_readings or now, now)
    was_silent = bool(readings) and tracker.is_active(kind, source)
    no_polls = bool(readings) and now - last_readings >= rules.silence

    def since(last: datetime) -> datetime:
        """The start of a device's silence."""
        if was_silent or (no_polls and last >= last_readings):
            return now - _JUST_BEFORE
        return min(last, now)

    last_seen = {
        device: attrs.evolve(last, time=since(last.time))
        for device, last in state.last_seen.items()
    }
    if not readings:
        if now - last_readings >= rules.silence:
            tracker.set(kind, source, on=True, details={"hours": hours(now - last_readings)})
        return last_seen, last_readings

    tracker.set(kind, source, on=False)
    present = {(r.house_id, r.device_id): LastSeen(now, r.house, r.device) for r in readings}
    last_seen |= present
    for device, last in last_seen.items():
        place = Place.whole_device(*device, last.house, last.device)
        if device in present:
            tracker.set(kind, place, on=False)
        elif now - last.time >= rules.silence:
            tracker.set(kind, place, on=True, details={"hours": hours(now - last.time)})
    return last_seen, now

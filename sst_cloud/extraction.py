"""Snapshot → readings: a pure function."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

import attrs

from .enums import AccessStatus, LineKind, Point, Quality, ValveState
from .models import (
    Counter,
    Device,
    House,
    LeakModule,
    Snapshot,
    Thermostat,
    ValveGroup,
    WiredLine,
    WirelessSensor,
)
from .quantities import Quantity
from .readings import Reading
from .source import DEFAULT_REFRESH

_MISSED_UPDATES: Final = 3
"""A device that has been silent for this many refresh intervals has stopped reporting."""
_SHORTEST_SILENCE: Final = timedelta(minutes=1)
"""For a source that always knows the present."""

_EARLIEST_CLOCK: Final = datetime(2015, 1, 1, tzinfo=UTC)
"""A device clock with an earlier time was never set: it counts from 1970 or 2000."""

_UNNAMED_MODEL: Final = "unknown"
"""The model of a device whose source gives no product name."""


def readings_from(snapshot: Snapshot) -> list[Reading]:
    """All readings of a snapshot; the same snapshot gives the same readings.

    Readings are `stale` if their device is unreachable, or has been silent for three refresh
    intervals of the source, by its own clock or the source's: a source may go on returning the
    last state. So are those of a lost wireless sensor.
    """
    houses = {house.id: house for house in snapshot.houses}
    devices = {(device.house_id, device.id): device for device in snapshot.devices}

    def context(house_id: int, device_id: int) -> _ReadingContext:
        house, device = houses.get(house_id), devices.get((house_id, device_id))
        stale = device is not None and is_stale(device, snapshot.time, snapshot.refresh)
        return _ReadingContext(snapshot.time, house_id, device_id, house, device, stale)

    readings = [_volume(context(c.house_id, c.device_id), c) for c in snapshot.counters]
    for device in snapshot.devices:
        readings += _device(context(device.house_id, device.id), device)
    for sensor in snapshot.wireless_sensors:
        readings += _sensor(context(sensor.house_id, sensor.device_id), sensor)
    return readings


def is_stale(device: Device, now: datetime, refresh: timedelta | None = None) -> bool:
    """Whether the data of a device are old: it is unreachable, or has missed three refreshes."""
    if device.access_status not in (None, AccessStatus.AVAILABLE) or device.is_connected is False:
        return True
    refresh = DEFAULT_REFRESH if refresh is None else refresh
    limit = max(_MISSED_UPDATES * refresh, _SHORTEST_SILENCE)
    return any(now - moment > limit for moment in _report_times(device))


def _report_times(device: Device) -> list[datetime]:
    """When the device last reported: by its own clock, if that is set, and by the source's."""
    device_time = device.reported_at
    clocks = (
        device_time if device_time is not None and device_time >= _EARLIEST_CLOCK else None,
        device.updated_at,
    )
    return [moment for moment in clocks if moment is not None]


@attrs.frozen
class _ReadingContext:
    """Where readings come from; unknown values are None, unknown texts empty."""

    time: datetime
    house_id: int
    device_id: int
    house: House | None
    device: Device | None
    stale: bool
    """Whether the data of the device are old."""
    lost: bool = False
    """Whether the link from the device to the point is lost."""

    def reading(self, quantity: Quantity, value: float | bool, **point: Any) -> Reading:  # noqa: FBT001
        stale = self.stale
        if quantity is Quantity.ONLINE:  # as fresh as the response
            stale = False
        elif quantity is not Quantity.SENSOR_LOST:  # as fresh as the device's own report
            stale = stale or self.lost
        return Reading(
            time=self.time,
            quantity=quantity,
            value=value,
            house_id=self.house_id,
            house=self.house.name if self.house else "",
            device_id=self.device_id,
            device=self.device.name if self.device else "",
            # Empty only if the device was not read: that is how later stages tell.
            model=(self.device.model or _UNNAMED_MODEL) if self.device else "",
            quality=Quality.STALE if stale else Quality.GOOD,
            **point,
        )

    def readings(
        self, values: dict[Quantity, float | bool | None], **point: Any
    ) -> Iterator[Reading]:
        """One reading for each known value."""
        for quantity, value in values.items():
            if value is not None:
                yield self.reading(quantity, value, **point)

    @property
    def zone(self) -> tzinfo | None:
        return self.house.zone if self.house else None


def _volume(context: _ReadingContext, counter: Counter) -> Reading:
    return context.reading(
        Quantity.VOLUME,
        counter.value_l,
        point=Point.COUNTER,
        point_id=counter.point_id,
        name=counter.name,
        line=counter.line,
        water=counter.water,
    )


def _device(context: _ReadingContext, device: Device) -> Iterator[Reading]:
    thermostat = isinstance(device, Thermostat)
    point = Point.THERMOSTAT if thermostat else Point.MODULE
    connection = (device.access_status, device.is_connected)
    is_known = any(status is not None for status in connection) or bool(_report_times(device))
    common: dict[Quantity, float | bool | None] = {
        Quantity.ONLINE: not context.stale if is_known else None,
        Quantity.SIGNAL: device.signal_level,
    }
    yield from context.readings(common, point=point, point_id=point.value)
    if isinstance(device, LeakModule):
        yield from _module(context, device)
    elif isinstance(device, Thermostat):
        yield from _thermostat(context, device)


def _module(context: _ReadingContext, module: LeakModule) -> Iterator[Reading]:
    states: dict[Quantity, float | bool | None] = {
        Quantity.SENSOR_LOST: module.sensors_lost,
        Quantity.BATTERY_LOW: module.sensors_battery_low,
    }
    yield from context.readings(states, point=Point.MODULE, point_id=Point.MODULE.value)
    for group in module.valve_groups:
        yield from _valve_group(context, group)
    for line in module.lines:
        yield from _line(context, line)


def _valve_group(context: _ReadingContext, group: ValveGroup) -> Iterator[Reading]:
    is_known = isinstance(group.state, ValveState)
    values: dict[Quantity, float | bool | None] = {
        Quantity.VALVE_OPEN: group.state is ValveState.OPENED if is_known else None,
        Quantity.LEAK: group.alarm,
    }
    yield from context.readings(values, point=Point.VALVE_GROUP, point_id=str(group.number))


def _line(context: _ReadingContext, line: WiredLine) -> Iterator[Reading]:
    """A line with a meter wired to it cannot detect a leak."""
    if line.leak is not None and line.kind is not LineKind.COUNTER:
        yield context.reading(
            Quantity.LEAK,
            line.leak,
            point=Point.WIRED_LINE,
            point_id=line.point_id,
            name=line.name,
            line=line.number,
        )


def _thermostat(context: _ReadingContext, thermostat: Thermostat) -> Iterator[Reading]:
    values: dict[Quantity, float | bool | None] = {
        Quantity.AIR_TEMPERATURE: thermostat.air_temperature,
        Quantity.FLOOR_TEMPERATURE: thermostat.floor_temperature,
        Quantity.TARGET_TEMPERATURE: thermostat.target_at(context.time, context.zone),
        Quantity.HEATING: thermostat.heating,
    }
    yield from context.readings(values, point=Point.THERMOSTAT, point_id=Point.THERMOSTAT.value)


def _sensor(context: _ReadingContext, sensor: WirelessSensor) -> Iterator[Reading]:
    """A battery value that may be a level or a percentage is left as it is, without a unit.

    For a lost sensor only `sensor_lost` is fresh; everything else is its last report.
    """
    context = attrs.evolve(context, lost=sensor.lost is True)
    point: dict[str, Any] = {
        "point": Point.WIRELESS_SENSOR,
        "point_id": sensor.point_id,
        "name": sensor.name,
        "line": sensor.line,
    }
    values: dict[Quantity, float | bool | None] = {
        Quantity.LEAK: sensor.leak,
        Quantity.SENSOR_LOST: sensor.lost,
        Quantity.SIGNAL: sensor.signal_level,
        Quantity.BATTERY: sensor.battery_percent,
        Quantity.BATTERY_LOW: sensor.battery_low,
    }
    yield from context.readings(values, **point)
    if sensor.battery is not None and sensor.battery_percent is None:
        yield context.reading(Quantity.BATTERY, sensor.battery, unit="", **point)

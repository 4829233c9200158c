"""Snapshot → readings: a pure function."""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import attrs

from .enums import AccessStatus, LineKind, Point, Quality, Quantity, ValveState
from .flow import REFRESH
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
from .readings import Reading

STALE_AFTER: Final = 3 * REFRESH
"""A device silent for longer has stopped reporting: it has missed three updates."""

_CLOCKS_ARE_SET: Final = datetime(2015, 1, 1, tzinfo=UTC)
"""A device clock showing less was never set: it counts from 1970 or 2000."""


def readings_from(snapshot: Snapshot) -> list[Reading]:
    """All readings of a snapshot; the same snapshot gives the same readings.

    Readings are `stale` if their device is unreachable, or has been silent for half an hour by its
    own clock or the cloud's: the cloud keeps showing the last state. So are those of a lost
    wireless sensor.
    """
    houses = {house.id: house for house in snapshot.houses}
    devices = {(device.house_id, device.id): device for device in snapshot.devices}

    def origin(house_id: int, device_id: int) -> _Origin:
        house, device = houses.get(house_id), devices.get((house_id, device_id))
        return _Origin(snapshot.time, house_id, device_id, house, device)

    found = [_volume(origin(c.house_id, c.device_id), c) for c in snapshot.counters]
    for device in snapshot.devices:
        found += _device(origin(device.house_id, device.id), device)
    for sensor in snapshot.wireless_sensors:
        found += _sensor(origin(sensor.house_id, sensor.device_id), sensor)
    return found


def is_stale(device: Device, now: datetime) -> bool:
    """Whether the cloud's data of a device are old: unreachable, or silent for half an hour."""
    if device.access_status not in (None, AccessStatus.AVAILABLE) or device.is_connected is False:
        return True
    return any(now - moment > STALE_AFTER for moment in _heard(device))


def _heard(device: Device) -> list[datetime]:
    """When the device last reported: by its own clock, if that is set, and by the cloud's."""
    own = device.reported_at
    clocks = (own if own is not None and own >= _CLOCKS_ARE_SET else None, device.updated_at)
    return [moment for moment in clocks if moment is not None]


@attrs.frozen
class _Origin:
    """Where readings come from; unknown values are None, unknown texts empty."""

    time: datetime
    house_id: int
    device_id: int
    house: House | None
    device: Device | None

    lost: bool = False
    """Whether the link from the device to the point is lost."""

    def reading(self, quantity: Quantity, value: float | bool, **point: Any) -> Reading:  # noqa: FBT001
        stale = self.device is not None and is_stale(self.device, self.time)
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
            model=self.device.model if self.device else "",
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


def _volume(origin: _Origin, counter: Counter) -> Reading:
    return origin.reading(
        Quantity.VOLUME,
        counter.value_l,
        point=Point.COUNTER,
        point_id=str(counter.id),
        name=counter.name,
        line=counter.line,
        water=counter.water,
    )


def _device(origin: _Origin, device: Device) -> Iterator[Reading]:
    thermostat = isinstance(device, Thermostat)
    point = Point.THERMOSTAT if thermostat else Point.MODULE
    reach = (device.access_status, device.is_connected)
    told = any(sign is not None for sign in reach) or bool(_heard(device))
    common: dict[Quantity, float | bool | None] = {
        Quantity.ONLINE: not is_stale(device, origin.time) if told else None,
        Quantity.SIGNAL: device.signal_level,
    }
    yield from origin.readings(common, point=point, point_id=point.value)
    if isinstance(device, LeakModule):
        yield from _module(origin, device)
    elif isinstance(device, Thermostat):
        yield from _thermostat(origin, device)


def _module(origin: _Origin, module: LeakModule) -> Iterator[Reading]:
    troubles: dict[Quantity, float | bool | None] = {
        Quantity.SENSOR_LOST: module.sensors_lost,
        Quantity.BATTERY_LOW: module.sensors_battery_low,
    }
    yield from origin.readings(troubles, point=Point.MODULE, point_id=Point.MODULE.value)
    for group in module.valve_groups:
        yield from _valve_group(origin, group)
    for line in module.lines:
        yield from _line(origin, line)


def _valve_group(origin: _Origin, group: ValveGroup) -> Iterator[Reading]:
    known = isinstance(group.state, ValveState)
    values: dict[Quantity, float | bool | None] = {
        Quantity.VALVE_OPEN: group.state is ValveState.OPENED if known else None,
        Quantity.LEAK: group.alarm,
    }
    yield from origin.readings(values, point=Point.VALVE_GROUP, point_id=str(group.number))


def _line(origin: _Origin, line: WiredLine) -> Iterator[Reading]:
    """A line with a meter wired to it cannot detect a leak."""
    if line.leak is not None and line.kind is not LineKind.COUNTER:
        yield origin.reading(
            Quantity.LEAK,
            line.leak,
            point=Point.WIRED_LINE,
            point_id=line.point_id,
            name=line.name,
            line=line.number,
        )


def _thermostat(origin: _Origin, thermostat: Thermostat) -> Iterator[Reading]:
    values: dict[Quantity, float | bool | None] = {
        Quantity.AIR_TEMPERATURE: thermostat.air_temperature,
        Quantity.FLOOR_TEMPERATURE: thermostat.floor_temperature,
        Quantity.TARGET_TEMPERATURE: thermostat.target_at(origin.time, origin.zone),
        Quantity.HEATING: thermostat.heating,
    }
    yield from origin.readings(values, point=Point.THERMOSTAT, point_id=Point.THERMOSTAT.value)


def _sensor(origin: _Origin, sensor: WirelessSensor) -> Iterator[Reading]:
    """A battery value that may be a level or a percentage is left as it is, without a unit.

    For a lost sensor only `sensor_lost` is fresh; everything else is its last report.
    """
    origin = attrs.evolve(origin, lost=sensor.lost is True)
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
    yield from origin.readings(values, **point)
    if sensor.battery is not None and sensor.battery_percent is None:
        yield origin.reading(Quantity.BATTERY, sensor.battery, unit="", **point)

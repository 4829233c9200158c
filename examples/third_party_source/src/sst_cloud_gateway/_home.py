"""The gateway's JSON as objects of sst-cloud. No other module knows that JSON."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from sst_cloud.enums import TemperatureSensor, ThermostatMode, ValveState, Water
from sst_cloud.errors import PayloadError
from sst_cloud.models import (
    Counter,
    House,
    LeakModule,
    Listing,
    Snapshot,
    Thermostat,
    Unreadable,
    ValveGroup,
    WiredLine,
    WirelessSensor,
)

T = TypeVar("T")

_VALVE_STATES = {True: ValveState.OPENED, False: ValveState.CLOSED}
_TOO_LARGE = 2**63
"""For a reading: one such number would be an error of all readings."""
_WATER = {"hot": Water.HOT, "cold": Water.COLD}


def snapshot_from(home: Any, time: datetime, path: str) -> Snapshot:
    """The home. What cannot be read stands beside the rest; raises `PayloadError` for all of it."""
    try:
        site = _required(home, "site", dict)
        house = House(
            id=_required(site, "number", int),
            name=_required(site, "name", str),
            timezone=_optional(site, "timezone", str),
            raw=site,
        )
    except ValueError as error:
        raise PayloadError(str(error), path) from None
    modules = _each("device", home, "modules", partial(_module, house))
    thermostats = _each("device", home, "heating", partial(_thermostat, house))
    counters = Listing.joined(
        _each("counter", m.raw, "meters", partial(_counter, m)) for m in modules
    )
    sensors = Listing.joined(
        _each("wireless_sensor", m.raw, "sensors", partial(_sensor, m)) for m in modules
    )
    listings: tuple[Listing[Any], ...] = (modules, thermostats, counters, sensors)
    return Snapshot(
        time=time,
        houses=(house,),
        devices=(*modules, *thermostats),
        counters=tuple(counters),
        wireless_sensors=tuple(sensors),
        unreadable=tuple(item for listing in listings for item in listing.unreadable),
    )


def _module(house: House, item: Any) -> LeakModule:
    valve = ValveGroup(
        number=1,
        state=_VALVE_STATES[_required(item, "valve_open", bool)],
        alarm=_required(item, "alarm", bool),
    )
    return LeakModule(
        id=_required(item, "number", int),
        house_id=house.id,
        name=_required(item, "name", str),
        model=_required(item, "product", str),
        is_connected=_optional(item, "reachable", bool),
        firmware=_optional(item, "firmware", str),
        valve_groups=(valve,),
        lines=tuple(map(_line, _required(item, "wires", list))),
        raw=item,
    )


def _line(item: Any) -> WiredLine:
    number = _required(item, "number", int)
    return WiredLine(
        point_id=str(number),
        number=number,
        name=_optional(item, "name", str),
        leak=_optional(item, "wet", bool),
    )


def _counter(module: LeakModule, item: Any) -> Counter:
    return Counter(
        id=_required(item, "number", int),
        house_id=module.house_id,
        device_id=module.id,
        value_l=_required(item, "litres", int),
        name=_optional(item, "name", str),
        water=_WATER.get(_optional(item, "water", str) or ""),
        raw=item,
    )


def _sensor(module: LeakModule, item: Any) -> WirelessSensor:
    heard = _optional(item, "heard", bool)
    battery = _optional(item, "battery", int)
    serial_number = _required(item, "serial", str)
    return WirelessSensor(
        house_id=module.house_id,
        device_id=module.id,
        point_id=serial_number,  # its place in the list changes when another is removed
        serial_number=serial_number,
        name=_optional(item, "name", str),
        leak=_optional(item, "wet", bool),
        lost=None if heard is None else not heard,
        battery=battery,
        battery_percent=battery,
        signal_level=_optional(item, "bars", int),
        raw=item,
    )


def _thermostat(house: House, item: Any) -> Thermostat:
    return Thermostat(
        id=_required(item, "number", int),
        house_id=house.id,
        name=_required(item, "name", str),
        model=_required(item, "product", str),
        is_connected=_optional(item, "reachable", bool),
        is_on=True,
        mode=ThermostatMode.MANUAL,  # it knows no other
        controlling_sensor=TemperatureSensor.FLOOR,
        manual_temperature=_optional(item, "target", int),
        floor_temperature=_optional(item, "floor", float, int),
        air_temperature=_optional(item, "air", float, int),
        heating=_optional(item, "heating", bool),
        raw=item,
    )


def _each(kind: str, parent: Any, key: str, read: Callable[[Any], T]) -> Listing[T]:
    """The elements of a list of the parent that can be read; those that cannot, with the reason."""
    readable: list[T] = []
    unreadable: list[Unreadable] = []
    try:
        items = _required(parent, key, list)
    except ValueError as error:
        number = _optional(parent, "number", int)
        return Listing((), [Unreadable(kind=f"{kind}s", id=number, reason=str(error))])
    for item in items:
        try:
            readable.append(read(item))
        except ValueError as error:
            number = _optional(item, "number", int)
            unreadable.append(Unreadable(kind=kind, id=number, reason=str(error), raw=item))
    return Listing(readable, unreadable)


def _required(item: Any, key: str, kind: type[T]) -> T:
    """A value of exactly this type: True would pass for an int. Raises ValueError."""
    value: T | None = _optional(item, key, kind)
    if value is None:
        raise ValueError(f"{key!r} is missing, or not of type {kind.__name__}")
    return value


def _optional(item: Any, key: str, *kinds: type) -> Any:
    """A value of exactly one of these types, or None."""
    value = item.get(key) if isinstance(item, dict) else None
    if isinstance(value, int | float) and not abs(value) < _TOO_LARGE:  # nor is NaN less
        return None
    return value if type(value) in kinds else None

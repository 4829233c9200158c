"""Readings as InfluxDB's line protocol: the table of docs/sinks/influxdb.md, in code."""

from datetime import UTC, datetime
from typing import Final

from sst_cloud.readings import Point, Quality, Reading

MEASUREMENTS: Final = {
    Point.COUNTER: "water_meter",
    Point.WIRED_LINE: "leak_sensor",
    Point.WIRELESS_SENSOR: "leak_sensor",
    Point.VALVE_GROUP: "valve",
    Point.THERMOSTAT: "thermostat",
    Point.MODULE: "module",
}
QUALITIES: Final = {Quality.GOOD: 0, Quality.SUSPECT: 1, Quality.STALE: 2}
"""A number, as VictoriaMetrics stores nothing else. A tag would start a new series each time."""

FIRST: Final = datetime(1677, 9, 22, tzinfo=UTC)
LAST: Final = datetime(2262, 4, 11, tzinfo=UTC)
"""InfluxDB stores nanoseconds since 1970 in 64 bits."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SAFE: Final = str.maketrans(
    {character: f"\\{character}" for character in ", ="}
    | {chr(code): f"%{code:02X}" for code in (*range(32), 127, *b"%\\")}
)
"""Backslashes and control characters become %5C, %0A …: servers interpret them differently."""


def to_line(reading: Reading, *, names: bool = False) -> str:
    """One line for one reading. Raises ValueError for what InfluxDB could not store unchanged."""
    quantity, time = reading.quantity, reading.time
    if reading.unit != quantity.unit:
        raise ValueError(
            f"the field {quantity.name_with_unit} does not take the unit {reading.unit[:20]!r}"
        )
    if not FIRST <= time < LAST:
        raise ValueError(f"InfluxDB stores times from 1677 to 2262 only: {time:%Y-%m-%d}")
    device, house, name = (
        (_tag("device", reading.device), _tag("house", reading.house), _tag("name", reading.name))
        if names
        else ("", "", "")
    )
    # Tags sorted by key, as the server recommends for performance.
    return (
        f"{MEASUREMENTS[reading.point]}{device},device_id={reading.device_id}"
        f"{house},house_id={reading.house_id}{name},point={reading.point.value}"
        f"{_tag('point_id', reading.point_id)}{_tag('water', reading.water)}"
        f" {quantity.name_with_unit}={_number(reading)}"
        f",{quantity.value}_quality={QUALITIES[reading.quality]}"
        f" {_seconds(time)}"
    )


def _tag(key: str, value: str | None) -> str:
    """An empty value means no tag: the protocol does not allow empty ones."""
    return f",{key}={value.translate(_SAFE)}" if value else ""


def _number(reading: Reading) -> str:
    """Always a float, booleans 0 and 1: a field's type never changes, on any server."""
    value = reading.value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return float.__repr__(value)  # NumPy floats have a different repr
    if int(float(value)) != value:
        raise ValueError(f"{value} has more digits than a float can hold")
    return int.__repr__(value)


def _seconds(time: datetime) -> int:
    since = time - _EPOCH
    return since.days * 86_400 + since.seconds

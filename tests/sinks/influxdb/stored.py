"""From database rows back to readings, written from the documented schema, not from the code."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import unquote

import attrs

from sst_cloud import Point, Quality, Quantity, Reading

MEASUREMENTS = {
    "counter": "water_meter",
    "wired_line": "leak_sensor",
    "wireless_sensor": "leak_sensor",
    "valve_group": "valve",
    "thermostat": "thermostat",
    "module": "module",
}
QUANTITIES = {
    "volume_litres": "volume",
    "air_temperature_celsius": "air_temperature",
    "floor_temperature_celsius": "floor_temperature",
    "target_temperature_celsius": "target_temperature",
    "battery_percent": "battery",
    "signal_level": "signal",
    "leak": "leak",
    "valve_open": "valve_open",
    "battery_low": "battery_low",
    "sensor_lost": "sensor_lost",
    "heating": "heating",
    "online": "online",
}
WHOLE = {"volume", "battery", "signal"}
QUALITIES = {0: Quality.GOOD, 1: Quality.SUSPECT, 2: Quality.STALE}


@attrs.frozen
class Row:
    """A measurement's fields at one moment."""

    measurement: str
    tags: dict[str, str]
    time: float
    fields: dict[str, float]


def readings_of(rows: Iterable[Row]) -> list[Reading]:
    """The readings, without names and without the difference between 1 and 1.0."""
    readings = []
    for row in rows:
        tags = row.tags
        assert row.measurement == MEASUREMENTS[tags["point"]]
        assert set(tags) <= {"house_id", "device_id", "point", "point_id", "water"}
        quantities = {name for name in row.fields if not name.endswith("_quality")}
        assert len(row.fields) == 2 * len(quantities)
        for name in quantities:
            quantity = Quantity(QUANTITIES[name])
            value = row.fields[name]
            assert isinstance(value, int | float)
            readings.append(
                Reading(
                    time=datetime.fromtimestamp(row.time, UTC),
                    quantity=quantity,
                    value=_value(quantity, value),
                    house_id=int(tags["house_id"]),
                    house="",
                    device_id=int(tags["device_id"]),
                    device="",
                    model="",
                    point=Point(tags["point"]),
                    point_id=unquote(tags.get("point_id", "")),
                    water=tags.get("water"),
                    quality=QUALITIES[int(row.fields[f"{quantity}_quality"])],
                )
            )
    return readings


def as_written(rows: Iterable[Row], written: Iterable[Reading]) -> list[Reading]:
    """The written readings that match the rows in everything that is stored.

    VictoriaMetrics keeps 15 digits of a number.
    """
    by_key = {reading.key: reading for reading in written}
    stored = []
    for stored_reading in readings_of(rows):
        original = by_key.get(stored_reading.key)
        if original is not None:
            same = attrs.evolve(
                stored_reading,
                value=original.value
                if math.isclose(stored_reading.value, original.value, rel_tol=1e-15)
                else stored_reading.value,
                house=original.house,
                device=original.device,
                model=original.model,
                name=original.name,
                line=original.line,
            )
            stored.append(same)
        else:
            stored.append(stored_reading)
    return stored


def _value(quantity: Quantity, value: float) -> float | bool:
    if quantity.is_boolean:
        assert value in (0, 1)
        return bool(value)
    number = float(value)
    whole = quantity.value in WHOLE and number.is_integer() and abs(number) < 2**63
    return int(number) if whole else number

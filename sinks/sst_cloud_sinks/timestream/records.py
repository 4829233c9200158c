"""Readings as Timestream dimensions and measures, and back."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from sst_cloud.readings import Point, Quality, Quantity, Reading, Value

RECORD_BYTES: Final = 2048
_TIME_BYTES: Final = 10
_LAST_SECOND: Final = (2**63 - 1) // 10**9
"""Timestream stores nanoseconds since 1970 in 64 bits."""
DIMENSIONS: Final = (
    "service",
    "location",
    "water_temperature",
    "house_id",
    "house",
    "device_id",
    "device",
    "model",
    "counter_id",
    "point",
    "point_id",
    "name",
    "line",
    "unit",
    "value_type",
    "quality",
)
"""Every dimension we write. Empty ones are omitted: Timestream does not accept them."""

_SERVICES: Final = {
    "water": "water",
    "moisture": "leak",
    "temperature": "heating",
    "heat": "heating",
}
"""By device class; what has another one, or none, by point."""
_SERVICES_OF_POINTS: Final = {
    Point.WIRED_LINE: "leak",
    Point.WIRELESS_SENSOR: "leak",
    Point.VALVE_GROUP: "leak",
    Point.THERMOSTAT: "heating",
}


@attrs.frozen(eq=False)
class Series:
    """What the records of one series have in common."""

    dimensions: Mapping[str, str]
    measure: str
    type: str
    size: int
    """Bytes of a record without its value."""
    problem: str | None
    """Why Timestream cannot accept any of its records."""


def reading_of(row: Mapping[str, str | None]) -> Reading:
    """The reading in a row. Raises ValueError.

    Rows of the old function lack the house and the device: they are returned under house 0, with
    the location as the house's name and `location:water` as the counter's id.
    """
    quantity = Quantity(row["measure_name"] or "")
    text = row.get("time") or ""
    fields: dict[str, Any] = {
        "time": datetime.fromisoformat(text[:19]).replace(tzinfo=UTC),
        "quantity": quantity,
        "value": _value(quantity, row),
        "name": row.get("name"),
        "water": row.get("water_temperature"),
        "quality": row.get("quality") or Quality.GOOD,
        "device": row.get("device") or "",
        "model": row.get("model") or "",
    }
    if unit := row.get("unit"):
        fields["unit"] = unit
    if line := row.get("line"):
        fields["line"] = int(line)
    if house_id := row.get("house_id"):
        fields["house_id"] = int(house_id)
        fields["house"] = row.get("house") or ""
        fields["device_id"] = int(row.get("device_id") or "")
        fields["point"] = row.get("point") or Point.COUNTER
        fields["point_id"] = row.get("counter_id") or row.get("point_id") or ""
    else:
        location = row.get("location") or ""
        fields |= {"house_id": 0, "house": location, "device_id": 0, "point": Point.COUNTER}
        fields["point_id"] = f"{location}:{row.get('water_temperature') or ''}"
    return Reading(**fields)


def series_of(reading: Reading, location: str | None) -> Series:
    """The series that a reading belongs to, with the reason if Timestream cannot store it."""
    quantity, point = reading.quantity, reading.point
    is_counter = point is Point.COUNTER
    value_type = None
    if not quantity.is_boolean and isinstance(reading.value, int) is not quantity.is_whole:
        value_type = "int" if isinstance(reading.value, int) else "float"
    candidates = {
        "service": _service(quantity, point),
        "location": location or reading.house or str(reading.house_id),
        "water_temperature": reading.water and reading.water.value,
        "house_id": str(reading.house_id),
        "house": reading.house,
        "device_id": str(reading.device_id),
        "device": reading.device,
        "model": reading.model,
        "counter_id": reading.point_id if is_counter else None,
        "point": None if is_counter else point.value,
        "point_id": None if is_counter else reading.point_id,
        "name": reading.name,
        "line": None if reading.line is None else str(reading.line),
        "unit": reading.unit if reading.unit != quantity.unit else None,
        "value_type": value_type,
        "quality": None if reading.quality is Quality.GOOD else reading.quality.value,
    }
    dimensions = {name: value for name, value in candidates.items() if value}
    return Series(
        dimensions=dimensions,
        measure=quantity.value,
        type=_type(quantity),
        size=_TIME_BYTES
        + len(quantity.value)
        + sum(len(name) + len(value.encode()) for name, value in dimensions.items()),
        problem="Timestream cannot store a counter without an id"
        if is_counter and not reading.point_id
        else None,
    )


def _service(quantity: Quantity, point: Point) -> str:
    by_class = _SERVICES.get(quantity.device_class or "")
    return by_class or _SERVICES_OF_POINTS.get(point, "module")


def _type(quantity: Quantity) -> str:
    # Only volumes are BIGINT, so a query over `measure_value::bigint` needs no filter.
    if quantity is Quantity.VOLUME:
        return "BIGINT"
    return "BOOLEAN" if quantity.is_boolean else "DOUBLE"


def _value(quantity: Quantity, row: Mapping[str, str | None]) -> Value:
    kind = _type(quantity)
    text = row.get(f"measure_value::{kind.lower()}")
    if text is None:
        raise ValueError(f"a row of {quantity} has no {kind}")
    if kind == "BOOLEAN":
        return text == "true"
    if kind == "BIGINT":
        return int(text)
    is_whole = row.get("value_type") == "int" if row.get("value_type") else quantity.is_whole
    return int(float(text)) if is_whole else float(text)


def problem_of(value: Value, series: Series, seconds: int, text: str) -> str | None:
    """Why Timestream cannot accept this record, as far as can be known without asking it."""
    if series.problem:
        return series.problem
    if not 0 <= seconds <= _LAST_SECOND:
        return "Timestream only accepts times from 1970 to 2262"
    if series.type == "DOUBLE" and type(value) is int and float(value) != value:
        return f"{text} cannot be stored exactly as a DOUBLE"
    if (size := series.size + len(text)) > RECORD_BYTES:
        return (
            f"the record would be {size} bytes, and Timestream accepts {RECORD_BYTES}: "
            "shorten the names"
        )
    return None

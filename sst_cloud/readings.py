"""The reading: one flat record for every consumer."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final

import attrs

from .enums import Point, Quality, Water
from .quantities import Quantity

__all__ = [
    "FIELDS",
    "Point",
    "Quality",
    "Quantity",
    "Reading",
    "Value",
    "Water",
    "format_time",
    "plain_fields",
]

Value = int | float | bool

_INT64: Final = 2**63


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC, whole seconds: `2026-11-23T17:20:00Z`."""
    return moment.astimezone(UTC).isoformat()[:19] + "Z"


def _to_second(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("the time of a reading must be timezone-aware")
    if moment.tzinfo is UTC and not moment.microsecond:
        return moment
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise ValueError("the time of a reading must be in the years 1 to 9999") from None


def _encodable(text: str) -> str:
    if not isinstance(text, str):
        raise ValueError(f"a reading's text must be str, not {type(text).__name__}")  # noqa: TRY004
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _name(text: str | None) -> str | None:
    return None if text is None else _encodable(text) or None


def _int64(number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"a reading's id must be an int, not {type(number).__name__}")  # noqa: TRY004
    if not -_INT64 <= number < _INT64:
        raise ValueError("a reading's number must fit in 64 bits")
    return number


def _line(number: int | None) -> int | None:
    return None if number is None else _int64(number)


def _water(water: str | None) -> Water | None:
    return None if water is None else Water(water)


@attrs.frozen(kw_only=True)
class Reading:
    """One value at one moment. Invalid values raise ValueError.

    `key` identifies it: storing a reading again under the same key changes nothing.
    """

    time: datetime = attrs.field(converter=_to_second)
    """When the source was asked; UTC, whole seconds."""
    quantity: Quantity = attrs.field(converter=Quantity)
    value: Value = attrs.field()
    """Litres for `volume` (the meter's cumulative total, int), otherwise in `unit`."""
    unit: str = attrs.field(converter=_encodable)
    """`L`, `°C`, `%`, or an empty string for booleans and levels."""
    house_id: int = attrs.field(converter=_int64)
    house: str = attrs.field(converter=_encodable)
    device_id: int = attrs.field(converter=_int64)
    device: str = attrs.field(converter=_encodable)
    model: str = attrs.field(converter=_encodable)
    """Product name: `Neptun ProW+ WiFi` …"""
    point: Point = attrs.field(converter=Point)
    point_id: str = attrs.field(converter=_encodable)
    """Stable within the device: the counter's id, the line's key, the sensor's serial number …"""
    name: str | None = attrs.field(converter=_name, default=None)
    """The owner's name for it; never an empty string."""
    line: int | None = attrs.field(converter=_line, default=None)
    water: Water | None = attrs.field(converter=_water, default=None)
    quality: Quality = attrs.field(converter=Quality, default=Quality.GOOD)

    @unit.default
    def _unit_of_quantity(self) -> str:
        return self.quantity.unit

    @value.validator
    def _check_value(self, _: object, value: object) -> None:
        if self.quantity.is_boolean:
            if not isinstance(value, bool):
                raise ValueError(f"a reading of {self.quantity} must be True or False")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"a reading of {self.quantity} must be a number")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError("a reading must be a finite number")
        elif isinstance(value, int):
            _int64(value)
        elif self.quantity.is_total:
            unit = self.quantity.unit_name
            raise ValueError(f"a {self.quantity} must be a whole number of {unit}")

    @property
    def key(self) -> tuple[Quantity, int, int, Point, str, datetime]:
        """What identifies the reading."""
        return (
            self.quantity,
            self.house_id,
            self.device_id,
            self.point,
            self.point_id,
            self.time,
        )

    @property
    def series(self) -> tuple[Quantity, int, int, Point, str]:
        """What identifies the series that this reading belongs to: `key` without the time."""
        return self.key[:-1]

    def as_dict(self) -> dict[str, str | Value | None]:
        """The record as in JSON Lines and CSV: these keys, in this order, with plain values."""
        return {
            "time": format_time(self.time),
            "quantity": self.quantity.value,
            "value": self.value,
            "unit": self.unit,
            "house_id": self.house_id,
            "house": self.house,
            "device_id": self.device_id,
            "device": self.device,
            "model": self.model,
            "point": self.point.value,
            "point_id": self.point_id,
            "name": self.name,
            "line": self.line,
            "water": None if self.water is None else self.water.value,
            "quality": self.quality.value,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Reading":
        """The reading from its `as_dict`. Raises ValueError."""
        fields = dict(record)
        try:
            fields["time"] = datetime.fromisoformat(fields["time"])
            return cls(**fields)
        except KeyError as error:
            raise ValueError(f"a reading needs {error}") from None
        except TypeError as error:
            raise ValueError(f"not a reading: {error}") from None


FIELDS: Final = tuple(field.name for field in attrs.fields(Reading))
"""The keys of a reading's record, in order."""

plain_fields: Final[Callable[[Reading], tuple[Any, ...]]] = attrgetter(
    *(
        f"{field}._value_" if field in ("quantity", "point", "quality") else field
        for field in FIELDS
    )
)
"""A reading's fields, with enums as plain text, except `water`, which may be None.

An enum's property costs four times as much, and stores read many.
"""

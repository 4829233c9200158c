"""The quantities of readings: one table, and one row for whatever is new."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Self


class ValueKind(StrEnum):
    """What the values of a quantity are."""

    BOOLEAN = "true or false"
    WHOLE = "whole number"
    """Normally a whole number, even if a store returns it as a float."""
    NUMBER = "number"
    TOTAL = "total"
    """A whole number that only grows, as on a meter."""


class Scale(NamedTuple):
    """The kind of a value, its unit, and the unit's name where a symbol will not do."""

    kind: ValueKind
    unit: str = ""
    unit_name: str = ""


_BOOLEAN = Scale(ValueKind.BOOLEAN)
_LEVEL = Scale(ValueKind.WHOLE, "", "level")
_PERCENT = Scale(ValueKind.WHOLE, "%", "percent")
_CELSIUS = Scale(ValueKind.NUMBER, "°C", "celsius")
_LITRES = Scale(ValueKind.TOTAL, "L", "litres")


class Quantity(StrEnum):
    """What a reading measures.

    A row: its name in readings, its scale, a sentence about it, its device class in Home Assistant,
    and the values that are a problem, each with that problem in words.
    """

    VOLUME = "volume", _LITRES, "Total of a meter.", "water"
    AIR_TEMPERATURE = "air_temperature", _CELSIUS, "Air temperature.", "temperature"
    FLOOR_TEMPERATURE = "floor_temperature", _CELSIUS, "Floor temperature.", "temperature"
    TARGET_TEMPERATURE = "target_temperature", _CELSIUS, "Target temperature.", "temperature"
    LEAK = "leak", _BOOLEAN, "Whether a leak is detected.", "moisture", {True: "leak"}
    VALVE_OPEN = "valve_open", _BOOLEAN, "Whether the valves are open.", "opening"
    BATTERY = "battery", _PERCENT, "Battery charge.", "battery"
    BATTERY_LOW = (
        "battery_low",
        _BOOLEAN,
        "Whether the battery is low.",
        "battery",
        {True: "battery low"},
    )
    SIGNAL = "signal", _LEVEL, "Signal strength, in the device's own units."
    SENSOR_LOST = (
        "sensor_lost",
        _BOOLEAN,
        "Whether the link to a wireless sensor is lost.",
        "problem",
        {True: "sensor lost"},
    )
    HEATING = "heating", _BOOLEAN, "Whether the heating is on.", "heat"
    ONLINE = (
        "online",
        _BOOLEAN,
        "Whether the device can be reached.",
        "connectivity",
        {False: "offline"},
    )

    kind: ValueKind
    unit: str
    """The unit of the value: `L`, `°C`, `%`, or an empty string for booleans and levels."""
    unit_name: str
    """The unit in names: `litres`, `percent`, `level`; empty for booleans."""
    help: str
    """What it says, in a sentence."""
    device_class: str | None
    """Home Assistant's word for it: of a binary sensor for a boolean, otherwise of a sensor."""
    problems: Mapping[float, str]
    """The values that are a problem, and what to call it."""
    name_with_unit: str
    """Its name where the unit is part of it: `volume_litres`, `battery_percent`, `leak`."""

    def __new__(
        cls,
        name: str,
        # Every row has both; without defaults, type checkers would refuse `Quantity("volume")`.
        scale: Scale = _BOOLEAN,
        help: str = "",  # noqa: A002  the column's name
        device_class: str | None = None,
        problems: Mapping[float, str] | None = None,
    ) -> Self:
        """One row."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.kind, member.unit, member.unit_name = scale
        member.help = help
        member.device_class = device_class
        member.problems = problems or {}
        member.name_with_unit = f"{name}_{scale.unit_name}" if scale.unit_name else name
        return member

    @property
    def metric(self) -> str:
        """Its name in Prometheus, where a total is named after what it counts: `water_litres`."""
        if self.is_total:
            return f"{self.device_class}_{self.unit_name}"
        return self.name_with_unit.replace("_percent", "_ratio")

    @property
    def is_boolean(self) -> bool:
        """Whether the value is True or False rather than a number."""
        return self.kind is ValueKind.BOOLEAN

    @property
    def is_whole(self) -> bool:
        """Whether the value is normally a whole number, even if a store returns it as a float."""
        return self.kind in (ValueKind.WHOLE, ValueKind.TOTAL)

    @property
    def is_total(self) -> bool:
        """Whether the value only grows, as on a meter."""
        return self.kind is ValueKind.TOTAL

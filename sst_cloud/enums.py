"""Enumerations.

Those of readings are defined by this library; those of devices are the words of SST Cloud, as far
as known.
"""

from enum import StrEnum
from typing import Final


class AccessStatus(StrEnum):
    """Whether the source can reach a device. Other values keep their text; none has been seen."""

    AVAILABLE = "available"


class ValveState(StrEnum):
    """The state that the valves of a leak module have been set to."""

    OPENED = "opened"
    CLOSED = "closed"


class Grouping(StrEnum):
    """Whether a Neptun Smart treats its valves as one zone or as two."""

    ONE_GROUP = "one_group"
    TWO_GROUPS = "two_groups"


class SlotType(StrEnum):
    """What is in an expansion slot of a Neptun Smart."""

    EMPTY = "empty"
    RADIO = "radio"
    COUNTERS = "counters"


class LineKind(StrEnum):
    """What is wired to an input line of a ProW+."""

    WIRED_SENSOR = "wired_sensor"
    COUNTER = "counter"


class ThermostatMode(StrEnum):
    """Where a thermostat takes its target temperature from."""

    MANUAL = "manual"
    CHART = "chart"


class TemperatureSensor(StrEnum):
    """Which sensor of a thermostat controls the heating."""

    AIR = "air"
    FLOOR = "floor"


class Water(StrEnum):
    """The kind of water that a meter counts."""

    HOT = "hot"
    COLD = "cold"


class Quantity(StrEnum):
    """What a reading measures."""

    VOLUME = "volume"
    AIR_TEMPERATURE = "air_temperature"
    FLOOR_TEMPERATURE = "floor_temperature"
    TARGET_TEMPERATURE = "target_temperature"
    LEAK = "leak"
    VALVE_OPEN = "valve_open"
    BATTERY = "battery"
    BATTERY_LOW = "battery_low"
    SIGNAL = "signal"
    SENSOR_LOST = "sensor_lost"
    HEATING = "heating"
    ONLINE = "online"

    @property
    def is_boolean(self) -> bool:
        """Whether the value is True or False rather than a number."""
        return self in _BOOLEANS

    @property
    def is_whole(self) -> bool:
        """Whether the value is normally a whole number, even if a store returns it as a float."""
        return self in _WHOLE_NUMBERS

    @property
    def unit(self) -> str:
        """The unit of the value: `L`, `°C`, `%`, or an empty string for booleans and levels."""
        return _UNITS.get(self, "")


_BOOLEANS: Final = frozenset(
    {
        Quantity.LEAK,
        Quantity.VALVE_OPEN,
        Quantity.BATTERY_LOW,
        Quantity.SENSOR_LOST,
        Quantity.HEATING,
        Quantity.ONLINE,
    }
)
_WHOLE_NUMBERS: Final = frozenset({Quantity.VOLUME, Quantity.BATTERY, Quantity.SIGNAL})
_UNITS: Final = {
    Quantity.VOLUME: "L",
    Quantity.AIR_TEMPERATURE: "°C",
    Quantity.FLOOR_TEMPERATURE: "°C",
    Quantity.TARGET_TEMPERATURE: "°C",
    Quantity.BATTERY: "%",
}


class Point(StrEnum):
    """The part of a device that a reading is about."""

    MODULE = "module"
    COUNTER = "counter"
    WIRED_LINE = "wired_line"
    WIRELESS_SENSOR = "wireless_sensor"
    VALVE_GROUP = "valve_group"
    THERMOSTAT = "thermostat"


class Quality(StrEnum):
    """How trustworthy a reading is."""

    GOOD = "good"
    SUSPECT = "suspect"
    STALE = "stale"

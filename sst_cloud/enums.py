"""Closed sets of words and numbers.

Those of the readings are ours; those of the devices are the cloud's, as far as they are known.
"""

from enum import IntEnum, StrEnum
from typing import Final


class DeviceType(IntEnum):
    """The `type` number of a device, as public clients of the API have found it."""

    MCS300 = 0
    MCS350 = 1
    NEPTUN_PROW = 2
    EQUATION = 3
    EQUATION_PROW = 4
    OKE_20 = 5
    ECOSMART_25 = 6
    NEPTUN_SMART = 7


MODELS: Final = {
    DeviceType.MCS300: "Teploluxe MCS300",
    DeviceType.MCS350: "Teploluxe MCS350",
    DeviceType.NEPTUN_PROW: "Neptun ProW+ WiFi",
    DeviceType.EQUATION: "Equation WiFi",
    DeviceType.EQUATION_PROW: "Equation ProW+ WiFi",
    DeviceType.OKE_20: "OK Electro OKE-20",
    DeviceType.ECOSMART_25: "EcoSmart 25",
    DeviceType.NEPTUN_SMART: "Neptun Smart",
}
"""Device type → model as sold."""


class AccessStatus(StrEnum):
    """Whether the cloud reaches a device. Other values keep their text; none has been recorded."""

    AVAILABLE = "available"


class ValveState(StrEnum):
    """What the valves of a leak module have been told to be."""

    OPENED = "opened"
    CLOSED = "closed"


class Grouping(StrEnum):
    """Whether a Neptun Smart treats its valves as one zone or as two."""

    ONE_GROUP = "one_group"
    TWO_GROUPS = "two_groups"


class SlotType(StrEnum):
    """What sits in an expansion slot of a Neptun Smart."""

    EMPTY = "empty"
    RADIO = "radio"
    COUNTERS = "counters"


class LineKind(StrEnum):
    """What is wired to an input line of a ProW+."""

    WIRED_SENSOR = "wired_sensor"
    COUNTER = "counter"


class ThermostatMode(StrEnum):
    """How a thermostat finds its target temperature."""

    MANUAL = "manual"
    CHART = "chart"


class TemperatureSensor(StrEnum):
    """Which sensor of a thermostat controls the heating."""

    AIR = "air"
    FLOOR = "floor"


class Water(StrEnum):
    """What a meter counts."""

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
        """Whether the value is as a rule a whole number: a store of fractions gives it back so."""
        return self in _WHOLE

    @property
    def unit(self) -> str:
        """The unit of the value: `L`, `°C`, `%`, or empty for booleans and levels."""
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
_WHOLE: Final = frozenset({Quantity.VOLUME, Quantity.BATTERY, Quantity.SIGNAL})
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
    """How far a reading can be trusted."""

    GOOD = "good"
    SUSPECT = "suspect"
    STALE = "stale"

"""Enumerations.

Those of readings are defined by this library; those of devices are the words of SST Cloud, as far
as known.
"""

from enum import StrEnum


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

"""Leak modules: valves, wired lines, slots."""

from sst_cloud.enums import Grouping, LineKind, SlotType, ValveState

from ._base import model
from .device import Device


@model
class ValveGroup:
    """Valves that open and close together."""

    number: int
    """1 or 2."""
    state: ValveState | str | None = None
    alarm: bool | None = None
    """Whether a leak has been detected in this group's zone."""


@model
class WiredLine:
    """An input line of a module."""

    point_id: str
    """The source's own key for the line; stable within the device."""
    number: int
    """Its position, from 1."""
    name: str | None = None
    """The owner's name for it; None if there are fewer names than lines."""
    leak: bool | None = None
    """None for a line with a meter, which cannot detect leaks."""
    kind: LineKind | str | None = None
    """What is wired to it, on a ProW+."""


@model
class SlotCounter:
    """A water meter in an expansion slot, from the module's configuration."""

    line: int | None = None
    value_l: int | None = None
    """Litres."""
    step_l: int | None = None
    """Litres per pulse."""
    is_on: bool | None = None
    error: str | None = None
    """`none` if all is well."""
    connection_type: str | None = None


@model
class Slot:
    """An expansion slot of a Neptun Smart."""

    number: int | None = None
    type: SlotType | str | None = None
    counters: tuple[SlotCounter, ...] = ()


@model
class LeakModule(Device):
    """The fields that all leak modules have."""

    valve_groups: tuple[ValveGroup, ...] = ()
    """One per zone; just one if the zones are joined."""
    lines: tuple[WiredLine, ...] = ()
    floor_washing: bool | None = None
    """While on, a leak does not close the valves."""
    closes_valves_for_lost_sensor: bool | None = None
    sensors_lost: bool | None = None
    """Whether the link to a wireless sensor is lost."""
    sensors_battery_low: bool | None = None

    @property
    def alarm(self) -> bool:
        """Whether there is a leak, in any zone or on any line."""
        return any(group.alarm for group in self.valve_groups) or any(
            line.leak for line in self.lines
        )


@model
class NeptunProW(LeakModule):
    """Neptun ProW+ WiFi, and the same module sold as Equation ProW+ WiFi. One zone."""

    battery_low: bool | None = None
    """Whether the module's own battery is low."""


@model
class NeptunSmart(LeakModule):
    """Neptun Smart. One zone, or two."""

    grouping: Grouping | str | None = None
    keyboard_blocked: bool | None = None
    adding_sensors: bool | None = None
    """Presumably whether the module is waiting to pair new wireless sensors."""
    closed_for_lost_sensor: tuple[bool | None, bool | None] = (None, None)
    """Whether the valves of group 1 and 2 were closed because a sensor was lost."""
    slots: tuple[Slot, ...] = ()

"""Wireless leak sensors."""

from typing import Final

from ._base import Entity, model

LOW_BATTERY: Final = 10
"""Percent; a battery below this is low, whatever the sensor itself reports."""


@model
class WirelessSensor(Entity):
    """A wireless leak sensor of a module."""

    house_id: int
    device_id: int
    point_id: str
    """Stable within the device. The serial number if there is one (Neptun Smart). Sensors of
    ProW+ modules have none, so it is the line and the name, `2/Shower`, with `#2`, `#3` … added,
    in the source's order, if several share both. Renaming such a sensor makes it a new one."""
    name: str | None = None
    line: int | None = None
    """The zone or line it belongs to; may be shared by several sensors."""
    leak: bool | None = None
    lost: bool | None = None
    """Whether the link to it is lost. On ProW+ modules a signal level of 0 is the only sign."""
    battery: int | None = None
    """As the source reports it: percent, or 0 to 4 from old firmware."""
    battery_percent: int | None = None
    """Percent, or None if `battery` might be a level from old firmware."""
    battery_low: bool | None = None
    signal_level: int | None = None
    """0 to 4. When the link is lost, `battery` keeps its last value, but this does not."""
    serial_number: str | None = None

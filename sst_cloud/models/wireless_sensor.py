"""Radio leak sensors."""

from typing import Final

from ._base import Entity, model

LOW_BATTERY: Final = 10
"""Percent; a battery under it is low, whatever the sensor itself says."""


@model
class WirelessSensor(Entity):
    """A radio leak sensor of a module."""

    house_id: int
    device_id: int
    point_id: str
    """Stable inside the device. The serial number where there is one (Neptun Smart). Sensors of
    ProW+ modules have none: there it is the line and the name, `2/Shower`, and for those that
    share both, `#2`, `#3` … in the cloud's order. Renaming such a sensor makes it a new one."""
    name: str | None = None
    line: int | None = None
    """The zone or line it belongs to; several sensors may share one."""
    leak: bool | None = None
    lost: bool | None = None
    """Whether the link to it is lost. On ProW+ modules a signal level of 0 is the only sign."""
    battery: int | None = None
    """As the cloud gives it; percent, or 0 to 4 from old firmware."""
    battery_percent: int | None = None
    """Percent, or None where `battery` may as well be a level of old firmware."""
    battery_low: bool | None = None
    signal_level: int | None = None
    """0 to 4; its last value is kept for `battery` when the link is lost, not for this."""
    serial_number: str | None = None

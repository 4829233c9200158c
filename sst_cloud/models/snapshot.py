"""What a source knows at one moment."""

from datetime import datetime, timedelta

import attrs

from ._base import model
from ._notebook import NotebookView
from .counter import Counter
from .device import Device
from .house import House
from .listing import Unreadable
from .wireless_sensor import WirelessSensor


@model
class Snapshot(NotebookView):
    """Everything that one poll read; flat, linked by `house_id` and `device_id`."""

    time: datetime
    """When the source was asked, UTC."""
    houses: tuple[House, ...] = ()
    devices: tuple[Device, ...] = ()
    counters: tuple[Counter, ...] = ()
    wireless_sensors: tuple[WirelessSensor, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    source: str = attrs.field(default="", repr=False)
    """The name of the source."""
    refresh: timedelta | None = attrs.field(default=None, repr=False)
    """How often the source can know something new, and so how old a total may be."""
    empty_hint: str = attrs.field(default="", repr=False)
    """What may be the reason if there are no houses."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What is missing, in words."""
        if not self.houses and not self.unreadable:
            hint = f"; {self.empty_hint}" if self.empty_hint else ""
            return (f"{self.source or 'the source'} has no houses{hint}",)
        return tuple(
            f"{item.kind} {item.id} cannot be read: {item.reason}" for item in self.unreadable
        )

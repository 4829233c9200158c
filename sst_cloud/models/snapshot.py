"""What a source knows at one moment."""

from datetime import datetime

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

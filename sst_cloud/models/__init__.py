"""Houses, devices, meters and what else a source has. They know nothing of JSON or HTTP."""

from ._base import Entity
from .counter import Counter
from .device import Device, TimeSetting, UnknownDevice
from .group import Group
from .house import House, Workdays
from .leak_module import (
    LeakModule,
    NeptunProW,
    NeptunSmart,
    Slot,
    SlotCounter,
    ValveGroup,
    WiredLine,
)
from .listing import Listing, Unreadable
from .network import Network
from .news import News
from .snapshot import Snapshot
from .thermostat import Schedule, ScheduleEntry, Thermostat
from .user import Profile, User
from .wireless_sensor import WirelessSensor

__all__ = [
    "Counter",
    "Device",
    "Entity",
    "Group",
    "House",
    "LeakModule",
    "Listing",
    "NeptunProW",
    "NeptunSmart",
    "Network",
    "News",
    "Profile",
    "Schedule",
    "ScheduleEntry",
    "Slot",
    "SlotCounter",
    "Snapshot",
    "Thermostat",
    "TimeSetting",
    "UnknownDevice",
    "Unreadable",
    "User",
    "ValveGroup",
    "WiredLine",
    "WirelessSensor",
    "Workdays",
]

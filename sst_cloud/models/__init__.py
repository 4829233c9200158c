"""The objects of a cloud account. They know no JSON and no HTTP."""

from ._base import Entity
from .counter import Counter
from .device import Device, TimeSetting
from .house import House, Workdays
from .listing import Listing, Unreadable
from .snapshot import Snapshot
from .user import Profile, User

__all__ = [
    "Counter",
    "Device",
    "Entity",
    "House",
    "Listing",
    "Profile",
    "Snapshot",
    "TimeSetting",
    "Unreadable",
    "User",
    "Workdays",
]

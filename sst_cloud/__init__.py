"""SST Cloud as typed objects, and sinks for its readings.

async with SSTCloud(PasswordAuth("me@example.com", "...")) as cloud:
    snapshot = await cloud.snapshot()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ._version import __version__

if TYPE_CHECKING:
    from .auth import Auth, PasswordAuth, StoredTokenAuth, TokenAuth
    from .client import SSTCloud
    from .clock import Clock, ManualClock, SystemClock
    from .commands import CommandResult
    from .enums import (
        AccessStatus,
        DeviceType,
        Grouping,
        LineKind,
        Point,
        Quality,
        Quantity,
        SlotType,
        TemperatureSensor,
        ThermostatMode,
        ValveState,
        Water,
    )
    from .errors import (
        AccessDeniedError,
        AlarmActiveError,
        ApiError,
        AuthenticationError,
        BadCredentialsError,
        CommandError,
        CommandRejectedError,
        ConnectionFailedError,
        NotFoundError,
        PayloadError,
        RateLimitedError,
        RequestTimeoutError,
        ServiceUnavailableError,
        SinkError,
        SinkOptionsError,
        SinkRefusedError,
        SinkUnavailableError,
        SSTCloudError,
        TokenRejectedError,
        TransportError,
        UnknownSinkError,
    )
    from .measurements import readings_from
    from .models import (
        Counter,
        Device,
        Group,
        House,
        LeakModule,
        Listing,
        NeptunProW,
        NeptunSmart,
        Network,
        News,
        Profile,
        Schedule,
        ScheduleEntry,
        Slot,
        SlotCounter,
        Snapshot,
        Thermostat,
        TimeSetting,
        UnknownDevice,
        Unreadable,
        User,
        ValveGroup,
        WiredLine,
        WirelessSensor,
        Workdays,
    )
    from .readings import Reading
    from .sink import History, Rejection, Sink, WriteReport, installed_sinks, open_sink
    from .source import Source

_HOMES: Final = {
    "auth": ("Auth", "PasswordAuth", "StoredTokenAuth", "TokenAuth"),
    "client": ("SSTCloud",),
    "clock": ("Clock", "ManualClock", "SystemClock"),
    "commands": ("CommandResult",),
    "enums": (
        "AccessStatus",
        "DeviceType",
        "Grouping",
        "LineKind",
        "Point",
        "Quality",
        "Quantity",
        "SlotType",
        "TemperatureSensor",
        "ThermostatMode",
        "ValveState",
        "Water",
    ),
    "errors": (
        "AccessDeniedError",
        "AlarmActiveError",
        "ApiError",
        "AuthenticationError",
        "BadCredentialsError",
        "CommandError",
        "CommandRejectedError",
        "ConnectionFailedError",
        "NotFoundError",
        "PayloadError",
        "RateLimitedError",
        "RequestTimeoutError",
        "SSTCloudError",
        "ServiceUnavailableError",
        "SinkError",
        "SinkOptionsError",
        "SinkRefusedError",
        "SinkUnavailableError",
        "TokenRejectedError",
        "TransportError",
        "UnknownSinkError",
    ),
    "measurements": ("readings_from",),
    "models": (
        "Counter",
        "Device",
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
    ),
    "readings": ("Reading",),
    "sink": ("History", "Rejection", "Sink", "WriteReport", "installed_sinks", "open_sink"),
    "source": ("Source",),
}
"""Module → public names. A module is imported when one of its names is asked for: a sink or a
notebook that wants a `Reading` does not pay for the client."""
_HOME_OF: Final = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AccessDeniedError",
    "AccessStatus",
    "AlarmActiveError",
    "ApiError",
    "Auth",
    "AuthenticationError",
    "BadCredentialsError",
    "Clock",
    "CommandError",
    "CommandRejectedError",
    "CommandResult",
    "ConnectionFailedError",
    "Counter",
    "Device",
    "DeviceType",
    "Group",
    "Grouping",
    "History",
    "House",
    "LeakModule",
    "LineKind",
    "Listing",
    "ManualClock",
    "NeptunProW",
    "NeptunSmart",
    "Network",
    "News",
    "NotFoundError",
    "PasswordAuth",
    "PayloadError",
    "Point",
    "Profile",
    "Quality",
    "Quantity",
    "RateLimitedError",
    "Reading",
    "Rejection",
    "RequestTimeoutError",
    "SSTCloud",
    "SSTCloudError",
    "Schedule",
    "ScheduleEntry",
    "ServiceUnavailableError",
    "Sink",
    "SinkError",
    "SinkOptionsError",
    "SinkRefusedError",
    "SinkUnavailableError",
    "Slot",
    "SlotCounter",
    "SlotType",
    "Snapshot",
    "Source",
    "StoredTokenAuth",
    "SystemClock",
    "TemperatureSensor",
    "Thermostat",
    "ThermostatMode",
    "TimeSetting",
    "TokenAuth",
    "TokenRejectedError",
    "TransportError",
    "UnknownDevice",
    "UnknownSinkError",
    "Unreadable",
    "User",
    "ValveGroup",
    "ValveState",
    "Water",
    "WiredLine",
    "WirelessSensor",
    "Workdays",
    "WriteReport",
    "__version__",
    "installed_sinks",
    "open_sink",
    "readings_from",
]


if not TYPE_CHECKING:  # a type checker is to see the names above, and no others

    def __getattr__(name: str) -> Any:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
        return value


def __dir__() -> list[str]:
    return __all__

"""SST Cloud as typed objects, and sinks for its readings.

async with SSTCloud(PasswordAuth("me@example.com", "...")) as cloud:
    snapshot = await cloud.snapshot()
"""

from ._version import __version__
from .auth import Auth, PasswordAuth, StoredTokenAuth, TokenAuth
from .client import SSTCloud
from .clock import Clock, ManualClock, SystemClock
from .enums import AccessStatus, DeviceType, Point, Quality, Quantity, Water
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
from .models import (
    Counter,
    Device,
    House,
    Listing,
    Profile,
    Snapshot,
    TimeSetting,
    Unreadable,
    User,
    Workdays,
)
from .readings import Reading, readings_from
from .sink import History, Rejection, Sink, WriteReport, installed_sinks, open_sink
from .source import Source

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
    "ConnectionFailedError",
    "Counter",
    "Device",
    "DeviceType",
    "History",
    "House",
    "Listing",
    "ManualClock",
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
    "ServiceUnavailableError",
    "Sink",
    "SinkError",
    "SinkOptionsError",
    "SinkRefusedError",
    "SinkUnavailableError",
    "Snapshot",
    "Source",
    "StoredTokenAuth",
    "SystemClock",
    "TimeSetting",
    "TokenAuth",
    "TokenRejectedError",
    "TransportError",
    "UnknownSinkError",
    "Unreadable",
    "User",
    "Water",
    "Workdays",
    "WriteReport",
    "__version__",
    "installed_sinks",
    "open_sink",
    "readings_from",
]

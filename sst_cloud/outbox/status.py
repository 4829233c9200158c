"""The collector's status, as it is printed and served as metrics."""

from datetime import datetime
from enum import StrEnum

import attrs


class Stream(StrEnum):
    """What the outbox stores separately, with separate cursors."""

    READINGS = "readings"
    EVENTS = "events"


class DeliveryState(StrEnum):
    """What a consumer of the outbox is doing."""

    DELIVERING = "delivering"
    """Everything is delivered, or being delivered."""
    RETRYING = "retrying"
    """The last attempt failed; it will be retried."""
    PAUSED = "paused"
    """Refused until something is fixed; retried after an hour, or on request."""
    REMOVED = "removed"
    """No longer configured in the running collector; nothing waits for it."""


@attrs.frozen(kw_only=True)
class SinkStatus:
    """The status of one consumer: a sink or an event handler. Times are UTC."""

    name: str
    """The URL of the sink, or the command or URL of the handler; without secrets."""
    stream: Stream = Stream.READINGS
    state: DeliveryState = DeliveryState.DELIVERING
    waiting: int = 0
    """How many are committed but not delivered yet: its lag."""
    oldest: datetime | None = None
    """When the oldest of those was committed."""
    delivered: int = 0
    rejected: int = 0
    """Permanently rejected: readings go to the dead letters."""
    dropped: int = 0
    """Dropped from the outbox before they could be delivered."""
    last_success: datetime | None = None
    error: str | None = None
    """Why the last attempt failed; None if it did not."""
    error_since: datetime | None = None
    next_try: datetime | None = None


@attrs.frozen(kw_only=True)
class Status:
    """The status of a collector. Times are UTC."""

    last_poll: datetime | None = None
    """The last poll, successful or not."""
    last_success: datetime | None = None
    """The last successful poll."""
    source_error: str | None = None
    """Why the last poll failed; None if it did not."""
    source_error_since: datetime | None = None
    polls: int = 0
    failed_polls: int = 0
    readings: int = 0
    """How many have been committed since the outbox was created."""
    lost: int = 0
    """Readings lost because first the disk and then the memory was full."""
    size: int = 0
    """Size of the outbox's contents in bytes."""
    sinks: tuple[SinkStatus, ...] = ()

"""How a collector fares: what `sst-cloud status` prints and `--metrics` serves."""

from datetime import datetime
from enum import StrEnum

import attrs


class Stream(StrEnum):
    """What the outbox keeps in a row of its own, with cursors of its own."""

    READINGS = "readings"
    EVENTS = "events"


class Course(StrEnum):
    """What a consumer of the outbox is doing."""

    FLOWING = "flowing"
    """All is delivered, or is just being delivered."""
    RETRYING = "retrying"
    """The last try failed; there will be another."""
    PAUSED = "paused"
    """Refused, until somebody mends something; tried again after an hour, or when told."""
    REMOVED = "removed"
    """Not among those of the running collector; it does not hold anything up."""


@attrs.frozen(kw_only=True)
class SinkStatus:
    """How one consumer fares: a sink, or a handler of events. Times are UTC."""

    name: str
    """The sink's URL; secrets are never in it."""
    stream: Stream = Stream.READINGS
    course: Course = Course.FLOWING
    waiting: int = 0
    """How many are committed and not delivered yet: its lag."""
    oldest: datetime | None = None
    """When the oldest of those was committed."""
    delivered: int = 0
    rejected: int = 0
    """Rejected for good: in the dead letters."""
    dropped: int = 0
    """Fell out of the bounded outbox before they could be delivered."""
    last_success: datetime | None = None
    error: str | None = None
    """Why the last try failed; None when it did not."""
    error_since: datetime | None = None
    next_try: datetime | None = None


@attrs.frozen(kw_only=True)
class Status:
    """How a collector fares. Times are UTC."""

    last_poll: datetime | None = None
    """The last try, whatever came of it."""
    last_success: datetime | None = None
    """When the source last answered."""
    source_error: str | None = None
    """Why the last poll failed; None when it did not."""
    source_error_since: datetime | None = None
    polls: int = 0
    failed_polls: int = 0
    readings: int = 0
    """How many have been committed since the outbox was made."""
    lost: int = 0
    """Readings for which neither the disk had room nor, in the end, memory."""
    size: int = 0
    """Bytes of what the outbox holds."""
    sinks: tuple[SinkStatus, ...] = ()

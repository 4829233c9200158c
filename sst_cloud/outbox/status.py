"""The collector's status, as it is printed and served as metrics."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

from sst_cloud.monitoring.state_json import parse, parse_rows, parse_time
from sst_cloud.readings import format_time


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
class SourceStatus:
    """The status of one source. Times are UTC."""

    name: str
    last_success: datetime | None = None
    """When it last answered."""
    error: str | None = None
    """Why it did not answer when it was last asked; None if it did."""
    error_since: datetime | None = None

    def after_poll(self, time: datetime, error: str | None) -> "SourceStatus":
        """The status after it has been asked again."""
        if error is None:
            return SourceStatus(name=self.name, last_success=time)
        since = time if self.error is None else self.error_since
        return attrs.evolve(self, error=error, error_since=since)


@attrs.frozen(kw_only=True)
class Status:
    """The status of a collector. Times are UTC."""

    last_poll: datetime | None = None
    """The last poll, successful or not."""
    last_success: datetime | None = None
    """The last successful poll."""
    sources: tuple[SourceStatus, ...] = ()
    """Each source, in the order in which they are asked."""
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


def sources_note(statuses: Iterable[SourceStatus]) -> str:
    """The note that `sources_from` reads."""
    rows = [
        [
            status.name,
            status.last_success and format_time(status.last_success),
            status.error,
            status.error_since and format_time(status.error_since),
        ]
        for status in statuses
    ]
    return json.dumps(rows, ensure_ascii=False)


def sources_from(notes: Mapping[str, str]) -> tuple[SourceStatus, ...]:
    """The sources in the notes, as far as they can be read."""
    return tuple(parse_rows(_source_status, parse(notes.get("sources", ""))))


def _source_status(row: Any) -> SourceStatus:
    name, last_success, error, error_since = row
    return SourceStatus(
        name=str(name),
        last_success=parse_time(last_success),
        error=None if error is None else str(error),
        error_since=parse_time(error_since),
    )

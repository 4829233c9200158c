"""What goes into the outbox and comes out of it, and its limits."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import attrs

from sst_cloud.monitoring.events import Event
from sst_cloud.readings import FIELDS, Reading, format_time

from .status import Stream

T = TypeVar("T")

_compact_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_fields_after_time: Final = attrgetter(*FIELDS[1:])


class Start(StrEnum):
    """Where a new sink starts."""

    NOW = "now"
    BEGINNING = "beginning"
    """With the oldest reading still in the outbox."""


@attrs.frozen(kw_only=True)
class Limits:
    """Limits of the outbox. Undelivered entries that are dropped are counted and logged."""

    size: int = 512_000_000
    """Bytes; beyond this the oldest entries are dropped, delivered or not."""
    age: timedelta = timedelta(days=365)
    """How long undelivered entries are kept."""
    keep: timedelta = timedelta(days=7)
    """How long delivered entries are kept, for sinks added later with `Start.BEGINNING`."""


@attrs.frozen
class Batch(Generic[T]):
    """The next entries for a consumer."""

    items: Sequence[T]
    upto: int
    """The number of the last entry."""
    unreadable: int = 0
    """How many entries are unreadable and were skipped."""

    @property
    def size(self) -> int:
        """How many entries of the outbox it covers."""
        return len(self.items) + self.unreadable


@attrs.frozen
class Commit:
    """What is committed in one transaction."""

    readings: Sequence[Reading] = ()
    events: Sequence[Event] = ()
    notes: Mapping[str, str] = attrs.field(factory=dict)
    """Texts to store, by name: the states of validation and alarms, the houses, poll statistics."""


def encode(item: Reading | Event) -> bytes:
    """A reading or an event as the outbox stores it."""
    if isinstance(item, Event):
        return as_utf8(_compact_json(item.as_dict()))
    return as_utf8(_compact_json((format_time(item.time), *_fields_after_time(item))))


def decode(stream: Stream, record: bytes) -> Any:
    """The reading or the event; None if it cannot be read."""
    try:
        content = json.loads(record.decode())
        if stream is Stream.READINGS:
            return Reading.from_dict(dict(zip(FIELDS, content, strict=True)))
        return Event.from_dict(content)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return None


def as_utf8(text: str) -> bytes:
    """A text in UTF-8; lone surrogates from JSON or file names become `?`."""
    return text.encode("utf-8", "replace")

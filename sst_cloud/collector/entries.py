"""What goes into the outbox and comes out of it, and its limits."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Generic, TypeVar

import attrs

from sst_cloud.readings import Reading

from .events import Event

T = TypeVar("T")


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
class Entry:
    """What is committed in one transaction."""

    readings: Sequence[Reading] = ()
    events: Sequence[Event] = ()
    notes: Mapping[str, str] = attrs.field(factory=dict)
    """Texts to keep, by name: the states of judge and watch, the houses, poll statistics."""

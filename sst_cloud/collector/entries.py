"""What goes into the outbox and comes out of it, and what bounds it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Generic, TypeVar

import attrs

from sst_cloud.readings import Reading

from .events import Event

T = TypeVar("T")


class Start(StrEnum):
    """Where a sink begins that the outbox has not seen before."""

    NOW = "now"
    BEGINNING = "beginning"
    """With the oldest reading that is still kept."""


@attrs.frozen(kw_only=True)
class Limits:
    """What bounds the outbox. What is dropped undelivered is counted and logged."""

    size: int = 512_000_000
    """Bytes; then the oldest entries go, delivered or not."""
    age: timedelta = timedelta(days=365)
    """How long what cannot be delivered is kept."""
    keep: timedelta = timedelta(days=7)
    """How long what has been delivered is kept, for sinks that begin at the beginning."""


@attrs.frozen
class Batch(Generic[T]):
    """The next entries for a consumer."""

    items: Sequence[T]
    upto: int
    """The number of the last of them."""
    unreadable: int = 0
    """How many of them cannot be read any more and are left out."""

    @property
    def size(self) -> int:
        """How many entries it takes from the outbox."""
        return len(self.items) + self.unreadable


@attrs.frozen
class Entry:
    """What is committed in one go, all of it or nothing."""

    readings: Sequence[Reading] = ()
    events: Sequence[Event] = ()
    notes: Mapping[str, str] = attrs.field(factory=dict)
    """Texts to keep, by name: the states of judge and watch, the houses, how the polls fare."""

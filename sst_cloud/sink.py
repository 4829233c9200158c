"""The port for stores: whatever takes readings, and may give them back."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import ClassVar, Protocol, Self, runtime_checkable

import attrs

from .plugin_url import Option, SinkURL, choice, flag, retention
from .quantities import Quantity
from .readings import Reading

__all__ = [
    "CheckedHistory",
    "Guarantee",
    "History",
    "Option",
    "Provisioned",
    "Rejection",
    "Sink",
    "SinkType",
    "SinkURL",
    "WarmUp",
    "WriteReport",
    "choice",
    "flag",
    "retention",
]


@attrs.frozen
class Rejection:
    """A reading that the store will never accept, and why."""

    reading: Reading
    reason: str


@attrs.frozen
class WriteReport:
    """The outcome of one write."""

    accepted: int = 0
    rejected: tuple[Rejection, ...] = ()


class Sink(Protocol):
    """Stores readings; an async context manager."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None: ...

    async def check(self) -> None:
        """Check whether writing would work, without writing. Raises as `write` does."""
        ...

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Store readings; accepted ones are durable when this returns.

        Raises `SinkUnavailableError` (retry) or `SinkRefusedError` (do not retry) if the whole
        write failed. Readings rejected individually are in the report.
        """
        ...


@runtime_checkable
class History(Protocol):
    """A sink that can be read."""

    def read(
        self, quantity: Quantity, since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[Reading]:
        """Readings of one quantity with `since` <= time < `until`, oldest first."""
        ...

    async def latest(self) -> Sequence[Reading]:
        """The newest reading of every series."""
        ...


@runtime_checkable
class WarmUp(Protocol):
    """A sink that is slow to set up, and can start early, in the background."""

    async def warm_up(self) -> None:
        """Do what the first write would otherwise have to do."""
        ...


@runtime_checkable
class Provisioned(Protocol):
    """A sink that can create its store; `StoreMissingError` says that there is none."""

    async def provision(self) -> Sequence[str]:
        """Create what is missing, and keep what there is; returns a message for each step."""
        ...


@runtime_checkable
class CheckedHistory(Protocol):
    """A history that can distinguish a missing store from an empty one."""

    async def check_readable(self) -> None:
        """Raise `SinkRefusedError` if the store does not exist or contains something else."""
        ...


class Guarantee(StrEnum):
    """What happens when a reading is written twice."""

    IDEMPOTENT = "a reading written again changes nothing"
    APPENDS = "a reading written again is stored again"
    FLEETING = "nothing is kept"


class SinkType(Protocol):
    """What an entry point of the group refers to; usually the sink's class.

    It may also have `secrets`, a sequence of the names that its sinks look up in `SinkURL.secrets`:
    commands that the collector runs do not get them.
    """

    target: ClassVar[str]
    """What follows the colon, for display: `PATH`, `DATABASE/TABLE`, or empty."""
    options: ClassVar[Sequence[Option]]
    guarantee: ClassVar[Guarantee]

    @classmethod
    def from_url(cls, url: SinkURL) -> Sink:
        """Create a sink from its URL, without opening anything. Raises `SinkOptionsError`."""
        ...

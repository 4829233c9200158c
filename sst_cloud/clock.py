"""Time as a parameter: the system's clock, and one that moves only when told to."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the library asks of time."""

    def now(self) -> datetime:
        """The present moment, timezone-aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of this clock."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Sleep for real."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock for tests and demonstrations: sleeping moves it on and takes no time."""

    def __init__(self, start: datetime | None = None) -> None:
        start = start or datetime(2026, 1, 1, tzinfo=UTC)
        if start.tzinfo is None:
            raise ValueError("the start of a clock must be timezone-aware")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """The moment this clock was moved to."""
        return self._now

    def advance(self, by: timedelta | float) -> None:
        """Move on by a timedelta, or by seconds."""
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)

    async def sleep(self, seconds: float) -> None:
        """Move on by so many seconds and let other tasks run."""
        self.advance(seconds)
        await asyncio.sleep(0)

"""Time as a parameter: the system's clock, and one that moves only when told to."""

import asyncio
from bisect import insort
from datetime import UTC, datetime, timedelta
from itertools import count
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
    """A clock for tests and demonstrations: sleeping moves it on and takes no time.

    Of several that sleep, the one whose time comes first moves it on, and the others sleep on.
    """

    def __init__(self, start: datetime | None = None) -> None:
        start = start or datetime(2026, 1, 1, tzinfo=UTC)
        if start.tzinfo is None:
            raise ValueError("the start of a clock must be timezone-aware")
        self._now = start.astimezone(UTC)
        self._sleepers: list[tuple[datetime, int]] = []
        """When they wake, soonest first; told apart by a number."""
        self._numbers = count()

    def now(self) -> datetime:
        """The moment this clock was moved to."""
        return self._now

    def advance(self, by: timedelta | float) -> None:
        """Move on by a timedelta, or by seconds."""
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)

    def _is_held(self) -> bool:
        """Whether the clock has to stand still for now; for clocks that know of work under way."""
        return False

    async def sleep(self, seconds: float) -> None:
        """Move on by so many seconds, as soon as nobody is left who wakes before, and return."""
        sleeper = self._now + timedelta(seconds=seconds), next(self._numbers)
        insort(self._sleepers, sleeper)
        try:
            await asyncio.sleep(0)
            while self._sleepers[0] != sleeper or self._is_held():  # noqa: ASYNC110
                await asyncio.sleep(0)
            self._now = max(self._now, sleeper[0])
        finally:
            self._sleepers.remove(sleeper)

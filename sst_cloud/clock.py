"""Clocks, passed as parameters: the system's, and one for tests that is advanced by hand."""

import asyncio
from bisect import insort
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol


class Clock(Protocol):
    """The library's only source of time."""

    def now(self) -> datetime:
        """The current time, timezone-aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds of this clock."""
        ...


class SystemClock:
    """The system clock."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Sleep in real time."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock for tests and demos: sleeping advances it and takes no real time.

    If several tasks sleep, the one that is due first advances it; the others keep sleeping.
    """

    def __init__(self, start: datetime | None = None) -> None:
        start = start or datetime(2026, 1, 1, tzinfo=UTC)
        if start.tzinfo is None:
            raise ValueError("the start time of a clock must be timezone-aware")
        self._now = start.astimezone(UTC)
        self._sleepers: list[tuple[datetime, int]] = []
        """Wake-up times, soonest first, with a number as tie-breaker."""
        self._numbers = count()

    def now(self) -> datetime:
        """The time this clock shows."""
        return self._now

    def advance(self, by: timedelta | float) -> None:
        """Advance by a timedelta, or by seconds."""
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)

    def _is_held(self) -> bool:
        """Whether the clock must not advance now; for subclasses that know of work in progress."""
        return False

    async def sleep(self, seconds: float) -> None:
        """Advance by this many seconds, once no other sleeper is due earlier, and return."""
        sleeper = self._now + timedelta(seconds=seconds), next(self._numbers)
        insort(self._sleepers, sleeper)
        try:
            await asyncio.sleep(0)
            while self._sleepers[0] != sleeper or self._is_held():  # noqa: ASYNC110
                await asyncio.sleep(0)
            self._now = max(self._now, sleeper[0])
        finally:
            self._sleepers.remove(sleeper)


async def sleep_unless(clock: Clock, seconds: float, *events: asyncio.Event) -> None:
    """Sleep for this many seconds, or until one of the events is set."""
    if any(event.is_set() for event in events):
        return
    waits = [asyncio.create_task(_until(event)) for event in events]
    waits.append(asyncio.create_task(clock.sleep(seconds)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _until(event: asyncio.Event) -> None:
    await event.wait()

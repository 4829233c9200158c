"""Commits readings to the outbox, and holds them in memory while the disk is full."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from sst_cloud.errors import OutboxError
from sst_cloud.readings import Reading
from sst_cloud.wording import count

from .courier import Courier
from .entries import Entry
from .events import Event
from .outbox import Outbox
from .status import Stream

_log = logging.getLogger(__name__)

_MOST_HELD: Final = 20_000
"""Readings held in memory while the disk is full, and as many events."""
_DELIVERIES: Final = 10.0
"""Seconds for which a clean-up waits for deliveries."""


class Keeper:
    """Commits the result of each poll, and notifies the couriers."""

    def __init__(self, outbox: Outbox, couriers: Sequence[Courier]) -> None:
        self.error: OutboxError | None = None
        """Why the last commit failed; None if it did not."""
        self._outbox = outbox
        self._couriers = couriers
        self._held = Entry()
        """Not committed yet."""
        self._lost = 0
        self._lost_events = 0
        """Beyond what memory holds, since the outbox can no longer be written."""
        self._committing: asyncio.Task[bool] | None = None
        self._tidying: asyncio.Task[None] | None = None

    async def keep(
        self, readings: Sequence[Reading], events: Sequence[Event], notes: dict[str, str]
    ) -> bool:
        """Commit this and anything still uncommitted; returns whether it is now on disk.

        It continues if the caller is cancelled: what is held in memory is released only once it
        is on disk. What does not fit in memory is counted in the note `lost`.
        """
        held = [*self._held.readings, *readings]
        held_events = [*self._held.events, *events]
        if lost := _too_many(held, "readings"):
            notes["lost"] = str(lost + int(notes.get("lost", 0)))
        self._lost += lost
        self._lost_events += _too_many(held_events, "events")
        self._held = Entry(held[-_MOST_HELD:], held_events[-_MOST_HELD:], notes)
        self._committing = asyncio.create_task(self._commit(events))
        return await asyncio.shield(self._committing)

    @property
    def loss(self) -> OutboxError | None:
        """What would be lost if the program ended now; None if everything is on disk."""
        readings = len(self._held.readings) + self._lost
        events = len(self._held.events) + self._lost_events
        if not (readings or events):
            return None
        reason = self.error or "the outbox could not be written in time"
        verb = "is" if readings + events == 1 else "are"
        return OutboxError(f"{_in_words(readings, events)} {verb} lost: {reason}")

    async def save(self, notes: dict[str, str]) -> None:
        """Finish the commit in progress, and retry once if it or the last one has failed.

        Raises `OutboxError` if what is held in memory will be lost.
        """
        if self._committing is not None:
            await asyncio.wait({self._committing})
        if self.error is not None or self.loss is not None:
            await self.keep((), (), notes)
        if (loss := self.loss) is not None:
            raise loss

    async def end(self) -> None:
        """Finish the clean-up."""
        if self._tidying is not None and not self._tidying.done():
            self._tidying.cancel()
            await asyncio.wait({self._tidying})
            await self._tidy()

    async def _commit(self, news: Sequence[Event]) -> bool:
        try:
            await self._outbox.append(self._held)
        except OutboxError as error:
            if self.error is None:
                _log.error("%s; readings are held in memory, retrying at every poll", error)
            self.error = error
            for courier in self._couriers:
                if courier.stream is Stream.EVENTS:
                    courier.hand_over_now(news)
            await self._tidy()  # this may free some space
            return False
        self._held = Entry()
        if self.error is not None:
            _log.warning(
                "the outbox can be written again; %s were lost in the meantime",
                _in_words(self._lost, self._lost_events) or "no readings",
            )
        self.error, self._lost, self._lost_events = None, 0, 0
        for courier in self._couriers:
            courier.tell()
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._tidy_after_deliveries())
        return True

    async def _tidy_after_deliveries(self) -> None:
        """Clean up when it holds up neither a poll nor, for long, a delivery."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DELIVERIES):
                await asyncio.gather(*(courier.rest() for courier in self._couriers))
        await self._tidy()

    async def _tidy(self) -> None:
        try:
            await self._outbox.tidy()
        except OutboxError as error:
            _log.debug("clean-up failed: %s", error)


def _too_many(held: Sequence[object], what: str) -> int:
    """How many are more than memory is reserved for."""
    if (lost := max(0, len(held) - _MOST_HELD)) > 0:
        _log.error(
            "%d %s are lost: the disk is full, and so is the memory reserved for them", lost, what
        )
    return lost


def _in_words(readings: int, events: int) -> str:
    numbers = ((readings, "reading"), (events, "event"))
    return " and ".join(count(number, noun) for number, noun in numbers if number)

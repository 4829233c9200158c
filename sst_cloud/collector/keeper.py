"""Commits readings to the outbox, and holds them in memory while the disk is full."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from sst_cloud.errors import OutboxError
from sst_cloud.readings import Reading

from .courier import Courier
from .entries import Entry
from .events import Event
from .outbox import Outbox
from .status import Stream

_log = logging.getLogger(__name__)

_MOST_HELD: Final = 20_000
"""Readings held in memory while the disk is full."""
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
        """Readings, since the outbox can no longer be written."""
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
        if (lost := len(held) - _MOST_HELD) > 0:
            _log.error(
                "%d readings are lost: the disk is full, and so is the memory reserved for them",
                lost,
            )
            self._lost += lost
            notes["lost"] = str(lost + int(notes.get("lost", 0)))
        all_events = [*self._held.events, *events]
        self._held = Entry(held[-_MOST_HELD:], all_events[-_MOST_HELD:], notes)
        self._committing = asyncio.create_task(self._commit(events))
        return await asyncio.shield(self._committing)

    async def end(self, notes: dict[str, str]) -> None:
        """Finish what is in progress, and retry once if the last commit has failed."""
        if self._committing is not None:
            await asyncio.wait({self._committing})
        if self.error is not None and not await self.keep((), (), notes) and self._held.readings:
            _log.error(
                "%d readings are lost: they could not be written to disk", len(self._held.readings)
            )
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
                "the outbox can be written again; %s readings were lost in the meantime",
                self._lost or "no",
            )
        self.error, self._lost = None, 0
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

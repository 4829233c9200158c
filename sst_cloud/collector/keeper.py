"""Has the outbox keep what is read, and holds it in memory while the disk takes none."""

import asyncio
import logging
from collections.abc import Sequence
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


class Keeper:
    """Commits what each poll has brought, and tells the couriers."""

    def __init__(self, outbox: Outbox, couriers: Sequence[Courier]) -> None:
        self.error: OutboxError | None = None
        """Why the outbox took nothing at the last try; None when it did."""
        self._outbox = outbox
        self._couriers = couriers
        self._held = Entry()
        """Not committed yet."""
        self._committing: asyncio.Task[bool] | None = None

    async def keep(
        self, readings: Sequence[Reading], events: Sequence[Event], notes: dict[str, str]
    ) -> bool:
        """Commit this and what could not be committed before; whether it is on the disk now.

        It goes on if nobody waits for it any more: what is held is let go only when it is there.
        What there is no room for is counted in the note `lost`.
        """
        held = [*self._held.readings, *readings]
        if (lost := len(held) - _MOST_HELD) > 0:
            _log.error("%d readings are lost: neither disk nor memory has room for them", lost)
            notes["lost"] = str(lost + int(notes.get("lost", 0)))
        all_events = [*self._held.events, *events]
        self._held = Entry(held[-_MOST_HELD:], all_events[-_MOST_HELD:], notes)
        self._committing = asyncio.create_task(self._commit(events))
        return await asyncio.shield(self._committing)

    async def end(self, notes: dict[str, str]) -> None:
        """Come to the end of a commit under way, and try once more if it has failed."""
        if self._committing is not None:
            await asyncio.wait({self._committing})
        if self.error is None:
            return
        if not await self.keep((), (), notes) and self._held.readings:
            _log.error("%d readings are lost: the disk takes none", len(self._held.readings))

    async def _commit(self, news: Sequence[Event]) -> bool:
        try:
            await self._outbox.append(self._held)
        except OutboxError as error:
            if self.error is None:
                _log.error(
                    "%s; what is read is held in memory, and tried again at every turn", error
                )
            self.error = error
            for courier in self._couriers:
                if courier.stream is Stream.EVENTS:
                    courier.hand_over_now(news)
            await self._tidy()  # there may be room if it can be done
            return False
        self._held = Entry()
        if self.error is not None:
            _log.warning("the outbox can be written again; nothing that was read meanwhile is lost")
        self.error = None
        for courier in self._couriers:
            courier.tell()
        await self._tidy()
        return True

    async def _tidy(self) -> None:
        try:
            await self._outbox.tidy()
        except OutboxError as error:
            _log.debug("not tidied: %s", error)

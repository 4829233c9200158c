"""Commits polls to the outbox, holds them in memory while the disk is full, and tidies up."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from sst_cloud.errors import OutboxError
from sst_cloud.monitoring.events import Event
from sst_cloud.outbox.delivery import Delivery
from sst_cloud.outbox.entries import Commit
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.outbox.status import Stream
from sst_cloud.readings import Reading
from sst_cloud.wording import count

_log = logging.getLogger(__name__)

_MAX_HELD: Final = 20_000
"""Most readings held in memory while the disk is full, and as many events."""
_DELIVERY_TIMEOUT: Final = 10.0
"""Most seconds for which a clean-up waits for deliveries."""


class CommitBuffer:
    """Commits the result of each poll, and notifies the deliveries."""

    def __init__(self, outbox: Outbox, deliveries: Sequence[Delivery]) -> None:
        self.error: OutboxError | None = None
        """Why the last commit failed; None if it did not."""
        self._outbox = outbox
        self._deliveries = deliveries
        self._uncommitted = Commit()
        self._lost = 0
        self._lost_events = 0
        """Lost for lack of memory since the last successful commit."""
        self._commit_task: asyncio.Task[bool] | None = None
        self._tidy_task: asyncio.Task[None] | None = None

    async def commit(
        self, readings: Sequence[Reading], events: Sequence[Event], notes: dict[str, str]
    ) -> bool:
        """Commit this and anything still uncommitted; returns whether it is now on disk.

        It continues if the caller is cancelled. What does not fit in memory is counted in the
        note `lost`.
        """
        all_readings = [*self._uncommitted.readings, *readings]
        all_events = [*self._uncommitted.events, *events]
        if lost := _count_lost(all_readings, "readings"):
            notes["lost"] = str(lost + int(notes.get("lost", 0)))
        self._lost += lost
        self._lost_events += _count_lost(all_events, "events")
        self._uncommitted = Commit(all_readings[-_MAX_HELD:], all_events[-_MAX_HELD:], notes)
        self._commit_task = asyncio.create_task(self._append(events))
        return await asyncio.shield(self._commit_task)

    @property
    def loss(self) -> OutboxError | None:
        """What would be lost if the program ended now; None if everything is on disk."""
        readings = len(self._uncommitted.readings) + self._lost
        events = len(self._uncommitted.events) + self._lost_events
        if not (readings or events):
            return None
        reason = self.error or "the outbox could not be written in time"
        verb = "is" if readings + events == 1 else "are"
        return OutboxError(f"{_in_words(readings, events)} {verb} lost: {reason}")

    async def save(self, notes: dict[str, str]) -> None:
        """Finish the commit in progress, and retry once if it or the last one has failed.

        Raises `OutboxError` if what is held in memory will be lost.
        """
        if self._commit_task is not None:
            await asyncio.wait({self._commit_task})
        if self.error is not None or self.loss is not None:
            await self.commit((), (), notes)
        if (loss := self.loss) is not None:
            raise loss

    async def end(self) -> None:
        """Finish the clean-up."""
        if self._tidy_task is not None and not self._tidy_task.done():
            self._tidy_task.cancel()
            await asyncio.wait({self._tidy_task})
            await self._tidy()

    async def _append(self, events: Sequence[Event]) -> bool:
        try:
            await self._outbox.append(self._uncommitted)
        except OutboxError as error:
            if self.error is None:
                _log.error("%s; readings are held in memory, retrying at every poll", error)
            self.error = error
            for delivery in self._deliveries:
                if delivery.stream is Stream.EVENTS:
                    delivery.deliver_now(events)
            await self._tidy()  # this may free some space
            return False
        self._uncommitted = Commit()
        if self.error is not None:
            _log.warning(
                "the outbox can be written again; %s were lost in the meantime",
                _in_words(self._lost, self._lost_events) or "no readings",
            )
        self.error, self._lost, self._lost_events = None, 0, 0
        for delivery in self._deliveries:
            delivery.notify()
        if self._tidy_task is None or self._tidy_task.done():
            self._tidy_task = asyncio.create_task(self._tidy_after_deliveries())
        return True

    async def _tidy_after_deliveries(self) -> None:
        """Clean up once everything is delivered, so as not to delay it, or after a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DELIVERY_TIMEOUT):
                await asyncio.gather(*(delivery.wait_idle() for delivery in self._deliveries))
        await self._tidy()

    async def _tidy(self) -> None:
        try:
            await self._outbox.tidy()
        except OutboxError as error:
            _log.debug("clean-up failed: %s", error)


def _count_lost(items: Sequence[object], noun: str) -> int:
    """How many items exceed the reserved memory; they are logged."""
    if (lost := max(0, len(items) - _MAX_HELD)) > 0:
        _log.error(
            "%d %s are lost: the disk is full, and so is the memory reserved for them", lost, noun
        )
    return lost


def _in_words(readings: int, events: int) -> str:
    numbers = ((readings, "reading"), (events, "event"))
    return " and ".join(count(number, noun) for number, noun in numbers if number)

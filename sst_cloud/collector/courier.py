"""Delivery to one consumer of the outbox: in order, with retries, independent of the others."""

import asyncio
import logging
import math
import random as random_module
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Final

import attrs

from sst_cloud.clock import Clock
from sst_cloud.errors import OutboxError, SinkRefusedError, SinkUnavailableError, SSTCloudError

from .consumer import Consumer, one_of_ours, rejections_of
from .dead_letters import DeadLetters
from .entries import Batch
from .outbox import Outbox
from .status import Course, Stream
from .waiting import sleep_unless

_log = logging.getLogger(__name__)

AT_ONCE: Final = 2_000
"""Entries per write."""
_TO_TRY: Final = 50
"""Entries in the first write after a failure: retries may fail for days and should be cheap."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 300.0
"""Backoff in seconds: doubles after each failure, less random jitter."""
LONGEST_ASKED: Final = 86_400.0
"""Longest `Retry-After` honoured, in seconds; anything longer comes from a wrong clock."""
PAUSE: Final = 3_600.0
"""Seconds until an automatic retry after a refusal."""
_PAUSE_OF_ALARMS: Final = 300.0
"""The same for events: an alarm that is an hour late is useless."""
TOO_LONG: Final = 600.0
"""Seconds after which a write that has not finished is logged."""


@attrs.frozen
class _Done:
    """What has been written but not settled yet: dead letters stored, the cursor moved."""

    upto: int
    accepted: int
    rejected: int
    letters: Sequence[Any] = ()


class Courier:
    """Delivers entries from the outbox to one consumer, and moves its cursor there."""

    def __init__(  # noqa: PLR0913  all are needed, or have good defaults
        self,
        name: str,
        consumer: Consumer,
        outbox: Outbox,
        *,
        stream: Stream = Stream.READINGS,
        dead_letters: DeadLetters,
        clock: Clock,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self.name = name
        self.error: SSTCloudError | None = None
        """Why the last attempt failed; None if it did not."""
        self._consumer = consumer
        self._outbox = outbox
        self.stream = stream
        self._dead_letters = dead_letters
        self._clock = clock
        self._random = random
        self._failures = 0
        self._done: _Done | None = None
        self._early: Sequence[Any] = ()
        """To be delivered before it is in the outbox."""
        self._had_early: Sequence[Any] = ()
        """Already delivered, and to be skipped when it comes out of the outbox."""
        self._telling: asyncio.Task[None] | None = None
        self._open = AsyncExitStack()
        self._is_open = False
        self._told = asyncio.Event()
        """There may be something to deliver."""
        self._again = asyncio.Event()
        """A retry was requested."""
        self._rested = asyncio.Event()
        """Everything is delivered, or the last attempt has failed or hangs."""
        self._waiting = False
        """Entries in the next write."""
        self._idle = asyncio.Event()
        """No write is in progress, and everything written is settled."""
        self._idle.set()
        self._ending = False
        self._stuck = False
        """A write hangs."""

    def tell(self) -> None:
        """Notify it that there is something new in the outbox."""
        if not (self._waiting or self._stuck):
            self._rested.clear()
        self._told.set()

    def hand_over_now(self, items: Sequence[Any]) -> None:
        """Deliver these immediately: alarms do not wait for space on a full disk.

        They are skipped when they come out of the outbox later.
        """
        self._early = [*self._early, *items][-AT_ONCE:]
        self.tell()

    def try_again(self) -> None:
        """Retry now."""
        self._again.set()

    async def end(self) -> None:
        """Start no more writes; return when the one in progress has finished and is settled."""
        self._ending = True
        await self._idle.wait()

    async def rest(self) -> None:
        """Return when everything is delivered, or the last attempt has failed or hangs."""
        await self._rested.wait()

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._told.set()
        try:
            while True:
                await self._told.wait()
                self._told.clear()
                self._again.clear()
                wait = await self._deliver_all()
                if wait is not None or not self._told.is_set():
                    self._rested.set()
                if wait is not None:
                    self._waiting = True
                    await sleep_unless(self._clock, wait, self._again)
                    self._waiting = False
                    self._rested.clear()
                    self._told.set()
        finally:
            await self._open.aclose()

    async def _deliver_all(self) -> float | None:
        """Deliver what there is; returns the seconds to wait after a failure, None on success."""
        try:
            await self._deliver_early()
            await self._settle()
            while await self._deliver_some():
                pass
        except Exception as error:  # noqa: BLE001  a third-party sink may raise anything
            return await self._failed(one_of_ours(error, self.name))
        return None

    async def _deliver_early(self) -> None:
        if (early := self._early) and not self._ending:
            self._idle.clear()
            try:
                await self._write(early)
            finally:
                self._idle.set()
            self._had_early = [*self._had_early, *early][-AT_ONCE:]
            self._early = [item for item in self._early if item not in early]
            self._well()

    async def _deliver_some(self) -> bool:
        """Deliver the next batch; returns whether there may be more."""
        most = _TO_TRY if self._failures and self.stream is Stream.READINGS else AT_ONCE
        batch: Batch[Any] = await self._outbox.batch(self.name, self.stream, most)
        if self._ending:
            return False
        if batch.size:
            self._idle.clear()
            try:
                await self._deliver(batch)
            finally:
                self._idle.set()
            self._well()
        return batch.size == most

    async def _deliver(self, batch: Batch[Any]) -> None:
        had = self._had_early
        items = [item for item in batch.items if item not in had] if had else batch.items
        rejected = await self._write(items) if items else ()
        self._had_early = [item for item in had if item not in batch.items]
        self._done = _Done(
            upto=batch.upto,
            accepted=len(batch.items) - len(rejected),
            rejected=len(rejected) + batch.unreadable,
            letters=rejected if self.stream is Stream.READINGS else (),
        )
        await self._settle()

    async def _settle(self) -> None:
        """Store dead letters and move the cursor.

        If the disk is full, only this is retried, not the write.
        """
        if (done := self._done) is None:
            return
        if done.letters:
            now = self._clock.now()
            await asyncio.to_thread(self._dead_letters.add, self.name, done.letters, now)
            self._done = done = attrs.evolve(done, letters=())
        await self._outbox.deliver(
            self.name,
            self.stream,
            done.upto,
            accepted=done.accepted,
            rejected=done.rejected,
        )
        self._done = None

    async def _write(self, items: Sequence[Any]) -> Sequence[Any]:
        """Write, however long it takes; returns what was rejected.

        A hanging thread cannot be cancelled, and a second one would not help.
        """
        loop = asyncio.get_running_loop()
        patience = loop.call_later(TOO_LONG, self._lose_patience)
        try:
            if not self._is_open:
                await self._open.enter_async_context(self._consumer)
                self._is_open = True
            report = await self._consumer.write(items)
        except (Exception, KeyboardInterrupt):
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise SinkUnavailableError("it cancelled its own write") from error
        except BaseException as error:  # a sink must not be able to stop the collector
            raise SinkUnavailableError(f"it raised {type(error).__name__}") from error
        finally:
            patience.cancel()
            self._stuck = False
        rejected = rejections_of(report, items)
        if rejected:
            _log.error(
                "%s rejected %d %s, the first because: %s%s",
                self.name,
                len(rejected),
                self.stream,
                rejected[0].reason,
                "; see `sst-cloud dead-letters list`" if self.stream is Stream.READINGS else "",
            )
        return rejected

    def _lose_patience(self) -> None:
        error = SinkUnavailableError(f"a write has not finished within {TOO_LONG:g} s")
        _log.warning("%s: %s; other sinks are not affected", self.name, error)
        self.error = error
        self._telling = asyncio.create_task(self._note(Course.RETRYING, error, TOO_LONG))
        self._stuck = True
        self._rested.set()

    def _well(self) -> None:
        if self.error is not None:
            _log.warning("%s accepts %s again", self.name, self.stream)
        self.error = None
        self._failures = 0

    async def _failed(self, error: SSTCloudError) -> float:
        """Log the failure once, note it, and return how long to wait."""
        refused = isinstance(error, SinkRefusedError)
        pause = PAUSE if self.stream is Stream.READINGS else _PAUSE_OF_ALARMS
        if self.error is None or isinstance(self.error, SinkRefusedError) != refused:
            if refused:
                _log.error(
                    "%s refused, and is paused for %d min, or until a retry is requested: %s",
                    self.name,
                    pause / 60,
                    error,
                )
            else:
                _log.warning("%s: %s; retrying until it succeeds", self.name, error)
        self.error = error
        wait = pause if refused else self._backoff(error)
        self._failures += 1
        await self._note(Course.PAUSED if refused else Course.RETRYING, error, wait)
        return wait

    def _backoff(self, error: SSTCloudError) -> float:
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(1 + self._failures, 16))
        by_chance = FIRST_WAIT + self._random() * (longest - FIRST_WAIT)
        asked = getattr(error, "retry_after", None)
        if not isinstance(asked, int | float) or math.isnan(asked):
            return by_chance
        return max(min(asked, LONGEST_ASKED), by_chance)

    async def _note(self, course: Course, error: SSTCloudError, wait: float) -> None:
        next_try = self._clock.now() + timedelta(seconds=wait)
        try:
            await self._outbox.fail(self.name, self.stream, course, str(error), next_try)
        except OutboxError as unnoted:
            _log.debug("not noted: %s", unnoted)

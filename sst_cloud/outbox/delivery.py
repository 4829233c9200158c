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

from sst_cloud.clock import Clock, sleep_unless
from sst_cloud.errors import (
    OutboxError,
    SinkClosedError,
    SinkRefusedError,
    SinkUnavailableError,
    SSTCloudError,
)

from .consumer import Consumer, as_library_error, rejections_of
from .dead_letters import DeadLetters
from .entries import Batch
from .outbox import Outbox
from .status import DeliveryState, Stream

_log = logging.getLogger(__name__)

BATCH_SIZE: Final = 2_000
"""Entries per write."""
_RETRY_BATCH_SIZE: Final = 50
"""Entries in the first write after a failure: retries may fail for days and should be cheap."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 300.0
"""Backoff in seconds: doubles after each failure, less random jitter."""
LONGEST_RETRY_AFTER: Final = 86_400.0
"""Longest `Retry-After` obeyed, in seconds; anything longer comes from a wrong clock."""
PAUSE: Final = 3_600.0
"""Seconds until an automatic retry after a refusal."""
EVENTS_PAUSE: Final = 300.0
"""The same for events: an alarm that is an hour late is useless."""
HANGING_AFTER: Final = 600.0
"""Seconds after which a write that has not finished is logged."""


@attrs.frozen
class _Unsettled:
    """A write whose dead letters are not stored yet, or whose cursor is not moved."""

    upto: int
    accepted: int
    rejected: int
    dead_letters: Sequence[Any] = ()


class Delivery:
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
        on_failure: Callable[[SSTCloudError], None] = lambda _: None,
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
        self._on_failure = on_failure
        self._failures = 0
        self._unsettled: _Unsettled | None = None
        self._urgent: Sequence[Any] = ()
        """Items to deliver before they are in the outbox."""
        self._delivered_early: Sequence[Any] = ()
        """Items delivered already, to be skipped when they come out of the outbox."""
        self._record_task: asyncio.Task[None] | None = None
        self._exit_stack = AsyncExitStack()
        self._is_open = False
        self._wake = asyncio.Event()
        """There may be something to deliver."""
        self._retry_now = asyncio.Event()
        """A retry was requested."""
        self._idle = asyncio.Event()
        """Everything is delivered, or the last attempt has failed or hangs."""
        self._awaits_retry = False
        """The last attempt has failed, and the next one is not due yet."""
        self._all_settled = asyncio.Event()
        """No write is in progress, and everything written is settled."""
        self._all_settled.set()
        self._ending = False
        self._hangs = False
        """A write hangs."""

    def notify(self) -> None:
        """Notify it that there is something new in the outbox."""
        if not (self._awaits_retry or self._hangs):
            self._idle.clear()
        self._wake.set()

    def deliver_now(self, items: Sequence[Any]) -> None:
        """Deliver these immediately: alarms do not wait for space on a full disk.

        They are skipped when they come out of the outbox later.
        """
        self._urgent = [*self._urgent, *items][-BATCH_SIZE:]
        self.notify()

    def retry_now(self) -> None:
        """Retry now."""
        self._retry_now.set()

    async def end(self) -> None:
        """Start no more writes; return when the one in progress has finished and is settled."""
        self._ending = True
        await self._all_settled.wait()

    async def wait_idle(self) -> None:
        """Return when everything is delivered, or the last attempt has failed or hangs."""
        await self._idle.wait()

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._wake.set()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._retry_now.clear()
                wait = await self._deliver_all()
                if wait is not None or not self._wake.is_set():
                    self._idle.set()
                if wait is not None:
                    self._awaits_retry = True
                    await sleep_unless(self._clock, wait, self._retry_now)
                    self._awaits_retry = False
                    self._idle.clear()
                    self._wake.set()
        finally:
            await self._exit_stack.aclose()

    async def _deliver_all(self) -> float | None:
        """Deliver all entries; returns the seconds to wait after a failure, None on success."""
        try:
            await self._deliver_urgent()
            await self._settle()
            while await self._deliver_next():
                pass
        except Exception as error:  # noqa: BLE001  a third-party sink may raise anything
            return await self._failed(as_library_error(error, self.name))
        return None

    async def _deliver_urgent(self) -> None:
        if (urgent := self._urgent) and not self._ending:
            self._all_settled.clear()
            try:
                await self._write(urgent)
            finally:
                self._all_settled.set()
            self._delivered_early = [*self._delivered_early, *urgent][-BATCH_SIZE:]
            self._urgent = [item for item in self._urgent if item not in urgent]
            self._succeeded()

    async def _deliver_next(self) -> bool:
        """Deliver the next batch; returns whether there may be more."""
        limit = (
            _RETRY_BATCH_SIZE if self._failures and self.stream is Stream.READINGS else BATCH_SIZE
        )
        batch: Batch[Any] = await self._outbox.batch(self.name, self.stream, limit)
        if self._ending:
            return False
        if batch.size:
            self._all_settled.clear()
            try:
                await self._deliver_batch(batch)
            finally:
                self._all_settled.set()
            self._succeeded()
        return batch.size == limit

    async def _deliver_batch(self, batch: Batch[Any]) -> None:
        delivered_early = self._delivered_early
        items = (
            [item for item in batch.items if item not in delivered_early]
            if delivered_early
            else batch.items
        )
        rejected = await self._write(items) if items else ()
        self._delivered_early = [item for item in delivered_early if item not in batch.items]
        self._unsettled = _Unsettled(
            upto=batch.upto,
            accepted=len(batch.items) - len(rejected),
            rejected=len(rejected) + batch.unreadable,
            dead_letters=rejected if self.stream is Stream.READINGS else (),
        )
        await self._settle()

    async def _settle(self) -> None:
        """Store dead letters and move the cursor.

        If the disk is full, only this is retried, not the write.
        """
        if (unsettled := self._unsettled) is None:
            return
        if unsettled.dead_letters:
            now = self._clock.now()
            await asyncio.to_thread(self._dead_letters.add, self.name, unsettled.dead_letters, now)
            self._unsettled = unsettled = attrs.evolve(unsettled, dead_letters=())
        await self._outbox.mark_delivered(
            self.name,
            self.stream,
            unsettled.upto,
            accepted=unsettled.accepted,
            rejected=unsettled.rejected,
        )
        self._unsettled = None

    async def _write(self, items: Sequence[Any]) -> Sequence[Any]:
        """Write, however long it takes; returns what was rejected.

        A hanging thread cannot be cancelled, and a second one would not help.
        """
        loop = asyncio.get_running_loop()
        hang_timer = loop.call_later(HANGING_AFTER, self._report_hanging)
        try:
            if not self._is_open:
                await self._exit_stack.enter_async_context(self._consumer)
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
            hang_timer.cancel()
            self._hangs = False
        rejected = rejections_of(report, items)
        if rejected:
            _log.error(
                "%s rejected %d %s%s, the first because: %s",
                self.name,
                len(rejected),
                self.stream,
                ", which become dead letters" if self.stream is Stream.READINGS else "",
                rejected[0].reason,
            )
        return rejected

    def _report_hanging(self) -> None:
        error = SinkUnavailableError(f"a write has not finished within {HANGING_AFTER:g} s")
        _log.warning("%s: %s; other sinks are not affected", self.name, error)
        self.error = error
        self._record_task = asyncio.create_task(
            self._record_failure(DeliveryState.RETRYING, error, HANGING_AFTER)
        )
        self._hangs = True
        self._idle.set()

    def _succeeded(self) -> None:
        if self.error is not None:
            _log.warning("%s accepts %s again", self.name, self.stream)
        self.error = None
        self._failures = 0

    async def _failed(self, error: SSTCloudError) -> float:
        """Log the failure once, record it, and return how long to wait."""
        refused = isinstance(error, SinkRefusedError)
        pause = PAUSE if self.stream is Stream.READINGS else EVENTS_PAUSE
        if self.error is None or isinstance(self.error, SinkRefusedError) != refused:
            if isinstance(error, SinkClosedError):
                _log.warning("%s: %s", self.name, error)
            elif refused:
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
        state = DeliveryState.PAUSED if refused else DeliveryState.RETRYING
        await self._record_failure(state, error, wait)
        self._on_failure(error)
        return wait

    def _backoff(self, error: SSTCloudError) -> float:
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(1 + self._failures, 16))
        backoff = FIRST_WAIT + self._random() * (longest - FIRST_WAIT)
        retry_after = getattr(error, "retry_after", None)
        if not isinstance(retry_after, int | float) or math.isnan(retry_after):
            return backoff
        return max(min(retry_after, LONGEST_RETRY_AFTER), backoff)

    async def _record_failure(
        self, state: DeliveryState, error: SSTCloudError, wait: float
    ) -> None:
        next_try = self._clock.now() + timedelta(seconds=wait)
        try:
            await self._outbox.record_failure(self.name, self.stream, state, str(error), next_try)
        except OutboxError as failure:
            _log.debug("the failure of %s is not recorded: %s", self.name, failure)

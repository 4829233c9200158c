"""Delivery to one consumer of the outbox: in order, again and again, holding up nobody else."""

import asyncio
import logging
import random as random_module
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Protocol, Self

import attrs

from sst_cloud.clock import Clock
from sst_cloud.errors import OutboxError, SinkRefusedError, SinkUnavailableError, SSTCloudError
from sst_cloud.redaction import redact_text
from sst_cloud.sink import WriteReport

from .dead_letters import DeadLetters
from .outbox import Batch, Outbox
from .queries import Stream
from .status import Course
from .waiting import sleep_unless

_log = logging.getLogger(__name__)

AT_ONCE: Final = 2_000
"""Entries in one write."""
_TO_TRY: Final = 50
"""Entries in the first write after a failure: to try in vain, for days, should cost nobody much."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 300.0
"""Seconds: after each failure twice as long, less what chance takes off it."""
LONGEST_ASKED: Final = 86_400.0
"""Seconds that a `Retry-After` may put it off; what asks for more has a clock that is wrong."""
PAUSE: Final = 3_600.0
"""Seconds until what was refused is tried again by itself."""
TOO_LONG: Final = 600.0
"""Seconds after which a write that does not end is told of."""


class Report(Protocol):
    """What became of what was written, as `WriteReport` has it."""

    @property
    def accepted(self) -> int:
        """How many."""
        ...

    @property
    def rejected(self) -> Sequence[Any]:
        """Those that will never be taken, each with a `reason`."""
        ...


class Consumer(Protocol):
    """A `Sink`, or whatever takes events the same way."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None: ...

    async def write(self, items: Sequence[Any], /) -> Report:
        """Take what comes next; errors as of `Sink.write`."""
        ...


@attrs.frozen
class _Done:
    upto: int
    accepted: int
    rejected: int


class Courier:
    """Takes entries from the outbox to one consumer, and remembers there how far it is."""

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
        """Why the last try failed; None when it did not."""
        self._consumer = consumer
        self._outbox = outbox
        self.stream = stream
        self._dead_letters = dead_letters
        self._clock = clock
        self._random = random
        self._failures = 0
        self._done: _Done | None = None
        """Delivered, and not noted yet."""
        self._telling: asyncio.Task[None] | None = None
        self._open = AsyncExitStack()
        self._is_open = False
        self._told = asyncio.Event()
        """There may be something to deliver."""
        self._again = asyncio.Event()
        """Somebody wants another try now."""
        self._rested = asyncio.Event()
        """All is delivered, or the last try has failed and the next one has not begun."""
        self._waiting = False
        """For the next try."""
        self._idle = asyncio.Event()
        """No write is under way, and what was written is noted."""
        self._idle.set()
        self._ending = False

    def tell(self) -> None:
        """There is something new in the outbox."""
        if not self._waiting:
            self._rested.clear()
        self._told.set()

    def try_again(self) -> None:
        """Do not wait any longer, whatever for."""
        self._again.set()

    async def end(self) -> None:
        """Begin no further write; return when the one under way has ended and is noted."""
        self._ending = True
        await self._idle.wait()

    async def rest(self) -> None:
        """Return when all is delivered, or the last try has failed."""
        await self._rested.wait()

    async def run(self) -> None:
        """Deliver for ever; cancel it to stop."""
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
        """Deliver what there is; how many seconds to wait after a failure, None after none."""
        try:
            await self._note_delivered()
            while await self._deliver_some():
                pass
        except SSTCloudError as error:
            return await self._failed(error)
        except Exception as error:  # noqa: BLE001  a sink of somebody else's may raise anything
            _log.debug("%s raised", self.name, exc_info=True)
            return await self._failed(
                SinkUnavailableError(redact_text(f"{type(error).__name__}: {error}"))
            )
        return None

    async def _deliver_some(self) -> bool:
        """Deliver the next batch; whether there may be more."""
        most = _TO_TRY if self._failures else AT_ONCE
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
        report = await self._write(batch.items) if batch.items else WriteReport()
        if report.rejected and self.stream is Stream.READINGS:
            _log.error(
                "%s rejected %d readings for good, the first because: %s; see "
                "`sst-cloud dead-letters list`",
                self.name,
                len(report.rejected),
                report.rejected[0].reason,
            )
            await asyncio.to_thread(
                self._dead_letters.add, self.name, report.rejected, self._clock.now()
            )
        self._done = _Done(batch.upto, report.accepted, len(report.rejected) + batch.unreadable)
        await self._note_delivered()

    async def _note_delivered(self) -> None:
        """Move the cursor. If the disk is full, what was delivered is not delivered once more."""
        if (done := self._done) is not None:
            await self._outbox.deliver(
                self.name,
                self.stream,
                done.upto,
                accepted=done.accepted,
                rejected=done.rejected,
            )
            self._done = None

    async def _write(self, items: Sequence[Any]) -> Report:
        """Write, however long it takes.

        A thread that hangs cannot be cancelled, and a second one beside it would help nobody.
        """
        loop = asyncio.get_running_loop()
        patience = loop.call_later(TOO_LONG, self._lose_patience)
        try:
            if not self._is_open:
                await self._open.enter_async_context(self._consumer)
                self._is_open = True
            return await self._consumer.write(items)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise SinkUnavailableError("it has cancelled its own write") from error
        finally:
            patience.cancel()

    def _lose_patience(self) -> None:
        error = SinkUnavailableError(f"a write has not ended for {TOO_LONG:g} s")
        _log.warning("%s: %s; nobody else waits for it", self.name, error)
        self.error = error
        self._telling = asyncio.create_task(self._note(Course.RETRYING, error, TOO_LONG))

    def _well(self) -> None:
        if self.error is not None:
            _log.warning("%s takes %s again", self.name, self.stream)
        self.error = None
        self._failures = 0

    async def _failed(self, error: SSTCloudError) -> float:
        """Say so once, note it, and reckon how long to wait."""
        refused = isinstance(error, SinkRefusedError)
        if self.error is None or isinstance(self.error, SinkRefusedError) != refused:
            if refused:
                _log.error(
                    "%s refused, and is left alone for an hour, or until it is told to try again: "
                    "%s",
                    self.name,
                    error,
                )
            else:
                _log.warning("%s: %s; it is tried again until it succeeds", self.name, error)
        self.error = error
        wait = PAUSE if refused else self._backoff(error)
        self._failures += 1
        if not isinstance(error, OutboxError):
            await self._note(Course.PAUSED if refused else Course.RETRYING, error, wait)
        return wait

    def _backoff(self, error: SSTCloudError) -> float:
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(1 + self._failures, 16))
        by_chance = FIRST_WAIT + self._random() * (longest - FIRST_WAIT)
        asked = getattr(error, "retry_after", None) or 0.0
        return max(min(asked, LONGEST_ASKED), by_chance)

    async def _note(self, course: Course, error: SSTCloudError, wait: float) -> None:
        next_try = self._clock.now() + timedelta(seconds=wait)
        try:
            await self._outbox.fail(self.name, self.stream, course, str(error), next_try)
        except OutboxError as unnoted:
            _log.debug("not noted: %s", unnoted)

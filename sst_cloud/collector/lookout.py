"""Monitoring of a running collector: systemd, Prometheus, health checks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from time import monotonic

import attrs

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.readings import format_time

from .collector import Collector, Poll
from .grid import EVERY, POLL_LIMIT
from .systemd import Notifier


@attrs.define
class _Progress:
    """Whether polls keep coming: a collector that hangs on a dead disk is not alive."""

    collector: Collector
    limit: timedelta
    monotonic: Callable[[], float]
    _turns: int = -1
    _since: float = 0.0

    def goes_on(self) -> bool:
        if self._turns != self.collector.turns:
            self._turns, self._since = self.collector.turns, self.monotonic()
        return self.monotonic() - self._since <= self.limit.total_seconds()


class Lookout:
    """Reports a collector's health. Pass it every `Poll`: `Collector(…, on_poll=lookout.saw)`."""

    def __init__(
        self,
        *,
        every: timedelta = EVERY,
        clock: Clock | None = None,
        notifier: Notifier | None = None,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        """`notifier` is by default made from systemd's environment variables.

        `monotonic` counts seconds, unaffected by changes of the clock.
        """
        self._monotonic = monotonic
        self._every = every
        self._clock = clock or SystemClock()
        self._notifier = notifier or Notifier.from_environment()
        self._committed = True

    def saw(self, poll: Poll) -> None:
        """Record a poll."""
        self._committed = poll.committed
        moment = format_time(poll.time)
        if poll.error is not None:
            self._notifier.status(f"Poll failed at {moment}: {poll.error}")
        elif not poll.committed:
            self._notifier.status(f"The outbox could not be written at {moment}")
        else:
            self._notifier.status(f"{len(poll.readings)} readings at {moment}")

    @asynccontextmanager
    async def over(
        self, collector: Collector, metrics: tuple[str, int] | None = None
    ) -> AsyncIterator[None]:
        """Monitor an open collector: call `collector.run` inside this context.

        `metrics` is the address for `/metrics` and `/health`, if they are wanted. Raises
        `SSTCloudError` if they cannot be served.
        """
        async with AsyncExitStack() as stack:
            if metrics is not None:
                await stack.enter_async_context(self._serving(collector, *metrics))
            progress = _Progress(collector, 2 * self._every + POLL_LIMIT, self._monotonic)
            feeding = asyncio.create_task(self._notifier.keep_alive(progress.goes_on))
            self._notifier.ready()
            try:
                yield
            finally:
                self._notifier.stopping()
                feeding.cancel()
                with suppress(asyncio.CancelledError):
                    await feeding

    @asynccontextmanager
    async def _serving(self, collector: Collector, host: str, port: int) -> AsyncIterator[int]:
        from .metrics import Vitals, serving  # noqa: PLC0415  only needed with metrics

        vitals = Vitals(
            status=collector.status,
            latest=lambda: collector.latest,
            trouble=self._trouble,
            every=self._every,
            clock=self._clock,
        )
        async with serving(vitals, host, port) as bound:
            yield bound

    def _trouble(self) -> str | None:
        return None if self._committed else "see the log"

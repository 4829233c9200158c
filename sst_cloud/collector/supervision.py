"""Reports the health of a running collector: to systemd, Prometheus and health checks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from time import monotonic

import attrs

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.readings import format_time
from sst_cloud.wording import count

from .collector import Collector, Poll
from .schedule import EVERY, POLL_LIMIT
from .systemd import Notifier


@attrs.define
class _Liveness:
    """Whether polls are completed in time: a collector that hangs on a dead disk is not alive."""

    collector: Collector
    limit: timedelta
    monotonic: Callable[[], float]
    _polls: int = -1
    _since: float = 0.0

    def is_alive(self) -> bool:
        if self._polls != self.collector.polls_done:
            self._polls, self._since = self.collector.polls_done, self.monotonic()
        return self.monotonic() - self._since <= self.limit.total_seconds()


class Supervisor:
    """Reports a collector's health. Pass it every `Poll`: `Collector(…, on_poll=…)`."""

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

    def record(self, poll: Poll) -> None:
        """Record a poll."""
        self._committed = poll.committed
        time = format_time(poll.time)
        if poll.error is not None:
            self._notifier.status(f"Poll failed at {time}: {poll.error}")
        elif not poll.committed:
            self._notifier.status(f"The outbox could not be written at {time}")
        else:
            self._notifier.status(f"{count(len(poll.readings), 'reading')} at {time}")

    @asynccontextmanager
    async def supervise(
        self, collector: Collector, metrics: tuple[str, int] | None = None
    ) -> AsyncIterator[None]:
        """Monitor an open collector: call `collector.run` inside this context.

        `metrics` is the address for `/metrics` and `/health`, if any. Raises `SSTCloudError` if
        they cannot be served.
        """
        async with AsyncExitStack() as stack:
            if metrics is not None:
                await stack.enter_async_context(self._serve_metrics(collector, *metrics))
            liveness = _Liveness(collector, 2 * self._every + POLL_LIMIT, self._monotonic)
            keep_alive = asyncio.create_task(self._notifier.keep_alive(liveness.is_alive))
            self._notifier.ready()
            try:
                yield
            finally:
                self._notifier.stopping()
                keep_alive.cancel()
                with suppress(asyncio.CancelledError):
                    await keep_alive

    @asynccontextmanager
    async def _serve_metrics(
        self, collector: Collector, host: str, port: int
    ) -> AsyncIterator[int]:
        from .metrics import CollectorHealth, serve_metrics  # noqa: PLC0415  only needed with metrics

        health = CollectorHealth(
            status=collector.status,
            latest=lambda: collector.latest,
            outbox_error=self._outbox_error,
            every=self._every,
            clock=self._clock,
        )
        async with serve_metrics(health, host, port) as bound_port:
            yield bound_port

    def _outbox_error(self) -> str | None:
        return None if self._committed else "see the log"

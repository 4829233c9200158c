"""Who looks after a running collector: systemd, Prometheus, a health check."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.readings import format_time

from .collector import Collector, Poll
from .grid import EVERY
from .systemd import Notifier


class Lookout:
    """Tells how a collector fares. Give it every `Poll`: `Collector(…, on_poll=lookout.saw)`."""

    def __init__(
        self,
        *,
        every: timedelta = EVERY,
        clock: Clock | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        """`notifier` is by default what the environment tells of systemd."""
        self._every = every
        self._clock = clock or SystemClock()
        self._notifier = notifier or Notifier.from_environment()
        self._committed = True

    def saw(self, poll: Poll) -> None:
        """Take note of a poll."""
        self._committed = poll.committed
        moment = format_time(poll.time)
        if poll.error is not None:
            self._notifier.status(f"No answer at {moment}: {poll.error}")
        elif not poll.committed:
            self._notifier.status(f"The outbox cannot be written, as was seen at {moment}")
        else:
            self._notifier.status(f"{len(poll.readings)} readings at {moment}")

    @asynccontextmanager
    async def over(
        self, collector: Collector, metrics: tuple[str, int] | None = None
    ) -> AsyncIterator[None]:
        """Be there while an open collector runs: inside it call `collector.run`.

        `metrics` is where to serve `/metrics` and `/health`, if anywhere. Raises `SSTCloudError`
        if that cannot be done.
        """
        async with AsyncExitStack() as stack:
            if metrics is not None:
                await stack.enter_async_context(self._serving(collector, *metrics))
            feeding = asyncio.create_task(self._notifier.keep_alive())
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
        from .metrics import Vitals, serving  # noqa: PLC0415  only those who want it pay for it

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

"""How many requests run at a time, of one client or of several together."""

import asyncio
from typing import NamedTuple


class Slots(NamedTuple):
    """What requests wait for, in one event loop."""

    requests: asyncio.Semaphore
    large_responses: asyncio.Lock


class RequestLimiter:
    """At most `max_concurrency` requests at a time in all clients that share it.

    Of large responses, it lets only one be in memory at a time. Create it anywhere, and use it in
    any event loop: each loop counts its own requests.
    """

    def __init__(self, max_concurrency: int = 8) -> None:
        """Raises ValueError if `max_concurrency` is below 1."""
        if max_concurrency < 1:
            raise ValueError("max_concurrency must be at least 1")
        self._max_concurrency = max_concurrency
        self._slots: dict[asyncio.AbstractEventLoop, Slots] = {}

    def slots(self) -> Slots:
        """Those of the running event loop."""
        loop = asyncio.get_running_loop()
        if (slots := self._slots.get(loop)) is None:
            for ended in [other for other in tuple(self._slots) if other.is_closed()]:
                self._slots.pop(ended, None)
            slots = Slots(asyncio.Semaphore(self._max_concurrency), asyncio.Lock())
            self._slots[loop] = slots
        return slots

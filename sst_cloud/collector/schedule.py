"""When to poll: at multiples of an interval, even if the clock is changed in between."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from sst_cloud.clock import Clock, sleep_unless

EVERY: Final = timedelta(minutes=20)
"""SST Cloud receives new values about every 10 minutes; half as often is enough for a plot."""

POLL_LIMIT: Final = timedelta(minutes=5)
"""How long a poll may take: four attempts of a minute each, with the delays between them."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_JITTER: Final = timedelta(seconds=30)
_CLOCK_CHECK: Final = timedelta(seconds=30)
"""How often to check the clock: a plain sleep does not count the time a machine is suspended, and
does not notice that the clock was changed."""


def next_poll(now: datetime, every: timedelta, jitter: float) -> datetime:
    """The next multiple of `every`, plus some `jitter` (0 to 1): not everybody polls at once."""
    return now + every - (now - _EPOCH) % every + jitter * min(_MAX_JITTER, every / 20)


async def wait_for_poll(
    clock: Clock, every: timedelta, random: Callable[[], float], *events: asyncio.Event
) -> None:
    """Return when the next poll is due, or one of the events is set.

    A time that has been missed, or is too far off because the clock was changed, is recomputed.
    """
    jitter = random()
    due = next_poll(clock.now(), every, jitter)
    while (remaining := due - clock.now()) > timedelta(0) and not any(
        event.is_set() for event in events
    ):
        await sleep_unless(clock, min(remaining, _CLOCK_CHECK).total_seconds(), *events)
        now = clock.now()
        if now - due > _CLOCK_CHECK or due - now > every + _MAX_JITTER:
            due = next_poll(now, every, jitter)

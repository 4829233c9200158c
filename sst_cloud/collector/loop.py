"""The plain loop: read a snapshot, hand its readings to every sink, wait for the next turn.

A poll whose write fails is not repeated: the next poll brings the next readings.
"""

import asyncio
import logging
import random as random_module
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

import attrs

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.errors import PASSING, SSTCloudError
from sst_cloud.measurements import readings_from
from sst_cloud.readings import Reading
from sst_cloud.sink import Sink, WriteReport
from sst_cloud.source import Source

_log = logging.getLogger(__name__)

EVERY: Final = timedelta(minutes=20)
"""The cloud learns new values about every 10 minutes; twice that is often enough for a plot."""

_MAX_JITTER: Final = 30.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@attrs.frozen
class Delivery:
    """What became of a poll's readings at one sink: a report, or an error."""

    report: WriteReport = attrs.field(factory=WriteReport)
    error: SSTCloudError | None = None


@attrs.frozen
class Poll:
    """One turn of the loop."""

    time: datetime
    readings: tuple[Reading, ...]
    deliveries: Mapping[str, Delivery]
    """By the name of the sink."""

    @property
    def errors(self) -> list[SSTCloudError]:
        """The errors of the sinks that could not be written to."""
        return [made.error for made in self.deliveries.values() if made.error is not None]


async def poll(source: Source, sinks: Mapping[str, Sink]) -> Poll:
    """Read once and write to all sinks at the same time; one that fails holds up no other.

    Raises what the source raises; errors of sinks are in the result.
    """
    snapshot = await source.snapshot()
    for bad in snapshot.unreadable:
        _log.warning("%s %s cannot be read: %s", bad.kind, bad.id, bad.reason)
    readings = tuple(readings_from(snapshot))
    made = await asyncio.gather(*(_deliver(name, sinks[name], readings) for name in sinks))
    return Poll(snapshot.time, readings, dict(zip(sinks, made, strict=True)))


async def _deliver(name: str, sink: Sink, readings: tuple[Reading, ...]) -> Delivery:
    try:
        report = await sink.write(readings)
    except SSTCloudError as error:
        return Delivery(error=error)
    for rejection in report.rejected:
        _log.warning("%s rejected %s: %s", name, rejection.reading.key, rejection.reason)
    return Delivery(report)


async def collect(  # noqa: PLR0913  each is an option with a good default
    source: Source,
    sinks: Mapping[str, Sink],
    *,
    every: timedelta = EVERY,
    polls: int | None = None,
    clock: Clock | None = None,
    random: Callable[[], float] = random_module.random,
    on_poll: Callable[[Poll], None] = lambda _: None,
) -> None:
    """Poll now, then on a grid of `every` with some jitter; for ever, or so many `polls`.

    Errors that may pass are logged, and the next poll tries again; they come out where there is
    no next poll. Errors that somebody has to mend come out at once.
    """
    clock = clock or SystemClock()
    for number in count(1):
        last = number == polls
        try:
            done = await poll(source, sinks)
            on_poll(done)
            for error in done.errors:
                _raise_or_log(error, last=last)
        except SSTCloudError as error:
            _raise_or_log(error, last=last)
        if last:
            return
        await clock.sleep(_until_next_turn(clock.now(), every, random()))


def _raise_or_log(error: SSTCloudError, *, last: bool) -> None:
    if last or not isinstance(error, PASSING):
        raise error
    _log.warning("%s; the next poll will try again", error)


def _until_next_turn(now: datetime, every: timedelta, chance: float) -> float:
    """Seconds until the next multiple of `every`, and a little more: not all come at once."""
    jitter = chance * min(_MAX_JITTER, every.total_seconds() / 20)
    return (every - (now - _EPOCH) % every).total_seconds() + jitter

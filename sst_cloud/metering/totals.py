"""From a meter's totals to the water used between readings, skipping glitches."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import attrs

from sst_cloud.enums import Quality
from sst_cloud.readings import Reading
from sst_cloud.source import DEFAULT_REFRESH

from .plausibility import MAX_FLOW, litres_between

ROLLOVERS: Final = (10**7, 10**8, 10**9, 2**32)
"""Litres at which meters and their modules are known to roll over to 0."""

_CONFIRMATIONS: Final = 2
"""Readings that must agree with an impossible total before it is trusted, over as many refresh
intervals: until then the source may just repeat its values."""
_NEAR_LIMIT: Final = timedelta(days=1)
"""After a rollover, a meter is at most as far from the limit as a pipe delivers in this time."""


def only_repeats(last: Reading, reading: Reading) -> bool:
    """Whether a reading may be a repeat: a source may go on returning a lost device's last values.

    A reading without a model was taken without its device, so it may be lost.
    """
    is_unread = not reading.model and bool(last.model)
    return (reading.quality is Quality.STALE or is_unread) and reading.value == last.value


@attrs.frozen
class Increment:
    """From one reading of a meter to the next plausible one."""

    before: Reading
    after: Reading
    litres: int | None
    """Litres used; None if no pipe can deliver that: the meter was replaced or reset."""

    @property
    def duration(self) -> timedelta:
        """The time between the two readings."""
        return self.after.time - self.before.time


@attrs.define
class MeterTrail:
    """Follows the totals of one meter, given its readings oldest first.

    Skipped are suspect readings, those of a device that may be lost and only repeats its total,
    and glitches that were never validated: totals that no pipe can deliver, if one of the next two
    readings, or of those in the next two refresh intervals, continues from before.
    Of several readings at the same time the last counts, unless only an earlier one was good.
    """

    max_flow: float = MAX_FLOW
    """What the pipe can deliver, in litres per hour."""
    refresh: timedelta = DEFAULT_REFRESH
    """How old a total may have been when it was read."""
    last: Reading | None = attrs.field(default=None, init=False)
    """The newest plausible reading."""
    _newest: Reading | None = attrs.field(default=None, init=False)
    """Not processed yet: another reading at the same time may replace it."""
    _doubtful: list[Reading] = attrs.field(factory=list, init=False)

    def add(self, reading: Reading) -> Iterator[Increment]:
        """Add the next reading; yields the steps that are now certain."""
        newest = self._newest
        if reading.quality is Quality.SUSPECT:
            return
        if newest is not None:
            if reading.time <= newest.time:
                is_better = reading.quality is Quality.GOOD or newest.quality is not Quality.GOOD
                if reading.time == newest.time and is_better:
                    self._newest = reading
                return
            if only_repeats(newest, reading):
                return
            yield from self._process(newest)
        self._newest = reading

    def finish(self) -> Iterator[Increment]:
        """The remaining steps, after the last reading."""
        newest, self._newest = self._newest, None
        if newest is not None:
            yield from self._process(newest)
        while self._doubtful:
            yield from self._accept_doubtful()

    def _process(self, reading: Reading) -> Iterator[Increment]:
        last = self.last
        if last is None:
            self.last = reading
        elif (litres := self._litres(last, reading)) is not None:
            self._doubtful.clear()
            self.last = reading
            yield Increment(last, reading, litres)
        else:
            self._doubtful.append(reading)
            duration = reading.time - self._doubtful[0].time
            is_confirmed = duration >= _CONFIRMATIONS * self.refresh
            if len(self._doubtful) > _CONFIRMATIONS and is_confirmed:
                yield from self._accept_doubtful()

    def _accept_doubtful(self) -> Iterator[Increment]:
        """Accept the first of the doubtful readings, and check the others from there."""
        last, (first, *others) = self.last, self._doubtful
        self._doubtful = []
        self.last = first
        if last is not None:
            yield Increment(last, first, None)
        for reading in others:
            yield from self._process(reading)

    def _litres(self, before: Reading, after: Reading) -> int | None:
        duration = after.time - before.time
        totals = int(before.value), int(after.value)
        limits: dict[str, Any] = {"max_flow": self.max_flow, "refresh": self.refresh}
        litres = litres_between(*totals, duration, **limits)
        if litres is None and after.value < before.value:
            duration = min(duration, _NEAR_LIMIT)
            return litres_between(*totals, duration, rollovers=ROLLOVERS, **limits)
        return litres

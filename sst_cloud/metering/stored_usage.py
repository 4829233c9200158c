"""The water usage of a period, from a store."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

import attrs

from sst_cloud.sink import History

from .bracketing import utc, volume_readings
from .plausibility import MAX_FLOW
from .usage import GAP, Period, Usage, UsageTally


@attrs.frozen
class StoredUsage:
    """The water used at every meter in each period, oldest first."""

    usages: tuple[Usage, ...] = ()
    oldest: datetime | None = None
    """The time of the first reading that was used."""
    reason: str = ""
    """Why there is no usage."""


async def stored_usage(  # noqa: PLR0913  each is an option with a good default
    history: History,
    by: Period,
    zone: tzinfo = UTC,
    *,
    zones: Mapping[int, tzinfo] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    houses: Sequence[str | int] = (),
    water: str | None = None,
    gap: timedelta = GAP,
    max_flow: float = MAX_FLOW,
    now: datetime | None = None,
) -> StoredUsage:
    """`usage` of the readings in a store; reads no more of them than the period needs.

    `houses` are names or ids, and none means all; raises `SSTCloudError` for one without readings.
    """
    tally = UsageTally(
        by=by, zone=zone, zones=zones or {}, since=since, until=until, gap=gap, max_flow=max_flow
    )
    oldest: datetime | None = None
    counts: Counter[object] = Counter()
    async for reading in volume_readings(history, since, until, houses=houses, now=now):
        if water in (None, reading.water):
            tally.add(reading)
            oldest = oldest or reading.time
            counts[reading.series] += 1
    if usages := tally.usages():
        return StoredUsage(tuple(usages), oldest)
    if oldest is None:
        reason = "There are no readings of such a meter in the store."
    elif max(counts.values()) == 1 and (since is None or oldest >= utc(since)):
        # Of what was read before that, only the last reading may have been needed.
        reason = "Only one reading so far; usage needs at least two."
    else:
        reason = "No meter has two readings in that time; usage needs at least two."
    return StoredUsage((), oldest, reason)

"""Meter totals of a period from a store, with each meter's nearest ones before and after it."""

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sst_cloud.enums import Quality
from sst_cloud.errors import SSTCloudError
from sst_cloud.quantities import Quantity
from sst_cloud.readings import Reading
from sst_cloud.sink import History
from sst_cloud.source import DEFAULT_REFRESH

from .totals import only_repeats

_log = logging.getLogger(__name__)

_ZONE_MARGIN: Final = timedelta(days=2)
"""More than local times of two zones can differ."""
_MAX_AHEAD: Final = timedelta(days=1)
"""Readings dated further than this in the future were stored while a clock was wrong."""
_SEARCH_RANGES: Final = (timedelta(days=7), timedelta(days=100), None)
"""How far to search for the nearest totals, one after the other; None means everything."""
_TOTALS_NEEDED: Final = 4
"""Successive totals needed to recognise a glitch, each from another refresh of the source."""


async def volume_readings(
    history: History,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    houses: Sequence[str | int] = (),
    now: datetime | None = None,
) -> AsyncIterator[Reading]:
    """The meters' totals between two moments, and the nearest before and after.

    They are oldest first. Moments without a time zone are local time, in whatever zone.
    `houses` are names or ids, and none means all; raises `SSTCloudError` at the end for one without
    readings. Readings dated in the future are left out, with a warning in the log.
    """
    first = None if since is None else utc(since) - _ZONE_MARGIN
    last = None if until is None else utc(until) + _ZONE_MARGIN
    limit = (now or datetime.now(UTC)) + _MAX_AHEAD
    ahead: list[datetime] = []
    names = dict.fromkeys(map(str, houses))
    names_by_id: dict[int, str] = {}
    async for reading in totals_around(history, first, last, limit):
        if reading.time > limit:
            ahead.append(reading.time)
            continue
        names_by_id[reading.house_id] = reading.house
        if not names or {reading.house, str(reading.house_id)} & names.keys():
            yield reading
    if ahead:
        _log.warning(
            "%s dated in the future (%s%s) and skipped; was a clock wrong?",
            "1 reading is" if len(ahead) == 1 else f"{len(ahead)} readings are",
            "up to " * (len(ahead) > 1),
            f"{ahead[-1]:%Y-%m-%d}",
        )
    for name in names:
        if name not in names_by_id.values() and name not in map(str, names_by_id):
            listing = ", ".join(f"{house} ({id_})" for id_, house in names_by_id.items()) or "none"
            raise SSTCloudError(
                f"there are no readings of a house {name!r} in that time, only of: {listing}"
            )


async def totals_around(
    history: History, since: datetime | None, until: datetime | None, limit: datetime
) -> AsyncIterator[Reading]:
    """The totals with `since` <= time < `until`, and enough around them to cut at both ends.

    They are oldest first. None means no end; later ones are searched up to `limit`.
    """
    newest = () if since is until is None else await history.latest()
    meters = [reading for reading in newest if reading.quantity is Quantity.VOLUME]
    if since is not None:
        for reading in await _before(history, since, meters):
            yield reading
    async for reading in history.read(Quantity.VOLUME, since, until):
        yield reading
    if until is not None and until < limit:
        async for reading in _after(history, until, limit, meters):
            yield reading


async def _before(history: History, moment: datetime, meters: Sequence[Reading]) -> list[Reading]:
    """The newest totals of each meter before a moment. `meters` are the very last ones."""
    nearest: dict[object, list[Reading]] = {}
    until: datetime | None = moment
    for search_range in _SEARCH_RANGES:
        since = moment - search_range if search_range else None
        totals_by_series: dict[object, list[Reading]] = defaultdict(list)
        async for reading in history.read(Quantity.VOLUME, since, until):
            totals = totals_by_series[reading.series]
            if not _is_informative(totals, reading):
                continue
            if totals[1:] and totals[-1].time - totals[-2].time < DEFAULT_REFRESH:
                totals.pop()
            totals.append(reading)
            del totals[:-_TOTALS_NEEDED]
        for series, totals in totals_by_series.items():
            if not _is_certain(nearest.get(series, ())):
                nearest[series] = totals + nearest.get(series, [])
        for last in meters:  # for meters that no longer exist
            if last.time < moment and last.quality is Quality.GOOD:
                nearest.setdefault(last.series, [last])
        if all(_is_certain(nearest.get(last.series, ())) for last in meters):
            break
        until = since
    return sorted(
        (r for totals in nearest.values() for r in totals), key=lambda reading: reading.time
    )


async def _after(
    history: History, moment: datetime, limit: datetime, meters: Sequence[Reading]
) -> AsyncIterator[Reading]:
    """The oldest totals of each meter from a moment on. `meters` are the very last ones."""
    totals_by_series: dict[object, list[Reading]] = {
        last.series: [] for last in meters if last.time >= moment
    }
    complete = 0
    since = moment
    for search_range in _SEARCH_RANGES:
        until = min(moment + search_range, limit) if search_range else limit
        async for reading in history.read(Quantity.VOLUME, since, until):
            totals = totals_by_series.setdefault(reading.series, [])
            is_apart = not totals or reading.time - totals[-1].time >= DEFAULT_REFRESH
            if len(totals) < _TOTALS_NEEDED and is_apart and _is_informative(totals, reading):
                totals.append(reading)
                yield reading
                complete += len(totals) == _TOTALS_NEEDED
                if complete == len(totals_by_series):
                    return
        if all(map(_is_certain, totals_by_series.values())):
            return
        since = until


def _is_informative(totals: Sequence[Reading], reading: Reading) -> bool:
    """Whether a total adds information to a series."""
    suspect = reading.quality is Quality.SUSPECT
    return not suspect and not (totals and only_repeats(totals[-1], reading))


def _is_certain(totals: Sequence[Reading]) -> bool:
    """Whether a meter was actually read, rather than repeated for a silent module."""
    good = any(reading.quality is Quality.GOOD for reading in totals)
    return good or len({reading.value for reading in totals}) > 1


def utc(moment: datetime) -> datetime:
    """In UTC; local time in an unknown zone may be off, but by less than what is read around it."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

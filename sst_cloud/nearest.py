"""Meter totals of a period from a store, with each meter's nearest ones before and after it."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from .enums import Quality, Quantity
from .flow import REFRESH
from .readings import Reading
from .sink import History
from .totals import only_repeats

_FURTHER: Final = (timedelta(days=7), timedelta(days=100), None)
"""How far to search for the nearest totals, in steps; None means everything."""
_ENOUGH: Final = 4
"""Successive totals, an update of the cloud apart, needed to recognise a glitch."""


async def totals_around(
    past: History, since: datetime | None, until: datetime | None, limit: datetime
) -> AsyncIterator[Reading]:
    """The totals with `since` <= time < `until`, and enough around them to cut at both ends.

    They are oldest first per meter. None means no end; later ones are looked for up to `limit`.
    """
    newest = () if since is until is None else await past.latest()
    meters = [reading for reading in newest if reading.quantity is Quantity.VOLUME]
    if since is not None:
        for reading in await _before(past, since, meters):
            yield reading
    async for reading in past.read(Quantity.VOLUME, since, until):
        yield reading
    if until is not None and until < limit:
        async for reading in _after(past, until, limit, meters):
            yield reading


async def _before(past: History, moment: datetime, meters: Sequence[Reading]) -> list[Reading]:
    """The newest totals of each meter before a moment. `meters` are the very last ones."""
    found: dict[object, list[Reading]] = {}
    until: datetime | None = moment
    for further in _FURTHER:
        since = moment - further if further else None
        rows: dict[object, list[Reading]] = defaultdict(list)
        async for reading in past.read(Quantity.VOLUME, since, until):
            row = rows[reading.series]
            if not _tells(row, reading):
                continue
            if row[1:] and row[-1].time - row[-2].time < REFRESH:
                row.pop()
            row.append(reading)
            del row[:-_ENOUGH]
        for series, row in rows.items():
            if not _settled(found.get(series, ())):
                found[series] = row + found.get(series, [])
        for last in meters:  # meters that are gone
            if last.time < moment and last.quality is Quality.GOOD:
                found.setdefault(last.series, [last])
        if all(_settled(found.get(last.series, ())) for last in meters):
            break
        until = since
    return sorted((r for row in found.values() for r in row), key=lambda reading: reading.time)


async def _after(
    past: History, moment: datetime, limit: datetime, meters: Sequence[Reading]
) -> AsyncIterator[Reading]:
    """The oldest totals of each meter from a moment on. `meters` are the very last ones."""
    rows: dict[object, list[Reading]] = {last.series: [] for last in meters if last.time >= moment}
    full = 0
    since = moment
    for further in _FURTHER:
        until = min(moment + further, limit) if further else limit
        async for reading in past.read(Quantity.VOLUME, since, until):
            row = rows.setdefault(reading.series, [])
            apart = not row or reading.time - row[-1].time >= REFRESH
            if len(row) < _ENOUGH and apart and _tells(row, reading):
                row.append(reading)
                yield reading
                full += len(row) == _ENOUGH
                if full == len(rows):
                    return
        if all(map(_settled, rows.values())):
            return
        since = until


def _tells(row: Sequence[Reading], reading: Reading) -> bool:
    """Whether a total adds information to a series."""
    suspect = reading.quality is Quality.SUSPECT
    return not suspect and not (row and only_repeats(row[-1], reading))


def _settled(row: Sequence[Reading]) -> bool:
    """Whether a meter was actually read, rather than repeated for a silent module."""
    good = any(reading.quality is Quality.GOOD for reading in row)
    return good or len({reading.value for reading in row}) > 1

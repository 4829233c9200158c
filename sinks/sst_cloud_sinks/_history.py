"""Reading back from stores that may hold several rows for one reading, under different names."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from sst_cloud.readings import Quality, Reading

_TRUST: Final = (Quality.STALE, Quality.SUSPECT, Quality.GOOD)


async def each_once(readings: AsyncIterator[Reading]) -> AsyncGenerator[Reading]:
    """Each key once, from readings by time: of several rows, the one with the best quality."""
    moment: dict[object, Reading] = {}
    async for reading in readings:
        if moment and next(iter(moment.values())).time != reading.time:
            for each in moment.values():
                yield each
            moment.clear()
        _keep(moment, reading.key, reading)
    for each in moment.values():
        yield each


def keep_newest(found: dict[object, Reading], reading: Reading) -> None:
    """Keep the newest reading of every series: of several rows, the one with the best quality."""
    known = found.get(reading.series)
    if known is None or known.time < reading.time:
        found[reading.series] = reading
    elif known.time == reading.time:
        _keep(found, reading.series, reading)


def _keep(found: dict[object, Reading], key: object, reading: Reading) -> None:
    known = found.get(key)
    if known is None or _TRUST.index(known.quality) <= _TRUST.index(reading.quality):
        found[key] = reading

"""Reading back from stores that may hold several rows for one reading, under different names."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from sst_cloud.readings import Quality, Reading

_BY_TRUST: Final = (Quality.STALE, Quality.SUSPECT, Quality.GOOD)
"""Ascending."""


async def without_duplicates(readings: AsyncIterator[Reading]) -> AsyncGenerator[Reading]:
    """Each key once, from readings by time: of several rows, the one with the best quality."""
    same_time: dict[object, Reading] = {}
    async for reading in readings:
        if same_time and next(iter(same_time.values())).time != reading.time:
            for unique in same_time.values():
                yield unique
            same_time.clear()
        _keep_more_trusted(same_time, reading.key, reading)
    for unique in same_time.values():
        yield unique


def keep_newest(newest_by_series: dict[object, Reading], reading: Reading) -> None:
    """Keep the newest reading of every series: of several rows, the one with the best quality."""
    current = newest_by_series.get(reading.series)
    if current is None or current.time < reading.time:
        newest_by_series[reading.series] = reading
    elif current.time == reading.time:
        _keep_more_trusted(newest_by_series, reading.series, reading)


def _keep_more_trusted(readings: dict[object, Reading], key: object, reading: Reading) -> None:
    current = readings.get(key)
    if current is None or _BY_TRUST.index(current.quality) <= _BY_TRUST.index(reading.quality):
        readings[key] = reading

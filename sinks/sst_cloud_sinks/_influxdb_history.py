"""Reading back from InfluxDB with InfluxQL, which versions 1, 2 and 3 all support."""

import asyncio
import json
import logging
import math
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote

from yarl import URL

from sst_cloud.readings import Quality, Quantity, Reading, Value, format_time

from ._history import each_once, keep_newest
from ._influxdb_http import Server
from ._line_protocol import FIELDS, FIRST, LAST, MEASUREMENTS, QUALITIES
from ._partial_write import Complaint, shorten

_log = logging.getLogger(__name__)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLACES: Final = tuple(f'"{name}"' for name in sorted(set(MEASUREMENTS.values())))
_SERIES: Final = '"house_id", "device_id", "point", "point_id"'
_TAGS: Final = ", ".join(
    f'"{tag}"::tag'
    for tag in ("house_id", "house", "device_id", "device", "point", "point_id", "name", "water")
)
_LARGE: Final = 256 * 1024
"""Bytes; beyond this, JSON is read in a thread."""
_INT64: Final = 2**63
_QUALITIES: Final = {float(number): quality for quality, number in QUALITIES.items()}

Row = Mapping[str, Any]


async def history(
    server: Server,
    endpoint: URL,
    quantity: Quantity,
    since: datetime | None,
    until: datetime | None,
) -> AsyncGenerator[Reading]:
    """Readings by time, each key once: of several rows, the one with the best quality.

    There are several if names are tags and a reading was written again under another name.
    """
    times = [
        f"time {sign} '{_moment(bound)}'"
        for sign, bound in ((">=", since), ("<", until))
        if bound is not None
    ]
    where = f" WHERE {' AND '.join(times)}" if times else ""
    selected = f'SELECT "{FIELDS[quantity]}" AS "value", {_quality(quantity)}, {_TAGS}'
    streams = [
        _readings(server, endpoint, quantity, f"{selected} FROM {place}{where}")
        for place in _PLACES
    ]
    async with aclosing(_by_time(streams)) as readings, aclosing(each_once(readings)) as found:
        async for reading in found:
            yield reading


async def newest(server: Server, endpoint: URL, at_once: asyncio.Semaphore) -> Sequence[Reading]:
    """The newest reading of every series; the server searches from the end."""
    found: dict[object, Reading] = {}

    async def ask(quantity: Quantity) -> None:
        selected = f'last("{FIELDS[quantity]}") AS "value", {_quality(quantity)}, {_TAGS}'
        statement = f"SELECT {selected} FROM {', '.join(_PLACES)} GROUP BY {_SERIES}"  # noqa: S608  our own names
        async with at_once, aclosing(_readings(server, endpoint, quantity, statement)) as readings:
            async for reading in readings:
                keep_newest(found, reading)

    try:
        async with asyncio.TaskGroup() as group:
            for quantity in Quantity:
                group.create_task(ask(quantity))
    except ExceptionGroup as errors:
        raise errors.exceptions[0]  # noqa: B904  it has its own cause
    return tuple(found.values())


def _quality(quantity: Quantity) -> str:
    return f'"{quantity.value}_quality" AS "quality"'


def _moment(moment: datetime) -> str:
    # Readings are in whole seconds: rounding up keeps a half-open range exact.
    since = min(max(moment, FIRST), LAST) - _EPOCH
    return format_time(_EPOCH + timedelta(seconds=math.ceil(since.total_seconds())))


async def _by_time(streams: Sequence[AsyncGenerator[Reading]]) -> AsyncGenerator[Reading]:
    """Merge streams that are each sorted by time. Usually all but one are empty."""
    async with AsyncExitStack() as stack:
        heads: dict[AsyncGenerator[Reading], Reading] = {}
        for stream in streams:
            await stack.enter_async_context(aclosing(stream))
            if (first := await anext(stream, None)) is not None:
                heads[stream] = first
        while heads:
            stream = min(heads, key=lambda each: heads[each].time)
            yield heads[stream]
            if (following := await anext(stream, None)) is None:
                del heads[stream]
            else:
                heads[stream] = following


async def _readings(
    server: Server, endpoint: URL, quantity: Quantity, statement: str
) -> AsyncGenerator[Reading]:
    """The result of a statement; rows that are not our readings are skipped and logged once."""
    odd, why = 0, ""
    begun = False
    url = endpoint.update_query(q=statement)
    async with aclosing(server.lines(url, Accept="application/json")) as lines:
        async for line in lines:
            if not line.strip():
                continue
            content = await _content(server, line)
            for row in _rows(server, line, content, begun=begun):
                begun = True
                if row["value"] is None:
                    continue
                try:
                    reading = _reading(quantity, row)
                except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                    odd, why = odd + 1, why or shorten(str(error), server.mask)
                    continue
                yield reading
    if odd:
        _log.warning(
            "skipped %d rows of %s that are not our readings: %s", odd, FIELDS[quantity], why
        )


async def _content(server: Server, line: bytes) -> Any:
    """The JSON of a line, without secrets that were sent; None if it is no JSON."""
    if len(line) > _LARGE:
        return await asyncio.to_thread(_loads, server, line)
    return _loads(server, line)


def _loads(server: Server, line: bytes) -> Any:
    try:
        content = json.loads(line)
        meaning = json.dumps(content, ensure_ascii=False).encode() if b"\\" in line else line
        return server.in_data.mask_all(content) if server.in_data.are_in(meaning) else content
    except (ValueError, RecursionError):
        return None


def _rows(server: Server, line: bytes, content: Any, *, begun: bool) -> Iterator[Row]:
    """The rows of one chunk of a response, by column name. Raises the server's errors."""
    try:
        if "error" in content:
            raise server.refusal(str(content["error"]))
        for result in content["results"]:
            if "error" in result:
                raise server.refusal(str(result["error"]))
            for series in result.get("series") or ():
                columns, tags = series["columns"], series.get("tags") or {}
                if not {"time", "value"}.issubset(columns):
                    names = shorten(", ".join(map(str, columns)), server.mask)
                    raise server.foreign(f"it returned {names}")
                for values in series["values"]:
                    yield {**tags, **dict(zip(columns, values, strict=True))}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if begun:
            raise server.cut_off() from None
        raise server.foreign(Complaint.parse(line, server.mask).message) from None


def _reading(quantity: Quantity, row: Row) -> Reading:
    quality = row.get("quality")
    return Reading(
        time=_EPOCH + timedelta(seconds=row["time"]),
        quantity=quantity,
        value=_value(quantity, float(row["value"])),
        house_id=int(row["house_id"]),
        house=_text(row, "house"),
        device_id=int(row["device_id"]),
        device=_text(row, "device"),
        model="",
        point=row["point"],
        point_id=_text(row, "point_id"),
        name=_text(row, "name"),
        water=row.get("water") or None,
        quality=Quality.GOOD if quality is None else _QUALITIES[quality],
    )


def _value(quantity: Quantity, number: float) -> Value:
    if quantity.is_boolean:
        if number not in (0, 1):
            raise ValueError(f"{number:g} is neither 0 nor 1")
        return number == 1
    # Every field is a float; a whole value may have been an int.
    whole = quantity.is_whole and number.is_integer() and -_INT64 <= number < _INT64
    return int(number) if whole else number


def _text(row: Row, tag: str) -> str:
    return unquote(row.get(tag) or "")

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
from sst_cloud_sinks._history import keep_newest, without_duplicates
from sst_cloud_sinks.base import run_concurrently

from .http import Server
from .line_protocol import FIRST, LAST, MEASUREMENTS, QUALITIES
from .partial_write import ErrorBody, shorten

_log = logging.getLogger(__name__)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_QUOTED_MEASUREMENTS: Final = tuple(f'"{name}"' for name in sorted(set(MEASUREMENTS.values())))
_SERIES: Final = '"house_id", "device_id", "point", "point_id"'
_TAGS: Final = ", ".join(
    f'"{tag}"::tag'
    for tag in ("house_id", "house", "device_id", "device", "point", "point_id", "name", "water")
)
_LARGE_BYTES: Final = 256 * 1024
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
        f"time {sign} '{_query_time(bound)}'"
        for sign, bound in ((">=", since), ("<", until))
        if bound is not None
    ]
    where = f" WHERE {' AND '.join(times)}" if times else ""
    select = f'SELECT "{quantity.name_with_unit}" AS "value", {_quality(quantity)}, {_TAGS}'
    streams = [
        _readings(server, endpoint, quantity, f"{select} FROM {measurement}{where}")
        for measurement in _QUOTED_MEASUREMENTS
    ]
    async with (
        aclosing(_by_time(streams)) as readings,
        aclosing(without_duplicates(readings)) as unique,
    ):
        async for reading in unique:
            yield reading


async def newest(server: Server, endpoint: URL, limit: int) -> Sequence[Reading]:
    """The newest reading of every series, by `limit` queries at a time.

    The server searches from the end.
    """
    newest_by_series: dict[object, Reading] = {}

    async def read_newest(quantity: Quantity) -> None:
        select = f'last("{quantity.name_with_unit}") AS "value", {_quality(quantity)}, {_TAGS}'
        statement = f"SELECT {select} FROM {', '.join(_QUOTED_MEASUREMENTS)} GROUP BY {_SERIES}"  # noqa: S608  our own names
        async with aclosing(_readings(server, endpoint, quantity, statement)) as readings:
            async for reading in readings:
                keep_newest(newest_by_series, reading)

    await run_concurrently(read_newest, tuple(Quantity), limit)
    return tuple(newest_by_series.values())


def _quality(quantity: Quantity) -> str:
    return f'"{quantity.value}_quality" AS "quality"'


def _query_time(moment: datetime) -> str:
    # Readings are in whole seconds: rounding up keeps a half-open range exact.
    elapsed = min(max(moment, FIRST), LAST) - _EPOCH
    return format_time(_EPOCH + timedelta(seconds=math.ceil(elapsed.total_seconds())))


async def _by_time(streams: Sequence[AsyncGenerator[Reading]]) -> AsyncGenerator[Reading]:
    """Merge streams that are each sorted by time. Usually all but one are empty."""
    async with AsyncExitStack() as stack:
        heads: dict[AsyncGenerator[Reading], Reading] = {}
        for stream in streams:
            await stack.enter_async_context(aclosing(stream))
            if (first := await anext(stream, None)) is not None:
                heads[stream] = first
        while heads:
            stream = min(heads, key=lambda candidate: heads[candidate].time)
            yield heads[stream]
            if (following := await anext(stream, None)) is None:
                del heads[stream]
            else:
                heads[stream] = following


async def _readings(
    server: Server, endpoint: URL, quantity: Quantity, statement: str
) -> AsyncGenerator[Reading]:
    """The result of a statement; rows that are not our readings are skipped, logged once."""
    skipped, reason = 0, ""
    has_rows = False
    url = endpoint.update_query(q=statement)
    async with aclosing(server.lines(url, Accept="application/json")) as lines:
        async for line in lines:
            if not line.strip():
                continue
            content = await _parse_line(server, line)
            for row in _rows(server, line, content, has_rows=has_rows):
                has_rows = True
                if row["value"] is None:
                    continue
                try:
                    reading = _reading(quantity, row)
                except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                    skipped, reason = skipped + 1, reason or shorten(str(error), server.mask)
                    continue
                yield reading
    if skipped:
        _log.warning(
            "skipped %d rows of %s that are not our readings: %s",
            skipped,
            quantity.name_with_unit,
            reason,
        )


async def _parse_line(server: Server, line: bytes) -> Any:
    """The JSON of a line, without secrets that were sent; None if it is not JSON."""
    if len(line) > _LARGE_BYTES:
        return await asyncio.to_thread(_parse, server, line)
    return _parse(server, line)


def _parse(server: Server, line: bytes) -> Any:
    try:
        content = json.loads(line)
        unescaped = json.dumps(content, ensure_ascii=False).encode() if b"\\" in line else line
        secrets = server.data_secrets
        return secrets.mask_all(content) if secrets.are_in(unescaped) else content
    except (ValueError, RecursionError):
        return None


def _rows(server: Server, line: bytes, content: Any, *, has_rows: bool) -> Iterator[Row]:
    """The rows of one chunk of a response, by column name. Raises the server's errors."""
    try:
        if "error" in content:
            raise server.query_error(str(content["error"]))
        for result in content["results"]:
            if "error" in result:
                raise server.query_error(str(result["error"]))
            for series in result.get("series") or ():
                columns, tags = series["columns"], series.get("tags") or {}
                if not {"time", "value"}.issubset(columns):
                    names = shorten(", ".join(map(str, columns)), server.mask)
                    raise server.foreign_response(f"it returned {names}")
                for values in series["values"]:
                    yield {**tags, **dict(zip(columns, values, strict=True))}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if has_rows:
            raise server.incomplete_response() from None
        raise server.foreign_response(ErrorBody.parse(line, server.mask).message) from None


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
    is_whole = quantity.is_whole and number.is_integer() and -_INT64 <= number < _INT64
    return int(number) if is_whole else number


def _text(row: Row, tag: str) -> str:
    return unquote(row.get(tag) or "")

"""Reading back from a Timestream table."""

import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final, NamedTuple

from sst_cloud.readings import Quantity, Reading

from ._history import each_once, keep_newest
from ._timestream_aws import QUERY, Connection
from ._timestream_records import DIMENSIONS, reading_of

_log = logging.getLogger(__name__)

_PAGE: Final = 1000
_VALUES: Final = {
    f"measure_value::{kind}": f"value_{kind}" for kind in ("bigint", "boolean", "double")
}
"""Value columns, and their aliases in computed results."""


async def rows(
    aws: Connection,
    table: str,
    quantity: Quantity,
    since: datetime | None = None,
    until: datetime | None = None,
) -> AsyncGenerator[Reading]:
    """Readings by time, as stored."""
    where = [f"measure_name = '{quantity.value}'"]
    if since is not None:
        where.append(f"time >= {_moment(since)}")
    if until is not None:
        where.append(f"time < {_moment(until)}")
    # A table has only the columns that were ever written, so only `*` works for every table.
    sql = f"SELECT * FROM {table} WHERE {' AND '.join(where)} ORDER BY time"  # noqa: S608  checked names
    async for row in _ask(aws, sql):
        if (reading := _reading(aws, row)) is not None:
            yield reading


async def history(
    aws: Connection,
    table: str,
    quantity: Quantity,
    since: datetime | None,
    until: datetime | None,
) -> AsyncGenerator[Reading]:
    """Readings by time, each key once: of several rows, the one with the best quality."""
    async with (
        aclosing(rows(aws, table, quantity, since, until)) as readings,
        aclosing(each_once(readings)) as found,
    ):
        async for reading in found:
            yield reading


async def newest(aws: Connection, table: str) -> Sequence[Reading]:
    """The newest reading of every series."""
    columns = await _columns(aws, f"SELECT * FROM {table} LIMIT 1")  # noqa: S608
    by = [f'"{name}"' for name in ("measure_name", *DIMENSIONS) if name in columns]
    values = [
        f"max_by({column}, time) AS {alias}"
        for column, alias in _VALUES.items()
        if column in columns
    ]
    if not values:
        return ()
    quantities = ", ".join(f"'{quantity.value}'" for quantity in Quantity)
    sql = (
        f"SELECT {', '.join([*by, 'max(time) AS time', *values])} FROM {table} "  # noqa: S608
        f"WHERE measure_name IN ({quantities}) GROUP BY {', '.join(by)}"
    )
    found: dict[object, Reading] = {}
    async for row in _ask(aws, sql):
        named = {**row, **{column: row.get(alias) for column, alias in _VALUES.items()}}
        if (reading := _reading(aws, named)) is not None:
            keep_newest(found, reading)
    return tuple(found.values())


def _reading(aws: Connection, row: Mapping[str, str | None]) -> Reading | None:
    try:
        return reading_of(row)
    except ValueError as error:
        reason = aws.shorten(str(error))
        _log.warning("skipped a row of the table that is not a reading: %s", reason)
        return None


async def _columns(aws: Connection, sql: str) -> frozenset[str]:
    page = await _page(aws, sql, MaxRows=1)
    while not page.names and page.more:
        page = await _page(aws, sql, NextToken=page.more)
    return frozenset(page.names)


async def _ask(aws: Connection, sql: str) -> AsyncIterator[Mapping[str, str | None]]:
    """The rows of a result, by column name, page by page."""
    more: dict[str, str] = {}
    while True:
        page = await _page(aws, sql, MaxRows=_PAGE, **more)
        for row in page.rows:  # a page may be empty while the query is still running
            yield row
        if not page.more:
            return
        more = {"NextToken": page.more}


class _Page(NamedTuple):
    names: Sequence[str]
    rows: Sequence[Mapping[str, str | None]]
    more: str | None


async def _page(aws: Connection, sql: str, **request: Any) -> _Page:
    page = await aws.call(QUERY, "query", QueryString=sql, **request)
    try:
        names = [column.get("Name", "") for column in page["ColumnInfo"]]
        values = [[datum.get("ScalarValue") for datum in row["Data"]] for row in page["Rows"]]
        rows = [dict(zip(names, row, strict=True)) for row in values]
    except (KeyError, ValueError):
        raise aws.unreadable() from None
    return _Page(names, rows, page.get("NextToken"))


def _moment(moment: datetime) -> str:
    # Readings are in whole seconds: rounding up keeps a half-open range exact.
    return f"from_milliseconds({math.ceil(moment.timestamp()) * 1000})"

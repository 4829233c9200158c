"""Reading back from a Timestream table."""

import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final, NamedTuple

from sst_cloud.readings import Quantity, Reading
from sst_cloud_sinks._history import keep_newest, without_duplicates

from .aws import QUERY, Connection
from .records import DIMENSIONS, reading_of

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
        where.append(f"time >= {_sql_time(since)}")
    if until is not None:
        where.append(f"time < {_sql_time(until)}")
    # A table has only the columns that were ever written, so only `*` works for every table.
    sql = f"SELECT * FROM {table} WHERE {' AND '.join(where)} ORDER BY time"  # noqa: S608  checked names
    async for row in _query(aws, sql):
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
        aclosing(without_duplicates(readings)) as unique,
    ):
        async for reading in unique:
            yield reading


async def newest(aws: Connection, table: str) -> Sequence[Reading]:
    """The newest reading of every series."""
    columns = await _columns(aws, f"SELECT * FROM {table} LIMIT 1")  # noqa: S608
    group_columns = [f'"{name}"' for name in ("measure_name", *DIMENSIONS) if name in columns]
    values = [
        f"max_by({column}, time) AS {alias}"
        for column, alias in _VALUES.items()
        if column in columns
    ]
    if not values:
        return ()
    quantities = ", ".join(f"'{quantity.value}'" for quantity in Quantity)
    sql = (
        f"SELECT {', '.join([*group_columns, 'max(time) AS time', *values])} FROM {table} "  # noqa: S608
        f"WHERE measure_name IN ({quantities}) GROUP BY {', '.join(group_columns)}"
    )
    newest_by_series: dict[object, Reading] = {}
    async for row in _query(aws, sql):
        value_row = {**row, **{column: row.get(alias) for column, alias in _VALUES.items()}}
        if (reading := _reading(aws, value_row)) is not None:
            keep_newest(newest_by_series, reading)
    return tuple(newest_by_series.values())


def _reading(aws: Connection, row: Mapping[str, str | None]) -> Reading | None:
    try:
        return reading_of(row)
    except ValueError as error:
        reason = aws.shorten(str(error))
        _log.warning("skipped a row of the table that is not a reading: %s", reason)
        return None


async def _columns(aws: Connection, sql: str) -> frozenset[str]:
    page = await _page(aws, sql, MaxRows=1)
    while not page.names and page.next_token:
        page = await _page(aws, sql, NextToken=page.next_token)
    return frozenset(page.names)


async def _query(aws: Connection, sql: str) -> AsyncIterator[Mapping[str, str | None]]:
    """The rows of a result, by column name, page by page."""
    next_token: dict[str, str] = {}
    while True:
        page = await _page(aws, sql, MaxRows=_PAGE, **next_token)
        for row in page.rows:  # a page may be empty while the query is still running
            yield row
        if not page.next_token:
            return
        next_token = {"NextToken": page.next_token}


class _Page(NamedTuple):
    names: Sequence[str]
    rows: Sequence[Mapping[str, str | None]]
    next_token: str | None


async def _page(aws: Connection, sql: str, **request: Any) -> _Page:
    page = await aws.call(QUERY, "query", QueryString=sql, **request)
    try:
        names = [column.get("Name", "") for column in page["ColumnInfo"]]
        values = [[cell.get("ScalarValue") for cell in row["Data"]] for row in page["Rows"]]
        rows = [dict(zip(names, row, strict=True)) for row in values]
    except (KeyError, ValueError):
        raise aws.unreadable_error() from None
    return _Page(names, rows, page.get("NextToken"))


def _sql_time(moment: datetime) -> str:
    # Readings are in whole seconds: rounding up keeps a half-open range exact.
    return f"from_milliseconds({math.ceil(moment.timestamp()) * 1000})"

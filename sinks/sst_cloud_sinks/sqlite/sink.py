"""Readings in an SQLite file: the default store. Idempotent, and can be read back."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, Final

from sst_cloud.errors import SinkRefusedError
from sst_cloud.readings import FIELDS, Quantity, Reading, format_time, plain_fields
from sst_cloud.sink import Guarantee, WriteReport
from sst_cloud_sinks._files import check_exists
from sst_cloud_sinks.base import BaseSink

from .file import Reader, SqliteFile

_log = logging.getLogger(__name__)

_KEY: Final = ("quantity", "time", "house_id", "device_id", "point", "point_id")
_NON_KEY: Final = tuple(field for field in FIELDS if field not in _KEY)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS readings (
    time TEXT NOT NULL,
    quantity TEXT NOT NULL,
    value NOT NULL,
    unit TEXT NOT NULL,
    house_id INTEGER NOT NULL,
    house TEXT NOT NULL,
    device_id INTEGER NOT NULL,
    device TEXT NOT NULL,
    model TEXT NOT NULL,
    point TEXT NOT NULL,
    point_id TEXT NOT NULL,
    name TEXT,
    line INTEGER,
    water TEXT,
    quality TEXT NOT NULL,
    PRIMARY KEY (quantity, time, house_id, device_id, point, point_id)
) WITHOUT ROWID
"""
"""`value` has no type, so that SQLite keeps integers and floats apart."""
_UPSERT: Final = f"""
INSERT INTO readings ({", ".join(FIELDS)}) VALUES ({", ".join("?" * len(FIELDS))})
ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET {", ".join(f"{f} = excluded.{f}" for f in _NON_KEY)}
WHERE {" OR ".join(f"{field} IS NOT excluded.{field}" for field in _NON_KEY)}
"""  # noqa: S608  made of our own field names
_SERIES: Final = tuple(field for field in _KEY if field != "time")
_PAGE: Final = f"""
SELECT {", ".join(FIELDS)} FROM readings
WHERE quantity = ? AND (time, house_id, device_id, point, point_id) > (?, ?, ?, ?, ?) AND time < ?
ORDER BY time, house_id, device_id, point, point_id LIMIT ?
"""  # noqa: S608
_LATEST: Final = f"""
SELECT {", ".join(FIELDS)}, max(time) FROM readings
WHERE ({", ".join(_KEY)}) > (?, ?, ?, ?, ?, ?) AND ({", ".join(_KEY)}) <= (?, ?, ?, ?, ?, ?)
GROUP BY {", ".join(_SERIES)}
"""  # noqa: S608
_NTH_KEY: Final = f"""
SELECT {", ".join(_KEY)} FROM readings
WHERE ({", ".join(_KEY)}) > (?, ?, ?, ?, ?, ?) ORDER BY {", ".join(_KEY)} LIMIT 1 OFFSET ?
"""  # noqa: S608
_MIN_INT: Final = -(1 << 63)
_BEFORE_ALL: Final = ("", "", _MIN_INT, _MIN_INT, "", "")
_AFTER_ALL: Final = (b"",) * 6
"""Keys before and after all others: SQLite sorts numbers before texts, and texts before bytes."""
_ROWS_AT_ONCE: Final = 5_000
_BUSY: Final = 10.0
"""Seconds to wait while another program writes, or reads."""
_position_of = itemgetter(*(FIELDS.index(field) for field in _KEY[1:]))
_series_of = itemgetter(*(FIELDS.index(field) for field in _SERIES))


class SqliteSink(BaseSink):
    """Stores readings in the table `readings` of an SQLite file, one column per key.

    Times are ISO 8601 text in UTC, booleans 0 and 1. Every write is synced to disk, all of it in
    the file itself: it may be moved or copied whenever nothing is being written.
    """

    target: ClassVar[str] = "PATH"
    guarantee: ClassVar[Guarantee] = Guarantee.IDEMPOTENT

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._file = SqliteFile(self._path, self._has_table, _BUSY)

    async def check(self) -> None:
        """Check that the file is ours, not damaged, and can be written, or could be created."""
        await asyncio.to_thread(self._file.examine)

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Store readings in one transaction: all or none."""
        if readings:
            await asyncio.to_thread(self._file.write, partial(self._upsert, readings))
        return WriteReport(accepted=len(readings))

    async def read(
        self, quantity: Quantity, since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[Reading]:
        """Readings by time, loading a few thousand at a time."""
        until_text = format_time(until) if until else "~"
        position: Sequence[Any] = (format_time(since) if since else "", _MIN_INT, _MIN_INT, "", "")
        reader = Reader(self._file)
        try:
            has_more = True
            while has_more:
                values = (quantity.value, *position, until_text, _ROWS_AT_ONCE)
                page = partial(self._page, values)
                rows = await asyncio.to_thread(reader.run, page) or ()
                for reading in self._readings(rows):
                    yield reading
                has_more = len(rows) == _ROWS_AT_ONCE
                position = rows and _position_of(rows[-1])
        finally:
            await asyncio.to_thread(reader.close)

    async def latest(self) -> Sequence[Reading]:
        """The newest reading of every series."""
        return await asyncio.to_thread(self._latest)

    async def check_readable(self) -> None:
        """Check that the file exists and has our table."""
        await asyncio.to_thread(self._check_readable)

    def _has_table(self, database: sqlite3.Connection) -> bool:
        columns = {row[1] for row in database.execute("PRAGMA table_info(readings)")}
        if columns and not columns.issuperset(FIELDS):
            raise SinkRefusedError(
                f"{self._path} has a table `readings` with different columns; choose another file"
            )
        return bool(columns)

    def _upsert(self, readings: Sequence[Reading], database: sqlite3.Connection) -> None:
        if not self._has_table(database):
            database.execute(_SCHEMA)
        database.executemany(_UPSERT, _rows(readings))

    def _page(self, values: Sequence[Any], database: sqlite3.Connection) -> Sequence[Sequence[Any]]:
        return database.execute(_PAGE, values).fetchall() if self._has_table(database) else ()

    def _latest(self) -> Sequence[Reading]:
        newest: dict[object, Sequence[Any]] = {}
        position: Sequence[Any] | None = _BEFORE_ALL
        reader = Reader(self._file)
        try:
            while position:
                rows, position = reader.run(partial(self._newest_of_chunk, position)) or ((), None)
                newest.update((_series_of(row), row[:-1]) for row in rows)
        finally:
            reader.close()
        return tuple(self._readings(newest.values()))

    def _newest_of_chunk(
        self, position: Sequence[Any], database: sqlite3.Connection
    ) -> tuple[Sequence[Sequence[Any]], Sequence[Any] | None]:
        """The newest rows among some thousand after a position, and the position of their end."""
        if not self._has_table(database):
            return (), None
        end = database.execute(_NTH_KEY, (*position, _ROWS_AT_ONCE)).fetchone()
        return database.execute(_LATEST, (*position, *(end or _AFTER_ALL))).fetchall(), end

    def _check_readable(self) -> None:
        check_exists(self._path)
        reader = Reader(self._file)
        try:
            has_table = reader.run(self._has_table)
        finally:
            reader.close()
        if has_table is None:
            raise SinkRefusedError(f"{self._path} is empty; nothing has been stored there yet")
        if not has_table:
            raise SinkRefusedError(f"{self._path} contains no readings; it is some other database")

    def _readings(self, rows: Iterable[Sequence[Any]]) -> Iterator[Reading]:
        for row in rows:
            try:
                yield _reading(row)
            except (ValueError, TypeError) as error:
                _log.warning("%s: skipped a row that is not a reading: %s", self._path, error)


def _rows(readings: Sequence[Reading]) -> list[tuple[Any, ...]]:
    times: dict[datetime, str] = {}
    rows = []
    for time, *fields, water, quality in map(plain_fields, readings):
        text = times.get(time) or times.setdefault(time, format_time(time))
        rows.append((text, *fields, water and water.value, quality))
    return rows


def _reading(row: Sequence[Any]) -> Reading:
    record = dict(zip(FIELDS, row, strict=True))
    if Quantity(record["quantity"]).is_boolean:
        record["value"] = bool(record["value"])
    return Reading.from_dict(record)

"""Readings in an SQLite file: the default store. Idempotent, and can be read back."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self, TypeVar

from sst_cloud.errors import SinkError, SinkRefusedError, SinkUnavailableError
from sst_cloud.readings import FIELDS, Quantity, Reading, format_time, plain_fields
from sst_cloud.sink import Guarantee, Option, SinkURL, WriteReport

from ._files import check_there, check_writable

T = TypeVar("T")

_KEY: Final = ("quantity", "time", "house_id", "device_id", "point", "point_id")
_REST: Final = tuple(field for field in FIELDS if field not in _KEY)
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
ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET {", ".join(f"{f} = excluded.{f}" for f in _REST)}
WHERE {" OR ".join(f"{field} IS NOT excluded.{field}" for field in _REST)}
"""  # noqa: S608  made of our own field names
_READ: Final = f"""
SELECT {", ".join(FIELDS)} FROM readings
WHERE quantity = ? AND time >= ? AND time < ?
ORDER BY time, house_id, device_id, point, point_id
"""  # noqa: S608
_LATEST: Final = f"""
SELECT {", ".join(FIELDS)}, max(time) FROM readings
GROUP BY quantity, house_id, device_id, point, point_id
"""  # noqa: S608
_ROWS_AT_ONCE: Final = 5_000
_BUSY: Final = 10.0
"""Seconds to wait for another writer."""
_PASSING: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
)
"""Locked, or disk full or failing: may go away on a retry. Anything else has to be fixed first."""
_NOT_WRITABLE: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})


class SqliteSink:
    """Stores readings in the table `readings` of an SQLite file, one column per key.

    Times are ISO 8601 text in UTC, booleans 0 and 1. Uses WAL; every write is synced to disk.
    """

    target: ClassVar[str] = "PATH"
    options: ClassVar[Sequence[Option]] = ()
    guarantee: ClassVar[Guarantee] = Guarantee.IDEMPOTENT

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._connection: sqlite3.Connection | None = None
        self._opened: int | None = None
        self._prepared = False
        self._lock = threading.Lock()

    @classmethod
    def from_url(cls, url: SinkURL) -> Self:
        """`sqlite:PATH`."""
        url.convert(cls.options)
        return cls(url.path())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._close)

    async def check(self) -> None:
        """Check that the file is our database and can be written, or could be created."""
        check_writable(self._path)
        if self._path.exists():
            await self._run(self._try_lock)

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Store readings in one transaction: all or none."""
        if readings:
            check_writable(self._path)
            await self._run(lambda database: self._upsert(database, readings))
        return WriteReport(accepted=len(readings))

    async def read(
        self, quantity: Quantity, since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[Reading]:
        """Readings by time, loading a few thousand at a time."""
        first = format_time(since) if since else ""
        last = format_time(until) if until else "~"
        query = await self._query(_READ, quantity.value, first, last)
        while rows := await self._run(lambda _: query.fetchmany(_ROWS_AT_ONCE)) if query else ():
            for row in rows:
                yield _reading(row)

    async def latest(self) -> Sequence[Reading]:
        """The newest reading of every series."""
        query = await self._query(_LATEST)
        rows = await self._run(lambda _: query.fetchall()) if query else ()
        return tuple(_reading(row[:-1]) for row in rows)

    async def check_readable(self) -> None:
        """Check that the file exists and has our table."""
        check_there(self._path)
        if not await self._run(self._reading(self._has_table)):
            raise SinkRefusedError(f"{self._path} contains no readings; it is some other database")

    async def _query(self, sql: str, *values: str) -> sqlite3.Cursor | None:
        """A running query; None if nothing has been stored yet."""
        if not self._path.exists():
            return None
        return await self._run(
            self._reading(
                lambda database: (
                    database.execute(sql, values) if self._has_table(database) else None
                )
            )
        )

    def _reading(self, action: Callable[[sqlite3.Connection], T]) -> Callable[..., T]:
        """The same action, but also for a read-only file or folder."""

        def action_or_again(database: sqlite3.Connection) -> T:
            try:
                return action(database)
            except sqlite3.OperationalError as error:
                if _code(error) not in _NOT_WRITABLE:
                    raise
            return action(self._open_unwritable())

        return action_or_again

    async def _run(self, action: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.to_thread(self._locked, action)

    def _locked(self, action: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                return action(self._open())
            except sqlite3.Error as error:
                raise self._sink_error(error) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._inode() != self._opened:
            # The file was removed or replaced: writes to the old one would be lost.
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False
            )
            self._opened = self._inode()
            self._prepared = False
        return self._connection

    def _open_unwritable(self) -> sqlite3.Connection:
        """Even to read, WAL needs a file next to the database, unless it is immutable."""
        wal = self._path.with_name(f"{self._path.name}-wal")
        if wal.exists() and wal.stat().st_size:
            raise SinkRefusedError(
                f"{self._path} cannot be read from a read-only folder while part of its data is "
                f"in {wal.name}: make the folder writable, or copy both files elsewhere"
            )
        if self._connection is not None:
            self._connection.close()
        self._connection = sqlite3.connect(
            f"{self._path.resolve().as_uri()}?mode=ro&immutable=1",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        self._prepared = False
        return self._connection

    def _inode(self) -> int | None:
        return self._path.stat().st_ino if self._path.exists() else None

    def _prepare(self, database: sqlite3.Connection) -> None:
        if not self._prepared:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            if not self._has_table(database):
                database.execute(_SCHEMA)
            self._prepared = True

    def _has_table(self, database: sqlite3.Connection) -> bool:
        columns = {row[1] for row in database.execute("PRAGMA table_info(readings)")}
        if columns and not columns.issuperset(FIELDS):
            raise SinkRefusedError(
                f"{self._path} has a table `readings` with different columns; choose another file"
            )
        return bool(columns)

    def _try_lock(self, database: sqlite3.Connection) -> None:
        self._has_table(database)
        database.execute("BEGIN IMMEDIATE")
        database.execute("ROLLBACK")

    def _upsert(self, database: sqlite3.Connection, readings: Sequence[Reading]) -> None:
        self._prepare(database)
        rows = _rows(readings)
        database.execute("BEGIN IMMEDIATE")
        try:
            database.executemany(_UPSERT, rows)
            database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise

    def _close(self) -> None:
        with self._lock:
            database, self._connection = self._connection, None
            if database is not None:
                database.close()

    def _sink_error(self, error: sqlite3.Error) -> SinkError:
        code = _code(error)
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return SinkRefusedError(
                f"{self._path} is not a valid SQLite database ({error}); choose another file"
            )
        kind = SinkUnavailableError if code in _PASSING else SinkRefusedError
        return kind(f"{self._path} cannot be used: {error}")


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


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

"""The outbox: readings are committed here before they are delivered to any sink."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.readings import Reading, format_time

from . import queries
from .database import check_database, second_connection
from .entries import Batch, Commit, Limits, Start, as_utf8, decode, encode
from .file import OutboxFile
from .integrity import damage, entry_sum
from .status import DeliveryState, Status, Stream

_log = logging.getLogger(__name__)

T = TypeVar("T")

_REMOVED_PER_TRANSACTION: Final = 5_000
"""So many entries at the most: a long clean-up does not block other work."""
_TOO_OLD: Final = "they were too old to keep"


class Outbox:
    """Readings and events in an SQLite file (WAL, synced at every commit), with cursors.

    All work is done in a single dedicated thread. A consumer is a sink or an event handler; each
    has a cursor.
    """

    def __init__(
        self, folder: Path, *, limits: Limits | None = None, clock: Clock | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._clock = clock or SystemClock()
        self._file = OutboxFile(folder, self._clock)
        self._thread = ThreadPoolExecutor(1, "outbox")
        self._latest_readings: Mapping[bytes, Reading] = {}
        """The last commit's readings by their record: all sinks need them, and decoding is slow."""

    async def __aenter__(self) -> Self:
        """Open or create it. Raises `OutboxError` if it is in use or not an outbox."""
        await self._in_thread(self._file.open)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._in_thread(self._file.close)
        self._thread.shutdown()

    async def append(self, commit: Commit) -> None:
        """Commit an entry: it is on disk, and can be read, when this returns.

        Raises `OutboxError`.
        """
        added = int(self._clock.now().timestamp())
        records = {
            Stream.READINGS: [encode(reading) for reading in commit.readings],
            Stream.EVENTS: [encode(event) for event in commit.events],
        }
        rows: dict[Stream, list[tuple[int, int, bytes, int]]] = {}
        notes = {key: _encodable(text) for key, text in commit.notes.items()}

        def insert(database: sqlite3.Connection) -> None:
            for stream, contents in records.items():
                rows[stream] = [
                    (seq, added, record, entry_sum(stream, seq, added, record))
                    for seq, record in enumerate(contents, queries.newest(database, stream) + 1)
                ]
                if contents:
                    queries.append(database, stream, rows[stream])
                    queries.store_newest(database, stream, rows[stream][-1][0])
            queries.store_notes(database, notes)
            queries.set_salvaged(database, salvaged=False)

        def check() -> None:
            with closing(second_connection(self._file.path)) as database:
                queries.check_consumers(database)
                is_same = all(queries.latest(database, s, len(rows[s])) == rows[s] for s in rows)
                if not is_same or not notes.items() <= queries.notes(database).items():
                    raise damage("what was written is not what is read")
            self._file.newest |= {stream: rows[stream][-1][0] for stream in rows if rows[stream]}

        await self._in_thread(lambda: self._file.run(insert, check=check))
        self._latest_readings = dict(zip(records[Stream.READINGS], commit.readings, strict=True))

    async def notes(self) -> dict[str, str]:
        """The stored notes, by name; a damaged one is logged and ignored."""

        def read(database: sqlite3.Connection) -> dict[str, str]:
            for name in sorted(queries.damaged_notes(database)):
                _log.error("the note %r in the outbox is damaged and is ignored", name)
            return queries.notes(database)

        return await self._run(read)

    async def register(self, name: str, stream: Stream, start: Start = Start.NOW) -> None:
        """Register a consumer's cursor; a known consumer continues where it was."""

        def add(database: sqlite3.Connection) -> None:
            # A salvaged outbox may have lost this consumer's cursor.
            starts_now = start is Start.NOW and not queries.is_salvaged(database)
            cursor = queries.newest(database, stream) if starts_now else 0
            database.execute(
                "INSERT INTO consumers (name, stream, cursor) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET joined = 1, state = 'delivering'",
                (name, stream, max(cursor, queries.first(database, stream) - 1)),
            )
            _skip_dropped(database, stream, _TOO_OLD)
            self._file.positions[stream, name] = queries.position(database, stream, name)

        await self._run(add)

    async def batch(self, name: str, stream: Stream, limit: int) -> Batch[Any]:
        """The next entries for a consumer, oldest first; empty if it has received all."""

        def select(database: sqlite3.Connection) -> list[tuple[int, int, bytes, int | None]]:
            return database.execute(
                "SELECT seq, added, CAST(record AS BLOB), sum "  # noqa: S608  one of two names
                f"FROM {stream} WHERE seq > "
                "(SELECT cursor FROM consumers WHERE stream = ? AND name = ?) ORDER BY seq LIMIT ?",
                (stream, name, limit),
            ).fetchall()

        def read() -> Batch[Any]:
            rows = self._file.run(select, write=False)
            items, unreadable, latest = [], [], self._latest_readings
            for seq, added, record, checksum in rows:
                item = latest.get(record)
                if not item and checksum in (None, entry_sum(stream, seq, added, record)):
                    item = decode(stream, record)
                if item is None:
                    unreadable.append(seq)
                else:
                    items.append(item)
            if unreadable:
                _log_skipped(stream, unreadable)
            self._file.outdated.discard((stream, name))
            return Batch(items, rows[-1][0] if rows else 0, len(unreadable))

        return await self._in_thread(read)

    async def mark_delivered(
        self, name: str, stream: Stream, upto: int, *, accepted: int, rejected: int = 0
    ) -> None:
        """Record that a consumer has received this many entries, up to this number."""
        now = format_time(self._clock.now())
        previous = upto - accepted - rejected

        def advance(database: sqlite3.Connection) -> None:
            position = 0 if (stream, name) in self._file.outdated else upto
            self._file.positions[stream, name] = position
            database.execute(
                # What was dropped while it was being delivered was received all the same.
                "UPDATE consumers SET dropped = dropped - max(0, min(cursor, ?) - ?), "
                "cursor = max(cursor, ?), delivered = delivered + ?, "
                "rejected = rejected + ?, last_success = ?, state = 'delivering', error = NULL, "
                "error_since = NULL, next_try = NULL WHERE stream = ? AND name = ?",
                (position, previous, position, accepted, rejected, now, stream, name),
            )

        await self._run(advance)

    async def record_failure(
        self, name: str, stream: Stream, state: DeliveryState, error: str, next_try: datetime
    ) -> None:
        """Record why a delivery failed, and when it will be retried."""
        now = format_time(self._clock.now())
        await self._run(
            lambda database: database.execute(
                "UPDATE consumers SET state = ?, error = ?, "
                "error_since = coalesce(error_since, ?), next_try = ? "
                "WHERE stream = ? AND name = ?",
                (state, _encodable(error), now, format_time(next_try), stream, name),
            )
        )

    async def tidy(self) -> None:
        """Remove entries that all consumers have received, and those beyond the limits.

        First it checks for damage: writing to a damaged file may destroy more of it.
        """
        await self._in_thread(
            lambda: self._file.run(lambda _: check_database(self._file.path), write=False)
        )
        more = True
        while more:  # other work may run in between
            more = await self._in_thread(self._tidy_once)

    async def status(self) -> Status:
        """The collector's status."""
        return await self._run(queries.status)

    def _tidy_once(self) -> bool:
        """Remove some of each stream, and shrink the file; returns whether there may be more."""
        more = [self._file.run(partial(self._tidy_stream, stream=stream)) for stream in Stream]
        self._file.run(queries.shrink, write=False)
        self._file.run(queries.checkpoint, write=False)
        return any(more)

    def _tidy_stream(self, database: sqlite3.Connection, stream: Stream) -> bool:
        """Remove some of a stream; returns whether there may be more."""
        oldest, newest = queries.first(database, stream), queries.newest(database, stream)
        if oldest > newest:
            return False
        now = int(self._clock.now().timestamp())
        (lowest_cursor,) = database.execute(
            "SELECT coalesce(min(cursor), ?) FROM consumers WHERE stream = ? AND joined",
            (newest, stream),
        ).fetchone()
        is_full = queries.size(database) > self._limits.size
        first_kept = oldest + max(1, min(_REMOVED_PER_TRANSACTION, (newest - oldest) // 20))
        if not is_full:
            too_old = queries.too_old(
                database, stream, now, now - int(self._limits.age.total_seconds())
            )
            first_kept = min(oldest + _REMOVED_PER_TRANSACTION, newest + 1)
            (first_kept,) = database.execute(
                # The first entry to keep.
                f"SELECT coalesce(min(seq), ?) FROM {stream} WHERE seq < ? AND NOT "  # noqa: S608
                # Otherwise entries added while the clock was ahead would stay until that time.
                "(seq <= ? OR (abs(added - ?) > ? AND seq <= ?))",
                (
                    first_kept,
                    first_kept,
                    too_old,
                    now,
                    int(self._limits.keep.total_seconds()),
                    lowest_cursor,
                ),
            ).fetchone()
        if first_kept == oldest:
            return False
        database.execute(f"DELETE FROM {stream} WHERE seq < ?", (first_kept,))  # noqa: S608
        _skip_dropped(database, stream, "the outbox is full" if is_full else _TOO_OLD)
        return True

    async def _run(self, action: Callable[[sqlite3.Connection], T]) -> T:
        return await self._in_thread(lambda: self._file.run(action))

    async def _in_thread(self, action: Callable[[], T]) -> T:
        """Run to completion, even if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._thread, action))


def _skip_dropped(database: sqlite3.Connection, stream: Stream, reason: str) -> None:
    for name, dropped in queries.skip_dropped(database, stream):
        _log.error(
            "dropped %d %s that %s had not received: %s",
            dropped,
            stream,
            name,
            reason,
        )


def _log_skipped(stream: Stream, numbers: Sequence[int]) -> None:
    if len(numbers) == 1:
        _log.error("skipped entry %d of the outbox, which cannot be read", numbers[0])
    else:
        _log.error(
            "skipped %d %s in the outbox, from entry %d on, which cannot be read",
            len(numbers),
            stream,
            numbers[0],
        )


def _encodable(text: str) -> str:
    """Without what UTF-8 cannot encode."""
    return as_utf8(text).decode()

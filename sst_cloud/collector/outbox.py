"""The outbox: readings are committed here before they are delivered to any sink."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.errors import OutboxError
from sst_cloud.readings import FIELDS, Reading, format_time

from . import queries
from .database import FILE, is_damage, open_database, set_aside
from .entries import Batch, Entry, Limits, Start
from .events import Event
from .lock import COLLECTOR, Lock
from .status import Course, Status, Stream

_log = logging.getLogger(__name__)

T = TypeVar("T")

_AT_ONCE: Final = 5_000
"""Entries removed per transaction, so that a long clean-up does not block other work."""
_KEPT_NO_LONGER: Final = "they were too old to keep"
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Outbox:
    """Readings and events in an SQLite file (WAL, synced at every commit), with cursors.

    All work is done in a single dedicated thread. A consumer is a sink or an event handler; each
    has a cursor.
    """

    def __init__(
        self, folder: Path, *, limits: Limits | None = None, clock: Clock | None = None
    ) -> None:
        self._path = folder / FILE
        self._limits = limits or Limits()
        self._clock = clock or SystemClock()
        self._lock = Lock(
            folder / COLLECTOR,
            f"another collector is using {folder}; give this one its own folder with --state",
        )
        self._thread = ThreadPoolExecutor(1, "outbox")
        self._database: sqlite3.Connection | None = None
        self._file: int | None = None
        """The inode of the open file."""
        self._fresh: Mapping[str, Reading] = {}
        """The latest entries, by their text: all sinks need them now, and decoding takes time."""
        self._joined: dict[tuple[Stream, str], None] = {}
        self._outdated: set[tuple[Stream, str]] = set()
        """Consumers whose last batch came from a file that is gone: its numbers mean nothing."""

    async def __aenter__(self) -> Self:
        """Open or create it. Raises `OutboxError` if it is in use or not an outbox."""
        await self._in_thread(self._lock.__enter__)
        try:
            await self._run(queries.everybody_left)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._in_thread(self._close)
        self._thread.shutdown()

    async def append(self, entry: Entry) -> None:
        """Commit an entry: it is on disk when this returns. Raises `OutboxError`."""
        added = int(self._clock.now().timestamp())
        readings = [
            (added, _encode(list(reading.as_dict().values()))) for reading in entry.readings
        ]
        events = [(added, _encode(event.as_dict())) for event in entry.events]
        notes = {key: _storable(text) for key, text in entry.notes.items()}

        def append(database: sqlite3.Connection) -> None:
            insert = "INSERT INTO {} (added, record) VALUES (?, ?)"
            database.executemany(insert.format(Stream.READINGS), readings)
            database.executemany(insert.format(Stream.EVENTS), events)
            queries.note(database, notes)

        await self._run(append)
        texts = (record for _, record in readings)
        self._fresh = dict(zip(texts, entry.readings, strict=True))

    async def notes(self) -> dict[str, str]:
        """The stored notes, by name."""
        return await self._run(queries.notes)

    async def join(self, name: str, stream: Stream, start: Start = Start.NOW) -> None:
        """Register a consumer's cursor; a known consumer continues where it was."""

        def join(database: sqlite3.Connection) -> None:
            cursor = queries.newest(database, stream) if start is Start.NOW else 0
            database.execute(
                "INSERT INTO consumers (name, stream, cursor) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET joined = 1, course = 'flowing'",
                (name, stream, max(cursor, queries.first(database, stream) - 1)),
            )
            _skip_dropped(database, stream, _KEPT_NO_LONGER)

        await self._run(join)
        self._joined[stream, name] = None

    async def batch(self, name: str, stream: Stream, most: int) -> Batch[Any]:
        """The next entries for a consumer, oldest first; empty if it has had them all."""

        def rows(database: sqlite3.Connection) -> list[tuple[int, str]]:
            return database.execute(
                f"SELECT seq, record FROM {stream} WHERE seq > "  # noqa: S608  one of two names
                "(SELECT cursor FROM consumers WHERE stream = ? AND name = ?) ORDER BY seq LIMIT ?",
                (stream, name, most),
            ).fetchall()

        def read() -> Batch[Any]:
            found = self._locked(rows, write=False)
            decode: Callable[[Any], Any] = (
                _reading if stream is Stream.READINGS else Event.from_dict
            )
            items, unreadable, fresh = [], 0, self._fresh
            for seq, record in found:
                try:
                    items.append(fresh.get(record) or decode(json.loads(record)))
                except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
                    unreadable += 1
                    _log.error("skipped entry %d of the outbox, which cannot be read", seq)
            self._outdated.discard((stream, name))
            return Batch(items, found[-1][0] if found else 0, unreadable)

        return await self._in_thread(read)

    async def deliver(
        self, name: str, stream: Stream, upto: int, *, accepted: int, rejected: int = 0
    ) -> None:
        """Record that a consumer has received this many entries, up to this number."""
        now = format_time(self._clock.now())
        before = upto - accepted - rejected

        def deliver(database: sqlite3.Connection) -> None:
            place = 0 if (stream, name) in self._outdated else upto
            database.execute(
                # What was dropped during its delivery has arrived after all.
                "UPDATE consumers SET dropped = dropped - max(0, min(cursor, ?) - ?), "
                "cursor = max(cursor, ?), delivered = delivered + ?, "
                "rejected = rejected + ?, last_success = ?, course = 'flowing', error = NULL, "
                "error_since = NULL, next_try = NULL WHERE stream = ? AND name = ?",
                (place, before, place, accepted, rejected, now, stream, name),
            )

        await self._run(deliver)

    async def fail(
        self, name: str, stream: Stream, course: Course, error: str, next_try: datetime
    ) -> None:
        """Record why a delivery failed, and when it will be retried."""
        now = format_time(self._clock.now())
        await self._run(
            lambda database: database.execute(
                "UPDATE consumers SET course = ?, error = ?, "
                "error_since = coalesce(error_since, ?), next_try = ? "
                "WHERE stream = ? AND name = ?",
                (course, _storable(error), now, format_time(next_try), stream, name),
            )
        )

    async def tidy(self) -> None:
        """Remove entries that all consumers have received, and those beyond the limits."""
        more = True
        while more:  # other work may run in between
            more = await self._in_thread(self._tidy_some)

    async def status(self) -> Status:
        """The collector's status."""
        return await self._run(queries.status)

    def _tidy_some(self) -> bool:
        """Remove some of each stream, and shrink the file; returns whether there may be more."""
        more = [self._locked(partial(self._tidy, stream=stream), write=True) for stream in Stream]
        self._locked(queries.give_back, write=False)
        self._locked(queries.write_back, write=False)
        return any(more)

    def _tidy(self, database: sqlite3.Connection, stream: Stream) -> bool:
        """Remove some; returns whether there may be more."""
        oldest, newest = queries.first(database, stream), queries.newest(database, stream)
        if oldest > newest:
            return False
        now = int(self._clock.now().timestamp())
        (everyone,) = database.execute(
            "SELECT coalesce(min(cursor), ?) FROM consumers WHERE stream = ? AND joined",
            (newest, stream),
        ).fetchone()
        over = queries.size(database) > self._limits.size
        last = oldest + max(1, min(_AT_ONCE, (newest - oldest) // 20))
        if not over:
            too_old = queries.too_old(
                database, stream, now, now - int(self._limits.age.total_seconds())
            )
            last = min(oldest + _AT_ONCE, newest + 1)
            (last,) = database.execute(
                # The first entry to keep.
                f"SELECT coalesce(min(seq), ?) FROM {stream} WHERE seq < ? AND NOT "  # noqa: S608
                # Otherwise entries added while the clock was ahead would stay until that time.
                "(seq <= ? OR (abs(added - ?) > ? AND seq <= ?))",
                (last, last, too_old, now, int(self._limits.keep.total_seconds()), everyone),
            ).fetchone()
        if last == oldest:
            return False
        database.execute(f"DELETE FROM {stream} WHERE seq < ?", (last,))  # noqa: S608
        _skip_dropped(database, stream, "the outbox is full" if over else _KEPT_NO_LONGER)
        return True

    async def _run(self, action: Callable[[sqlite3.Connection], T]) -> T:
        return await self._in_thread(lambda: self._locked(action, write=True))

    async def _in_thread(self, action: Callable[[], T]) -> T:
        """Run to completion, even if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._thread, action))

    def _locked(self, action: Callable[[sqlite3.Connection], T], *, write: bool) -> T:
        try:
            try:
                return self._transaction(action, write=write)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._begin_anew(str(error))
                return self._transaction(action, write=write)
        except (sqlite3.Error, OSError) as error:
            raise OutboxError(f"the outbox {self._path} cannot be used: {error}") from error

    def _transaction(self, action: Callable[[sqlite3.Connection], T], *, write: bool) -> T:
        database = self._opened()
        if not write:
            return action(database)
        database.execute("BEGIN IMMEDIATE")
        try:
            result = action(database)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:  # a full disk rolls back by itself
                database.execute("ROLLBACK")
            raise
        return result

    def _opened(self) -> sqlite3.Connection:
        if self._database is not None and self._inode() != self._file:
            _log.error("the outbox %s was removed or replaced; starting a new one", self._path)
            self._lock.__exit__(None, None, None)  # that file may be gone too, and the folder
            self._lock.__enter__()
            self._begin_anew(None)
        if self._database is None:
            self._database = self._open()
            self._file = self._inode()
        return self._database

    def _open(self) -> sqlite3.Connection:
        """In a new file, all consumers start at the beginning: nothing in it is old."""
        database = open_database(self._path, self._clock.now())
        try:
            database.executemany(
                "INSERT INTO consumers (stream, name, cursor) VALUES (?, ?, 0) "
                "ON CONFLICT DO UPDATE SET joined = 1",
                self._joined,
            )
        except BaseException:
            database.close()
            raise
        return database

    def _inode(self) -> int | None:
        return self._path.stat().st_ino if self._path.exists() else None

    def _begin_anew(self, damage: str | None) -> None:
        """Continue with a new file, now or as soon as it can be opened."""
        self._outdated.update(self._joined)
        if self._database is not None:
            self._database.close()
            self._database = None
        if damage is not None:
            set_aside(self._path, self._clock.now(), damage)
        self._opened()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        self._lock.__exit__(None, None, None)


def _skip_dropped(database: sqlite3.Connection, stream: Stream, because: str) -> None:
    for name, dropped in queries.skip_dropped(database, stream):
        _log.error(
            "dropped %d %s that %s had not received: %s",
            dropped,
            stream,
            name,
            because,
        )


def _storable(text: str) -> str:
    """Without what UTF-8 cannot encode: lone surrogates in the cloud's JSON or in file names."""
    return text.encode("utf-8", "replace").decode()


def _reading(values: Sequence[Any]) -> Reading:
    return Reading.from_dict(dict(zip(FIELDS, values, strict=True)))

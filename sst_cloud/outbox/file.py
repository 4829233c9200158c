"""An open outbox: its transactions, and going over to a new file if its own is damaged or gone."""

import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from sst_cloud.clock import Clock
from sst_cloud.errors import OutboxError, OutboxInUseError
from sst_cloud.wording import count

from . import queries
from .database import FILE, check_log, open_database, replace, second_connection
from .integrity import ERRORS, is_damage
from .lock import COLLECTOR_LOCK, Lock
from .salvage import Progress
from .status import Stream

_log = logging.getLogger(__name__)

T = TypeVar("T")


class OutboxFile:
    """A file that one process uses, in one thread."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.path: Path = folder / FILE
        self.newest: dict[Stream, int] = {}
        """The highest numbers that are certainly on the disk."""
        self.positions: dict[tuple[Stream, str], int] = {}
        """How far each consumer that has joined is, at least."""
        self.outdated: set[tuple[Stream, str]] = set()
        """Consumers whose last batch came from a removed file: its numbers mean nothing now."""
        self._clock = clock
        self._lock = Lock(
            folder / COLLECTOR_LOCK,
            partial(OutboxInUseError, f"another collector is using {folder}"),
            with_folder=True,
        )
        self._database: sqlite3.Connection | None = None
        self._guard: sqlite3.Connection | None = None
        """Prevents SQLite from writing back and removing the log when `_database` is closed."""
        self._inode: int | None = None
        """The inode of the open file."""

    def open(self) -> None:
        """Lock the folder; open or create the file. Raises `OutboxError`."""
        self._lock.__enter__()
        try:
            self.run(queries.mark_all_absent)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise

    def run(
        self,
        action: Callable[[sqlite3.Connection], T],
        *,
        write: bool = True,
        check: Callable[[], None] = lambda: None,
    ) -> T:
        """Run in a transaction, then check; again in a new file if this one is damaged.

        Raises `OutboxError`.
        """
        try:
            try:
                return self._transaction(action, check, write=write)
            except ERRORS as error:
                if not is_damage(error):
                    raise
                self._replace_damaged(str(error))
                return self._transaction(action, check, write=write)
        except (*ERRORS, OSError) as error:
            raise OutboxError(f"the outbox {self.path} cannot be used: {error}") from error

    def close(self) -> None:
        """Close it, and release the folder."""
        try:
            if self._database is not None and self._current_inode() == self._inode:
                self.run(lambda _: check_log(self.path), write=False)
                if self._guard is not None:
                    self._guard.close()  # so that the log is written back
        except OutboxError as error:
            _log.error("%s", error)
        finally:
            self._close_connections()
            self._lock.__exit__(None, None, None)

    def _transaction(
        self,
        action: Callable[[sqlite3.Connection], T],
        check: Callable[[], None],
        *,
        write: bool,
    ) -> T:
        database = self._connection()
        if not write:
            return action(database)
        database.execute("BEGIN IMMEDIATE")
        try:
            queries.check_consumers(database)
            result = action(database)
            queries.update_consumer_sums(database)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:  # a full disk rolls back by itself
                database.execute("ROLLBACK")
            raise
        check()
        return result

    def _connection(self) -> sqlite3.Connection:
        if self._database is not None and self._current_inode() != self._inode:
            _log.error(
                "the outbox %s was removed or replaced, with %s in it; starting a new one",
                self.path,
                self._undelivered_in_words(),
            )
            self._lock.__exit__(None, None, None)  # its file may be removed too, and the folder
            self._lock.__enter__()
            self.outdated.update(self.positions)
            self._close_connections()
            self.newest = {}
        return self._database or self._open()

    def _open(self) -> sqlite3.Connection:
        database = open_database(self.path, self._clock.now(), self._progress())
        guard = None
        try:
            with database:
                database.execute("BEGIN IMMEDIATE")
                self.positions = queries.rejoin(database, self.positions)
                queries.update_consumer_sums(database)
            guard = second_connection(self.path)
            self.newest = {stream: queries.newest(guard, stream) for stream in Stream}
        except BaseException:
            database.close()
            if guard is not None:
                guard.close()
            raise
        self._database, self._guard, self._inode = database, guard, self._current_inode()
        return database

    def _undelivered_in_words(self) -> str:
        """What had not been delivered everywhere."""
        undelivered = {
            stream: max(
                (newest - cursor for (s, _), cursor in self.positions.items() if s == stream),
                default=0,
            )
            for stream, newest in self.newest.items()
        }
        readings, events = undelivered.get(Stream.READINGS, 0), undelivered.get(Stream.EVENTS, 0)
        return f"{count(readings, 'undelivered reading')} and {count(events, 'event')}"

    def _current_inode(self) -> int | None:
        """The inode of the file that is at the path now."""
        return self.path.stat().st_ino if self.path.exists() else None

    def _replace_damaged(self, reason: str) -> None:
        """Continue with a new file, now or as soon as it can be opened."""
        if self._database is not None:
            self._close_connections()
            replace(self.path, self._clock.now(), reason, self._progress())
        self._connection()

    def _progress(self) -> Progress | None:
        return Progress(self.newest, self.positions) if self.newest else None

    def _close_connections(self) -> None:
        """Close both, and leave the file and its log as they are."""
        for connection in (self._database, self._guard):
            if connection is not None:
                connection.close()
        self._database = self._guard = None

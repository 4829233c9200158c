"""The outbox's open file: transactions in it, and a new one where it is damaged or gone."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sst_cloud.clock import Clock
from sst_cloud.errors import OutboxError
from sst_cloud.wording import count

from . import queries
from .database import FILE, check_log, look_afresh, open_database, replace
from .integrity import ERRORS, is_damage
from .lock import COLLECTOR, Lock
from .salvage import Known
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
        """Consumers whose last batch came from a file that is gone: its numbers mean nothing."""
        self._clock = clock
        self._lock = Lock(
            folder / COLLECTOR,
            f"another collector is using {folder}; give this one its own folder with --state",
            with_folder=True,
        )
        self._database: sqlite3.Connection | None = None
        self._guard: sqlite3.Connection | None = None
        """Keeps SQLite from writing the log back, and removing it, where `_database` is closed."""
        self._inode: int | None = None
        """The inode of the open file."""

    def open(self) -> None:
        """Lock the folder; open or create the file. Raises `OutboxError`."""
        self._lock.__enter__()
        try:
            self.run(queries.everybody_left)
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
                self._begin_anew(str(error))
                return self._transaction(action, check, write=write)
        except (*ERRORS, OSError) as error:
            raise OutboxError(f"the outbox {self.path} cannot be used: {error}") from error

    def close(self) -> None:
        """Close it, and release the folder."""
        try:
            if self._database is not None and self._present() == self._inode:
                self.run(lambda _: check_log(self.path), write=False)
                if self._guard is not None:
                    self._guard.close()  # so that the log is written back
        except OutboxError as error:
            _log.error("%s", error)
        finally:
            self._let_go()
            self._lock.__exit__(None, None, None)

    def _transaction(
        self,
        action: Callable[[sqlite3.Connection], T],
        check: Callable[[], None],
        *,
        write: bool,
    ) -> T:
        database = self._opened()
        if not write:
            return action(database)
        database.execute("BEGIN IMMEDIATE")
        try:
            queries.check_consumers(database)
            result = action(database)
            queries.seal_consumers(database)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:  # a full disk rolls back by itself
                database.execute("ROLLBACK")
            raise
        check()
        return result

    def _opened(self) -> sqlite3.Connection:
        if self._database is not None and self._present() != self._inode:
            _log.error(
                "the outbox %s was removed or replaced, with %s in it; starting a new one",
                self.path,
                self._undelivered(),
            )
            self._lock.__exit__(None, None, None)  # that file may be gone too, and the folder
            self._lock.__enter__()
            self.outdated.update(self.positions)
            self._let_go()
            self.newest = {}
        return self._database or self._open()

    def _open(self) -> sqlite3.Connection:
        database = open_database(self.path, self._clock.now(), self._known())
        guard = None
        try:
            with database:
                database.execute("BEGIN IMMEDIATE")
                self.positions = queries.rejoin(database, self.positions)
                queries.seal_consumers(database)
            guard = look_afresh(self.path)
            self.newest = {stream: queries.newest(guard, stream) for stream in Stream}
        except BaseException:
            database.close()
            if guard is not None:
                guard.close()
            raise
        self._database, self._guard, self._inode = database, guard, self._present()
        return database

    def _undelivered(self) -> str:
        """How much had not been delivered everywhere, in words."""
        most = {
            stream: max(
                (newest - at for (of, _), at in self.positions.items() if of == stream), default=0
            )
            for stream, newest in self.newest.items()
        }
        readings, events = most.get(Stream.READINGS, 0), most.get(Stream.EVENTS, 0)
        return f"{count(readings, 'undelivered reading')} and {count(events, 'event')}"

    def _present(self) -> int | None:
        """The inode of the file that has its name."""
        return self.path.stat().st_ino if self.path.exists() else None

    def _begin_anew(self, reason: str) -> None:
        """Continue with a new file, now or as soon as it can be opened."""
        if self._database is not None:
            self._let_go()
            replace(self.path, self._clock.now(), reason, self._known())
        self._opened()

    def _known(self) -> Known | None:
        return Known(self.newest, self.positions) if self.newest else None

    def _let_go(self) -> None:
        """Close, and leave the file and its log as they are."""
        for connection in (self._database, self._guard):
            if connection is not None:
                connection.close()
        self._database = self._guard = None

"""The SQLite file at a path, though it may be moved, copied, replaced or removed at any time."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import count
from os import SEEK_END
from pathlib import Path
from typing import Final, TypeVar

from sst_cloud.errors import SinkError, SinkRefusedError, SinkUnavailableError
from sst_cloud.files import sync_folder

from ._files import shortage, status_of
from ._sqlite_errors import check_place, damaged, error_code, is_no_access, real_path, sink_errors

_log = logging.getLogger(__name__)

T = TypeVar("T")
Identity = tuple[int, int]
"""Device and inode of a file."""
Check = Callable[[sqlite3.Connection], object]

_LONGEST_EXAMINATION: Final = 3.0
"""Seconds to look for damage: a writer has to wait meanwhile."""
_LEFTOVERS: Final = ("-journal", "-wal")
"""What SQLite has beside a file during a write, or all the time; after a crash it needs them."""
_JOURNAL: Final = bytes.fromhex("d9d505f920a163d7")
"""How a journal begins that is needed."""
_HEADER: Final = 28
"""From its 16th byte, it has the pages of the file before the write; from its 24th, their size."""
_ROLLBACK: Final = b"\x01\x01"
"""From the 18th byte of a file that is not in WAL mode."""


class SqliteFile:
    """Reads and writes the file that is at the path then; keeps none open in between.

    What a connection remembers of a file would be wrong once another has been copied over it.
    """

    def __init__(self, path: Path, check: Check, busy: float) -> None:
        """`check` raises `SinkRefusedError` for another's database; `busy` is in seconds."""
        self.path = path
        self.check = check
        self._busy = busy
        self._written: Identity | None = None
        """The file last written to, unless it has been reported as gone."""
        self._new: Identity | None = None
        """An empty file that has been made, and not yet been written to."""

    def examine(self) -> None:
        """Check that it can be written, or could be created, and is not damaged."""
        with sink_errors(self.path, "written"):
            check_place(self.path)
            self.set_foreign_aside()
            if self.is_empty():
                return
            with self._open() as database:
                self.check(database)
                database.execute("BEGIN IMMEDIATE")
                database.execute("ROLLBACK")
                self._look_for_damage(database)

    def write(self, action: Callable[[sqlite3.Connection], object]) -> None:
        """Do it in one transaction. When this returns, all of it is on disk, in the file itself.

        Nothing is in a file beside it then, so that it may be moved or copied.
        """
        with sink_errors(self.path, "written"):
            self.set_foreign_aside()
            self._create()
            with self._open_unmoved() as (database, identity):
                self._report(identity)
                self.check(database)
                if self._written is None and identity != self._new:
                    self._look_for_damage(database)
                self._leave_wal(database)
                database.execute("PRAGMA synchronous = FULL")
                database.execute("BEGIN IMMEDIATE")
                try:
                    action(database)
                    database.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        database.execute("ROLLBACK")
                    raise
                # The journal is removed; if a power cut brought it back, it would undo the write.
                sync_folder(real_path(self.path).parent)
            self._written, self._new = identity, None

    def is_empty(self) -> bool:
        """Whether nothing has been stored yet. SQLite must not open it: see `_set_aside`."""
        status = status_of(self.path)
        return status is None or not status.st_size

    def identity(self) -> Identity | None:
        """Which file is at the path."""
        status = status_of(self.path)
        return status and (status.st_dev, status.st_ino)

    def connect(self, options: str) -> sqlite3.Connection:
        """Open it, with options as in SQLite's file URIs."""
        return sqlite3.connect(
            f"{real_path(self.path).as_uri()}?{options}",
            uri=True,
            timeout=self._busy,
            isolation_level=None,
            check_same_thread=False,
        )

    def leftovers(self) -> Iterator[Path]:
        """Files beside it without which some of the data is missing, or only half of it written."""
        real = real_path(self.path)
        status = status_of(real)
        nothing_written = status is not None and not status.st_size
        for suffix in _LEFTOVERS:
            side = real.with_name(real.name + suffix)
            with suppress(FileNotFoundError), side.open("rb") as file:
                begin = file.read(_HEADER)
                # That of the first write of all is, unless its file is there and still empty.
                needed = begin.startswith(_JOURNAL) and (any(begin[16:20]) or not nothing_written)
                if needed or (begin and suffix == "-wal"):
                    yield side

    def set_foreign_aside(self) -> None:
        """Keep what another file, in whose place this one was put, has left beside it.

        SQLite would apply it to this one, and destroy both.
        """
        for side in () if self.is_empty() else self.leftovers():
            with self.path.open("rb") as file, side.open("rb") as left:
                main, begin = file.read(_HEADER), left.read(_HEADER)
                size = file.seek(0, SEEK_END)
            pages, page_size = int.from_bytes(begin[16:20]), int.from_bytes(begin[24:28])
            is_journal = begin.startswith(_JOURNAL)
            if pages * page_size > size if is_journal else main[18:20] == _ROLLBACK:
                _set_aside(side)

    def _create(self) -> None:
        """Make an empty file if there is none."""
        if not self.is_empty():
            return
        for side in self.leftovers():
            _set_aside(side)
        identity = self.identity()
        if identity is None:
            self.connect("mode=rwc").close()
            self._new = self.identity()
        elif identity != self._new:
            _log.warning("%s is empty; starting a new store in it", self.path)

    def _report(self, identity: Identity) -> None:
        """Log, once, that this is not the file last written to."""
        if self._written is None:
            return
        if identity == self._new:
            _log.warning("%s was moved or removed; starting a new one", self.path)
        elif identity != self._written:
            _log.warning("%s was replaced; going on with the file that is there now", self.path)
        else:
            return
        self._written = None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # Errors are looked into before it is closed, and too many files are open no more.
        with closing(self.connect("mode=rw")) as database, sink_errors(self.path, "written"):
            yield database

    @contextmanager
    def _open_unmoved(self) -> Iterator[tuple[sqlite3.Connection, Identity]]:
        """The file, and which one it is: while it is open, no other can have that inode.

        However a write ends: if another file is at the path by then, it has to be repeated.
        """
        identity = self.identity()
        with self._open() as database:
            if identity is None or identity != self.identity():
                raise self._moved()
            try:
                yield database, identity
            except (sqlite3.Error, OSError, SinkError) as error:
                if self.identity() != identity:
                    raise self._moved() from error
                raise
            if self.identity() != identity:
                raise self._moved()

    def _moved(self) -> SinkUnavailableError:
        return SinkUnavailableError(f"{self.path} was moved or removed during the write")

    def _leave_wal(self, database: sqlite3.Connection) -> None:
        """A store of an earlier version has what is new in a file beside it."""
        try:
            database.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if error_code(error) != sqlite3.SQLITE_BUSY:
                raise
            raise SinkUnavailableError(
                f"{self.path} is locked: it is in WAL mode, which it can leave only while no other "
                "program has it open; close the others once"
            ) from error

    def _look_for_damage(self, database: sqlite3.Connection) -> None:
        alarm = threading.Timer(_LONGEST_EXAMINATION, database.interrupt)
        alarm.start()
        try:
            (result,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if error_code(error) != sqlite3.SQLITE_INTERRUPT:
                raise
            return
        finally:
            alarm.cancel()
            alarm.join()
        if result != "ok":
            raise damaged(self.path, result.splitlines()[-1])


class Reader:
    """Reads the file in short queries, between which others may write.

    It is one and the same file to the end: half of one and half of another would look like all.
    """

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._identity: Identity | None = None

    def run(self, query: Callable[[sqlite3.Connection], T]) -> T | None:
        """What the query returns; None if nothing has been stored yet."""
        with self._lock, sink_errors(self._file.path, "read"):
            if self._database is None:
                self._identity = self._file.identity()
                if self._file.is_empty():
                    return None
                self._database = self._open()
            if self._file.identity() != self._identity:
                raise SinkUnavailableError(
                    f"{self._file.path} was moved or replaced while it was being read"
                )
            try:
                return query(self._database)
            except sqlite3.OperationalError as error:
                if error_code(error):
                    raise
            # A text is damaged, so that Python cannot decode it.
            self._database.text_factory = partial(str, encoding="utf-8", errors="replace")
            return query(self._database)

    def close(self) -> None:
        """Close the file, once a query that is running has come to its end."""
        with self._lock:
            if self._database is not None:
                self._database.close()

    def _open(self) -> sqlite3.Connection:
        with suppress(PermissionError):  # nor may SQLite apply it then
            self._file.set_foreign_aside()
        database = self._file.connect("mode=rw")
        try:
            self._file.check(database)
        except BaseException as error:
            lack = shortage()
            database.close()
            if lack:
                raise lack from error
            if is_no_access(error):
                return self._open_unwritable()
            raise
        return database

    def _open_unwritable(self) -> sqlite3.Connection:
        """WAL needs a file beside it even to read, but for a file that does not change."""
        for side in self._file.leftovers():
            raise SinkRefusedError(
                f"{self._file.path} cannot be read from a read-only folder while part of its data "
                f"is in {side.name}: make the folder writable, or copy both files elsewhere"
            )
        return self._file.connect("mode=ro&immutable=1")


def _set_aside(side: Path) -> None:
    """Keep what a store that was moved away has left behind: SQLite would delete it."""
    names = (f"{side.name}.orphan{number}" for number in count(1))
    aside = next(path for path in map(side.with_name, names) if not path.exists())
    side.rename(aside)
    _log.error(
        "%s belongs to a store that was moved or removed without it, and was renamed to %s. Keep "
        "both, and put it beside that store as STORE%s before anything opens the store",
        side,
        aside.name,
        side.name[side.name.rindex("-") :],
    )

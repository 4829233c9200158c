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

from sst_cloud.atomic_files import sync_folder
from sst_cloud.errors import SinkError, SinkRefusedError, SinkUnavailableError
from sst_cloud_sinks._files import shortage, status_of

from .errors import (
    check_file_and_folder,
    damage_error,
    error_code,
    is_no_access,
    real_path,
    sink_errors,
)

_log = logging.getLogger(__name__)

T = TypeVar("T")
Identity = tuple[int, int]
"""Device and inode of a file."""
Check = Callable[[sqlite3.Connection], object]

_MAX_EXAMINATION: Final = 3.0
"""Seconds to look for damage: a writer has to wait meanwhile."""
_SIDE_SUFFIXES: Final = ("-journal", "-wal")
"""Of the files that SQLite has beside a database; after a crash it needs them."""
_JOURNAL_START: Final = bytes.fromhex("d9d505f920a163d7")
"""The first bytes of a journal that is needed."""
_HEADER_BYTES: Final = 28
"""Of a journal: from byte 16 the number of pages before the write, from byte 24 their size."""
_NO_WAL: Final = b"\x01\x01"
"""Bytes 18 and 19 of a database that is not in WAL mode."""


class SqliteFile:
    """Reads and writes the file that is at the path at that time; keeps none open in between.

    A connection left open would go wrong once another file has been copied over its own.
    """

    def __init__(self, path: Path, check: Check, busy_timeout: float) -> None:
        """`check` raises `SinkRefusedError` for another database; `busy_timeout` is in seconds."""
        self.path = path
        self.check = check
        self._busy_timeout = busy_timeout
        self._last_written: Identity | None = None
        """The file last written to; None again once its loss has been logged."""
        self._new_empty: Identity | None = None
        """An empty file that was created here, and not yet written to."""

    def examine(self) -> None:
        """Check that it can be written, or could be created, and is not damaged."""
        with sink_errors(self.path, "written"):
            check_file_and_folder(self.path)
            self.rename_foreign_side_files()
            if self.is_empty():
                return
            with self._open() as database:
                self.check(database)
                database.execute("BEGIN IMMEDIATE")
                database.execute("ROLLBACK")
                self._check_for_damage(database)

    def write(self, action: Callable[[sqlite3.Connection], object]) -> None:
        """Run `action` in one transaction. All of it is then on disk, in the file itself.

        No file beside it is needed, so it may be moved or copied.
        """
        with sink_errors(self.path, "written"):
            self.rename_foreign_side_files()
            self._create()
            with self._open_identified() as (database, identity):
                self._log_change(identity)
                self.check(database)
                if self._last_written is None and identity != self._new_empty:
                    self._check_for_damage(database)
                self._switch_wal_off(database)
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
            self._last_written, self._new_empty = identity, None

    def is_empty(self) -> bool:
        """Whether nothing has been stored yet. SQLite must not open it: see `_rename_orphan`."""
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
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
        )

    def needed_side_files(self) -> Iterator[Path]:
        """Files beside it without which some of the data is missing, or only half of it written."""
        real = real_path(self.path)
        status = status_of(real)
        is_main_empty = status is not None and not status.st_size
        for suffix in _SIDE_SUFFIXES:
            side_file = real.with_name(real.name + suffix)
            with suppress(FileNotFoundError), side_file.open("rb") as file:
                header = file.read(_HEADER_BYTES)
                # A journal of no pages is the first write's: needless while the database is empty.
                is_needed_journal = header.startswith(_JOURNAL_START) and (
                    any(header[16:20]) or not is_main_empty
                )
                if is_needed_journal or (header and suffix == "-wal"):
                    yield side_file

    def rename_foreign_side_files(self) -> None:
        """Rename files beside it that belong to another store, which was at this path before.

        SQLite would apply them to this one, and destroy both.
        """
        for side_file in () if self.is_empty() else self.needed_side_files():
            with self.path.open("rb") as file, side_file.open("rb") as side:
                main_header, header = file.read(_HEADER_BYTES), side.read(_HEADER_BYTES)
                size = file.seek(0, SEEK_END)
            pages, page_size = int.from_bytes(header[16:20]), int.from_bytes(header[24:28])
            is_journal = header.startswith(_JOURNAL_START)
            if pages * page_size > size if is_journal else main_header[18:20] == _NO_WAL:
                _rename_orphan(side_file)

    def _create(self) -> None:
        """Make an empty file if there is none."""
        if not self.is_empty():
            return
        for side_file in self.needed_side_files():
            _rename_orphan(side_file)
        identity = self.identity()
        if identity is None:
            self.connect("mode=rwc").close()
            self._new_empty = self.identity()
        elif identity != self._new_empty:
            _log.warning("%s is empty; starting a new store in it", self.path)

    def _log_change(self, identity: Identity) -> None:
        """Log, once, that this is not the file last written to."""
        if self._last_written is None:
            return
        if identity == self._new_empty:
            _log.warning("%s was moved or removed; starting a new one", self.path)
        elif identity != self._last_written:
            _log.warning("%s was replaced; going on with the file that is there now", self.path)
        else:
            return
        self._last_written = None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # Errors are examined before it is closed, while too many files may still be open.
        with closing(self.connect("mode=rw")) as database, sink_errors(self.path, "written"):
            yield database

    @contextmanager
    def _open_identified(self) -> Iterator[tuple[sqlite3.Connection, Identity]]:
        """The file, and which one it is: while it is open, no other can have that inode.

        However a write ends: if another file is at the path by then, it has to be repeated.
        """
        identity = self.identity()
        with self._open() as database:
            if identity is None or identity != self.identity():
                raise self._moved_error()
            try:
                yield database, identity
            except (sqlite3.Error, OSError, SinkError) as error:
                if self.identity() != identity:
                    raise self._moved_error() from error
                raise
            if self.identity() != identity:
                raise self._moved_error()

    def _moved_error(self) -> SinkUnavailableError:
        return SinkUnavailableError(f"{self.path} was moved or removed during the write")

    def _switch_wal_off(self, database: sqlite3.Connection) -> None:
        """Stores of earlier versions are in WAL mode, with new data in a file beside them."""
        try:
            database.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if error_code(error) != sqlite3.SQLITE_BUSY:
                raise
            raise SinkUnavailableError(
                f"{self.path} is locked: it is in WAL mode, which it can leave only while no other "
                "program has it open; close the others once"
            ) from error

    def _check_for_damage(self, database: sqlite3.Connection) -> None:
        timer = threading.Timer(_MAX_EXAMINATION, database.interrupt)
        timer.start()
        try:
            (result,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if error_code(error) != sqlite3.SQLITE_INTERRUPT:
                raise
            return
        finally:
            timer.cancel()
            timer.join()
        if result != "ok":
            raise damage_error(self.path, result.splitlines()[-1])


class Reader:
    """Reads the file in short queries, between which others may write.

    All of them read the same file: halves of two files would look like a whole.
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
            # Python could not decode a damaged text.
            self._database.text_factory = partial(str, encoding="utf-8", errors="replace")
            return query(self._database)

    def close(self) -> None:
        """Close the file, after a query that is running."""
        with self._lock:
            if self._database is not None:
                self._database.close()

    def _open(self) -> sqlite3.Connection:
        with suppress(PermissionError):  # SQLite may not apply them either
            self._file.rename_foreign_side_files()
        database = self._file.connect("mode=rw")
        try:
            self._file.check(database)
        except BaseException as error:
            shortage_error = shortage()
            database.close()
            if shortage_error:
                raise shortage_error from error
            if is_no_access(error):
                return self._open_read_only()
            raise
        return database

    def _open_read_only(self) -> sqlite3.Connection:
        """In WAL mode, even reading needs a file beside it, unless declared immutable."""
        for side_file in self._file.needed_side_files():
            raise SinkRefusedError(
                f"{self._file.path} cannot be read from a read-only folder while part of its data "
                f"is in {side_file.name}: make the folder writable, or copy both files elsewhere"
            )
        return self._file.connect("mode=ro&immutable=1")


def _rename_orphan(side_file: Path) -> None:
    """Keep a file that belongs to a store that was moved away: SQLite would delete it."""
    names = (f"{side_file.name}.orphan{number}" for number in count(1))
    new_path = next(path for path in map(side_file.with_name, names) if not path.exists())
    side_file.rename(new_path)
    _log.error(
        "%s belongs to a store that was moved or removed without it, and was renamed to %s. Keep "
        "both, and put it beside that store as STORE%s before anything opens the store",
        side_file,
        new_path.name,
        side_file.name[side_file.name.rindex("-") :],
    )

"""The outbox's database: schema, upgrade, opening, and replacing it when it is damaged."""

import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import Final

from sst_cloud.atomic_files import sync_folder
from sst_cloud.errors import OutboxError, OutboxMissingError

from . import queries
from .integrity import ERRORS, damage, is_damage
from .raw_pages import log_of, log_state
from .salvage import Progress, salvage

_log = logging.getLogger(__name__)

FILE: Final = "outbox.db"
"""Its name in the state folder."""

_APPLICATION_ID: Final = 0x53535443
"""`SSTC`: marks a file as ours."""
_FORMAT: Final = 3
_SCHEMA: Final = f"""
BEGIN;
CREATE TABLE readings (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, added INTEGER NOT NULL, record TEXT NOT NULL,
    sum INTEGER
);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, added INTEGER NOT NULL, record TEXT NOT NULL,
    sum INTEGER
);
CREATE TABLE consumers (
    name TEXT NOT NULL,
    stream TEXT NOT NULL,
    cursor INTEGER NOT NULL,
    joined INTEGER NOT NULL DEFAULT 1,
    state TEXT NOT NULL DEFAULT 'delivering',
    delivered INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    last_success TEXT,
    error TEXT,
    error_since TEXT,
    next_try TEXT,
    sum INTEGER,
    PRIMARY KEY (stream, name)
);
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_FORMAT};
"""
"""AUTOINCREMENT, so that numbers are never reused: cursors depend on it. The transaction is left
open."""
_TABLES: Final = ("consumers", "events", "notes", "readings")
_UPGRADES: Final = {
    1: "".join(f"ALTER TABLE {table} ADD COLUMN sum INTEGER;" for table in _TABLES),
    2: "ALTER TABLE consumers RENAME COLUMN course TO state;",
}
"""Format → how to make it the next one. The first had no checksums."""
_BUSY_TIMEOUT: Final = 10.0
"""Seconds to wait for another process that reads the file."""
_CHECK_TIME: Final = 0.5
"""Most seconds for a check of the whole file; a large one is checked in part."""


def open_database(
    path: Path, now: datetime, progress: Progress | None = None
) -> sqlite3.Connection:
    """Open or create the file. A damaged one is replaced by a new one with what can be read of it.

    Raises `OutboxError` for a file that is not an outbox, `sqlite3.Error` for temporary errors.
    """
    _finish_replacing(path)
    if reason := _damage_at_rest(path):
        replace(path, now, reason, progress)
    elif not path.exists():
        replace(path, now, None, None)
    try:
        return _open_existing(path)
    except ERRORS as error:
        if not is_damage(error):
            raise
        replace(path, now, str(error), progress)
        return _open_existing(path)


def replace(path: Path, now: datetime, reason: str | None, progress: Progress | None) -> None:
    """Replace a damaged outbox by a new one with everything that can be read of it.

    No connection may be open. A crash leaves the old file or the new one. Without a `reason` there
    is no old file.
    """
    new = _new_path(path)
    _remove(new)
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as database:
            queries.prepare(database)
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            database.execute("PRAGMA synchronous = FULL")
            database.executescript(_SCHEMA)
            salvaged = salvage(path, database, progress, int(now.timestamp())) if reason else None
            database.execute("COMMIT")
            database.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        _remove(new)  # the disk may be full
        raise
    damaged_name = _set_aside(path, now)
    new.replace(path)
    sync_folder(path.parent)
    if reason:
        _log.error(
            "the outbox %s is damaged: %s. %s A new one has been started with what could be read "
            "of it: %s",
            path,
            reason,
            f"It was renamed to {damaged_name}." if damaged_name else "It was empty.",
            salvaged,
        )


def _finish_replacing(path: Path) -> None:
    """Finish or undo a `replace` that a crash has interrupted."""
    new = _new_path(path)
    if not path.exists() and new.exists():
        try:
            with closing(sqlite3.connect(new)) as database:
                is_complete = _pragma(database, "user_version") == _FORMAT
        except ERRORS as error:
            if not is_damage(error):
                raise
            is_complete = False
        if is_complete:
            _set_aside(path, datetime.fromtimestamp(new.stat().st_mtime, UTC))
            new.replace(path)
            sync_folder(path.parent)
    _remove(new)


def _new_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _remove(path: Path) -> None:
    for suffix in ("-journal", "-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _set_aside(path: Path, now: datetime) -> str | None:
    """Rename a damaged file and its log, so that they can be examined; returns the new name."""
    name = f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}"
    existing = {file.name for file in path.parent.glob(f"{name}*")}
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    new_name = next(name for name in names if not {name, f"{name}-wal"} & existing)
    has_content = False
    for suffix in ("", "-wal"):  # in this order: see `_finish_replacing`
        source = path.with_name(path.name + suffix)
        if source.exists() and source.stat().st_size:
            has_content = True
            source.replace(path.with_name(new_name + suffix))
        source.unlink(missing_ok=True)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    return new_name if has_content else None


def _damage_at_rest(path: Path) -> str | None:
    """What is wrong with a file that is not open, where SQLite would not notice."""
    log = log_of(path)
    log_has_content = log.exists() and log.stat().st_size > 0
    if not path.exists():
        return "the file is missing, and only its log is left" if log_has_content else None
    if not path.is_file():
        return None
    with path.open("rb") as file:
        header = file.read(72)
    if not header:
        return "the file is empty, as after a power cut"
    if header[68:] != _APPLICATION_ID.to_bytes(4):
        return None
    state = log_state(path)
    if state.damage is None and state.is_torn:
        _log.warning(
            "the last write to the outbox %s is incomplete and is ignored: it was in progress when "
            "the program ended, or it is damaged",
            path,
        )
    return state.damage


def second_connection(path: Path) -> sqlite3.Connection:
    """A read-only connection beside the one in use: it shares no cache, only the file."""
    if not path.stat().st_size:  # SQLite would delete its log
        raise damage("the file is empty")
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT
    )
    queries.prepare(database)
    return database


def check_database(path: Path) -> None:
    """Raise an error that `is_damage` if the file or its log is damaged, as far as time allows."""
    with closing(second_connection(path)) as database:
        queries.check_numbers(database)
        deadline = monotonic() + _CHECK_TIME
        timer = Timer(_CHECK_TIME, database.interrupt)
        timer.start()
        try:
            (result,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
        else:
            if result != "ok" and monotonic() < deadline:  # interrupted, it may report anything
                raise damage(result)
        finally:
            timer.cancel()
            timer.join()
    check_log(path)  # last: it blocks the other threads, which are to deliver first


def check_log(path: Path) -> None:
    """Raise an error that `is_damage` if the log is damaged: it must not be written back then."""
    if reason := log_state(path).damage:
        raise damage(reason)


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open an outbox read-only, even while in use. Raises `OutboxError` if it cannot be read."""
    log = log_of(path)
    if not path.exists() and not log.exists():
        raise OutboxMissingError(f"there is no outbox in {path.parent}")
    if not path.exists() or not path.stat().st_size:  # SQLite would delete the log
        raise cannot_be_read(path, damage("the file is empty or missing, as after a power cut"))
    modes = ["mode=ro"]
    if not log.exists():
        modes.append("immutable=1")  # it is not in use, and the folder is read-only
    for mode in modes:
        try:
            return _connect_read_only(path, mode)
        except ERRORS as error:
            if is_damage(error) or not isinstance(error, sqlite3.OperationalError):
                raise cannot_be_read(path, error) from None
            reason = str(error)
    raise OutboxError(
        f"{path} cannot be read: {reason}; try as the user that the collector runs as"
    )


def cannot_be_read(path: Path, error: Exception) -> OutboxError:
    """The error of a read-only access."""
    hint = "; a collector recovers what can be read of it at its start and after each poll"
    return OutboxError(f"{path} cannot be read: {error}{hint if is_damage(error) else ''}")


def _connect_read_only(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=_BUSY_TIMEOUT
    )
    try:
        queries.prepare(connection)
        is_outbox = _pragma(connection, "application_id") == _APPLICATION_ID
        if is_outbox and _pragma(connection, "user_version") == _FORMAT:
            queries.check_numbers(connection)
    except BaseException:
        connection.close()
        raise
    if is_outbox:
        return connection
    connection.close()
    raise OutboxError(f"{path} is not an outbox of sst-cloud")


def _open_existing(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    try:
        queries.prepare(database)
        _check_is_outbox(database, path)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        _upgrade(database, _pragma(database, "user_version"))
        queries.check_numbers(database)
    except BaseException:
        database.close()
        raise
    return database


def _upgrade(database: sqlite3.Connection, version: int) -> None:
    if version == _FORMAT:
        return
    with database:
        database.execute("BEGIN")
        for old_version in range(version, _FORMAT):
            for statement in filter(None, _UPGRADES[old_version].split(";")):
                database.execute(statement)
        queries.rename_notes(database)
        database.execute(f"PRAGMA user_version = {_FORMAT}")


def _check_is_outbox(database: sqlite3.Connection, path: Path) -> None:
    application, version = _pragma(database, "application_id"), _pragma(database, "user_version")
    if application != _APPLICATION_ID:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        if {name for (name,) in tables} <= {*_TABLES, "sqlite_sequence"}:
            raise damage("its header is damaged")
        raise OutboxError(f"{path} is not an outbox of sst-cloud; choose another folder")
    if version not in range(1, _FORMAT + 1):
        raise OutboxError(
            f"{path} was made by another version of sst-cloud (format {version}, here {_FORMAT}); "
            "deliver its contents with that version, or choose another folder"
        )
    (result,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise damage(result)


def _pragma(database: sqlite3.Connection, name: str) -> int:
    (value,) = database.execute(f"PRAGMA {name}").fetchone()
    return int(value)

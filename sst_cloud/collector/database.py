"""The outbox's file: schema, opening, and setting it aside when it is damaged."""

import logging
import sqlite3
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Final

from sst_cloud.errors import OutboxError

_log = logging.getLogger(__name__)

FILE: Final = "outbox.db"
"""Its name in the state folder."""

_APPLICATION: Final = 0x53535443
"""`SSTC`: marks a file as ours."""
_VERSION: Final = 1
_SCHEMA: Final = f"""
BEGIN;
CREATE TABLE readings (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, added INTEGER NOT NULL, record TEXT NOT NULL
);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, added INTEGER NOT NULL, record TEXT NOT NULL
);
CREATE TABLE consumers (
    name TEXT NOT NULL,
    stream TEXT NOT NULL,
    cursor INTEGER NOT NULL,
    joined INTEGER NOT NULL DEFAULT 1,
    course TEXT NOT NULL DEFAULT 'flowing',
    delivered INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    last_success TEXT,
    error TEXT,
    error_since TEXT,
    next_try TEXT,
    PRIMARY KEY (stream, name)
);
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""
"""AUTOINCREMENT, so that numbers are never reused: cursors depend on it."""
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY: Final = 10.0
"""Seconds to wait while another process reads the file."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file itself is damaged."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def open_database(path: Path, now: datetime) -> sqlite3.Connection:
    """Open or create the file. A damaged one is set aside and replaced with a new one.

    Raises `OutboxError` for a file that is not an outbox, `sqlite3.Error` for temporary errors.
    """
    try:
        return _opened(path)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        set_aside(path, now, str(error))
        return _opened(path)


def set_aside(path: Path, now: datetime, reason: str) -> None:
    """Rename a damaged file, so that it can be examined, and log it."""
    name = f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}"
    aside = path.with_name(name)
    for number in count(2):
        if not aside.exists():
            break
        aside = path.with_name(f"{name}-{number}")
    for suffix in ("-wal", "-shm", ""):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.replace(aside.with_name(aside.name + suffix))
    _log.error(
        "the outbox %s is damaged (%s); it was renamed to %s and a new one started. Undelivered "
        "readings in it may be lost",
        path,
        reason,
        aside.name,
    )


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open an outbox read-only, even while in use. Raises `OutboxError` if it cannot be read."""
    if not path.exists():
        raise OutboxError(f"there is no outbox in {path.parent}; run `sst-cloud collect` first")
    modes = ["mode=ro"]
    if not path.with_name(path.name + "-wal").exists():
        modes.append("immutable=1")  # it is not in use, and the folder is read-only
    for mode in modes:
        try:
            return _to_read(path, mode)
        except sqlite3.OperationalError as error:
            reason = str(error)
        except sqlite3.Error as error:
            raise OutboxError(f"{path} cannot be read: {error}") from None
    raise OutboxError(
        f"{path} cannot be read: {reason}; try as the user that the collector runs as"
    )


def _to_read(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=_BUSY)
    try:
        application = _pragma(connection, "application_id")
        tables = _pragma(connection, "schema_version")
    except BaseException:
        connection.close()
        raise
    if application == _APPLICATION and tables:
        return connection
    connection.close()
    raise OutboxError(f"{path} is not an outbox of sst-cloud")


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        _check_ours(database, path)
        if not _pragma(database, "application_id"):
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if not _pragma(database, "application_id"):
            database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _check_ours(database: sqlite3.Connection, path: Path) -> None:
    application, version = _pragma(database, "application_id"), _pragma(database, "user_version")
    if not application and not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return
    if application != _APPLICATION:
        raise OutboxError(f"{path} is not an outbox of sst-cloud; choose another folder")
    if version != _VERSION:
        raise OutboxError(
            f"{path} was made by another version of sst-cloud (format {version}, here {_VERSION}); "
            "deliver its contents with that version, or choose another folder"
        )
    (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise _damage(found)


def _damage(found: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(found)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _pragma(database: sqlite3.Connection, name: str) -> int:
    (value,) = database.execute(f"PRAGMA {name}").fetchone()
    return int(value)

"""The outbox's file: schema, opening, and replacing it when it is damaged."""

import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import Final

from sst_cloud.errors import OutboxError
from sst_cloud.files import sync_folder

from . import queries
from .integrity import ERRORS, damage, is_damage
from .raw_pages import log_of, log_state
from .salvage import Known, salvage

_log = logging.getLogger(__name__)

FILE: Final = "outbox.db"
"""Its name in the state folder."""

_APPLICATION: Final = 0x53535443
"""`SSTC`: marks a file as ours."""
_VERSION: Final = 2
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
    course TEXT NOT NULL DEFAULT 'flowing',
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
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""
"""AUTOINCREMENT, so that numbers are never reused: cursors depend on it. The transaction is left
open."""
_TABLES: Final = ("consumers", "events", "notes", "readings")
_UPGRADE: Final = f"""
BEGIN;
{"".join(f"ALTER TABLE {table} ADD COLUMN sum INTEGER;" for table in _TABLES)}
PRAGMA user_version = {_VERSION};
COMMIT;
"""
"""From format 1, which had no checksums."""
_BUSY: Final = 10.0
"""Seconds to wait while another process reads the file."""
_CHECK: Final = 0.5
"""The most seconds that a check of the whole file takes; a large one is checked in part."""


def open_database(path: Path, now: datetime, known: Known | None = None) -> sqlite3.Connection:
    """Open or create the file. A damaged one is replaced with what can be read of it.

    Raises `OutboxError` for a file that is not an outbox, `sqlite3.Error` for temporary errors.
    """
    _finish(path)
    if reason := _damage_at_rest(path):
        replace(path, now, reason, known)
    elif not path.exists():
        replace(path, now, None, None)
    try:
        return _opened(path)
    except ERRORS as error:
        if not is_damage(error):
            raise
        replace(path, now, str(error), known)
        return _opened(path)


def replace(path: Path, now: datetime, reason: str | None, known: Known | None) -> None:
    """Put a new outbox in the place of a damaged one, with everything that can be read of it.

    No connection may be open. A crash leaves the old one or the new one; without a `reason` there
    is no old one.
    """
    new = _new(path)
    _remove(new)
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as database:
            queries.prepare(database)
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            database.execute("PRAGMA synchronous = FULL")
            database.executescript(_SCHEMA)
            salvaged = salvage(path, database, known, int(now.timestamp())) if reason else None
            database.execute("COMMIT")
            database.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        _remove(new)  # the disk may be full
        raise
    aside = _set_aside(path, now)
    new.replace(path)
    sync_folder(path.parent)
    if reason:
        _log.error(
            "the outbox %s is damaged: %s. %s A new one has been started with what could be read "
            "of it: %s",
            path,
            reason,
            f"It was renamed to {aside}." if aside else "There is nothing to keep of it.",
            salvaged,
        )


def _finish(path: Path) -> None:
    """Finish or undo what a crash has interrupted in `replace`."""
    new = _new(path)
    if not path.exists() and new.exists():
        try:
            with closing(sqlite3.connect(new)) as database:
                whole = _pragma(database, "user_version") == _VERSION
        except ERRORS as error:
            if not is_damage(error):
                raise
            whole = False
        if whole:
            _set_aside(path, datetime.fromtimestamp(new.stat().st_mtime, UTC))
            new.replace(path)
            sync_folder(path.parent)
    _remove(new)


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _remove(new: Path) -> None:
    for suffix in ("-journal", "-wal", "-shm", ""):
        new.with_name(new.name + suffix).unlink(missing_ok=True)


def _set_aside(path: Path, now: datetime) -> str | None:
    """Rename a damaged file and its log, so that they can be examined; returns the new name."""
    name = f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}"
    taken = {file.name for file in path.parent.glob(f"{name}*")}
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    aside = next(name for name in names if not {name, f"{name}-wal"} & taken)
    kept = False
    for suffix in ("", "-wal"):  # in this order: see `_finish`
        source = path.with_name(path.name + suffix)
        if source.exists() and source.stat().st_size:
            kept = True
            source.replace(path.with_name(aside + suffix))
        source.unlink(missing_ok=True)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    return aside if kept else None


def _damage_at_rest(path: Path) -> str | None:
    """What is wrong with a file that nobody has open, and SQLite would overlook."""
    log = log_of(path)
    left = log.exists() and log.stat().st_size > 0
    if not path.exists():
        return "the file is missing, and only its log is left" if left else None
    if not path.is_file():
        return None
    with path.open("rb") as file:
        header = file.read(72)
    if not header:
        return "the file is empty, as after a power cut"
    if header[68:] != _APPLICATION.to_bytes(4):
        return None
    state = log_state(path)
    if state.damage is None and state.is_torn:
        _log.warning(
            "the last write to the outbox %s is incomplete, and left out: it was in progress when "
            "the program ended, or is damaged",
            path,
        )
    return state.damage


def look_afresh(path: Path) -> sqlite3.Connection:
    """A connection of its own, which knows nothing that is not in the file."""
    if not path.stat().st_size:  # SQLite would delete its log
        raise damage("the file is empty")
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY)
    queries.prepare(database)
    return database


def check_database(path: Path) -> None:
    """Raise an error that `is_damage` if the file or its log is damaged, as far as time allows."""
    with closing(look_afresh(path)) as database:
        queries.check_numbers(database)
        deadline = monotonic() + _CHECK
        too_long = Timer(_CHECK, database.interrupt)
        too_long.start()
        try:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
        else:
            if found != "ok" and monotonic() < deadline:  # an interrupted check tells untruths
                raise damage(found)
        finally:
            too_long.cancel()
            too_long.join()
    check_log(path)  # last, for it keeps other threads waiting, which have just delivered


def check_log(path: Path) -> None:
    """Raise an error that `is_damage` if the log is damaged: do not write it back then."""
    if reason := log_state(path).damage:
        raise damage(reason)


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open an outbox read-only, even while in use. Raises `OutboxError` if it cannot be read."""
    log = log_of(path)
    if not path.exists() and not log.exists():
        raise OutboxError(f"there is no outbox in {path.parent}; run `sst-cloud collect` first")
    if not path.exists() or not path.stat().st_size:  # SQLite would delete the log
        raise cannot_be_read(path, damage("the file is empty or missing, as after a power cut"))
    modes = ["mode=ro"]
    if not log.exists():
        modes.append("immutable=1")  # it is not in use, and the folder is read-only
    for mode in modes:
        try:
            return _to_read(path, mode)
        except ERRORS as error:
            if is_damage(error) or not isinstance(error, sqlite3.OperationalError):
                raise cannot_be_read(path, error) from None
            reason = str(error)
    raise OutboxError(
        f"{path} cannot be read: {reason}; try as the user that the collector runs as"
    )


def cannot_be_read(path: Path, error: Exception) -> OutboxError:
    """The error for somebody who only wants to look."""
    hint = "; a collector keeps what it can of it when it starts or has polled"
    return OutboxError(f"{path} cannot be read: {error}{hint if is_damage(error) else ''}")


def _to_read(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=_BUSY)
    try:
        queries.prepare(connection)
        ours = _pragma(connection, "application_id") == _APPLICATION
        if ours and _pragma(connection, "user_version") == _VERSION:
            queries.check_numbers(connection)
    except BaseException:
        connection.close()
        raise
    if ours:
        return connection
    connection.close()
    raise OutboxError(f"{path} is not an outbox of sst-cloud")


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        queries.prepare(database)
        _check_ours(database, path)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if _pragma(database, "user_version") < _VERSION:
            database.executescript(_UPGRADE)
        queries.check_numbers(database)
    except BaseException:
        database.close()
        raise
    return database


def _check_ours(database: sqlite3.Connection, path: Path) -> None:
    application, version = _pragma(database, "application_id"), _pragma(database, "user_version")
    if application != _APPLICATION:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        if {name for (name,) in tables} <= {*_TABLES, "sqlite_sequence"}:
            raise damage("its header is damaged")
        raise OutboxError(f"{path} is not an outbox of sst-cloud; choose another folder")
    if version not in range(1, _VERSION + 1):
        raise OutboxError(
            f"{path} was made by another version of sst-cloud (format {version}, here {_VERSION}); "
            "deliver its contents with that version, or choose another folder"
        )
    (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damage(found)


def _pragma(database: sqlite3.Connection, name: str) -> int:
    (value,) = database.execute(f"PRAGMA {name}").fetchone()
    return int(value)

"""The outbox's SQL queries."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from .status import Course, SinkStatus, Status, Stream

_PAGES_AT_ONCE: Final = 2_000
_DAY: Final = 86_400
_OWN: Final = "outbox: "
"""Prefix of the outbox's own notes."""


def everybody_left(database: sqlite3.Connection) -> None:
    """Mark all consumers as absent."""
    database.execute("UPDATE consumers SET joined = 0")


def notes(database: sqlite3.Connection) -> dict[str, str]:
    """The stored notes, by name, without the outbox's own."""
    return dict(
        database.execute("SELECT key, value FROM notes WHERE key NOT LIKE ?", (f"{_OWN}%",))
    )


def note(database: sqlite3.Connection, notes: Mapping[str, str]) -> None:
    """Store notes by name, replacing earlier ones."""
    database.executemany(
        "INSERT INTO notes VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        list(notes.items()),
    )


def too_old(database: sqlite3.Connection, stream: str, now: int, oldest: int) -> int:
    """The number up to which entries are older than `oldest`, and have been for a day.

    A clock that is temporarily ahead makes everything look old.
    """
    young = database.execute(
        f"SELECT seq FROM {stream} WHERE added >= ? ORDER BY seq LIMIT 1",  # noqa: S608  one of two
        (oldest,),
    ).fetchone()
    upto = young[0] - 1 if young else newest(database, stream)
    key = f"{_OWN}too old {stream}"
    found = database.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
    since, until = map(int, found[0].split()) if found else (now, 0)
    seen_for_a_day = now - _DAY - since >= 0
    confirmed = min(upto, until) if seen_for_a_day else 0
    gone = confirmed < first(database, stream)
    if found is None or now < since or (seen_for_a_day and gone):
        note(database, {key: f"{now} {upto}"})
    return confirmed


def newest(database: sqlite3.Connection, stream: str) -> int:
    """The highest number ever used."""
    found = database.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (stream,)).fetchone()
    return int(found[0]) if found else 0


def first(database: sqlite3.Connection, stream: str) -> int:
    """The lowest number still present, or else the next one."""
    (found,) = database.execute(f"SELECT min(seq) FROM {stream}").fetchone()  # noqa: S608
    return newest(database, stream) + 1 if found is None else int(found)


def skip_dropped(database: sqlite3.Connection, stream: str) -> list[tuple[str, int]]:
    """Move cursors past dropped entries, and count those: numbers have no gaps."""
    before = first(database, stream) - 1
    behind = database.execute(
        "SELECT name, ? - cursor FROM consumers WHERE stream = ? AND joined AND cursor < ?",
        (before, stream, before),
    ).fetchall()
    database.execute(
        "UPDATE consumers SET dropped = dropped + ? - cursor, cursor = ? "
        "WHERE stream = ? AND joined AND cursor < ?",
        (before, before, stream, before),
    )
    return behind


def write_back(database: sqlite3.Connection) -> None:
    """Checkpoint the WAL into the main file, in case the WAL gets lost."""
    database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def give_back(database: sqlite3.Connection) -> None:
    """Shrink the file, a little at a time."""
    # A script runs a statement to completion; `execute` would stop after a single page.
    database.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")


def size(database: sqlite3.Connection) -> int:
    """Bytes in use, without free pages."""
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    (free,) = database.execute("PRAGMA freelist_count").fetchone()
    (size,) = database.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def status(database: sqlite3.Connection) -> Status:
    """The collector's status."""
    noted = notes(database)
    return Status(
        last_poll=_moment(noted.get("last_poll")),
        last_success=_moment(noted.get("last_success")),
        source_error=noted.get("source_error") or None,
        source_error_since=_moment(noted.get("source_error_since")),
        polls=int(noted.get("polls", 0)),
        failed_polls=int(noted.get("failed_polls", 0)),
        readings=newest(database, Stream.READINGS),
        lost=int(noted.get("lost", 0)),
        size=size(database),
        sinks=tuple(
            _sink_status(database, row)
            for row in database.execute(
                "SELECT name, stream, cursor, joined, course, delivered, rejected, dropped, "
                "last_success, error, error_since, next_try FROM consumers ORDER BY stream, name"
            ).fetchall()
        ),
    )


def _sink_status(database: sqlite3.Connection, row: Sequence[Any]) -> SinkStatus:
    name, named, cursor, joined, course, delivered, rejected, dropped, *rest = row
    last_success, error, error_since, next_try = rest
    stream = Stream(named)
    waiting = newest(database, stream) - cursor
    oldest = database.execute(
        f"SELECT added FROM {stream} WHERE seq > ? ORDER BY seq LIMIT 1",  # noqa: S608
        (cursor,),
    ).fetchone()
    return SinkStatus(
        name=name,
        stream=stream,
        course=Course(course) if joined else Course.REMOVED,
        waiting=waiting,
        oldest=datetime.fromtimestamp(oldest[0], UTC) if oldest else None,
        delivered=delivered,
        rejected=rejected,
        dropped=dropped,
        last_success=_moment(last_success),
        error=error,
        error_since=_moment(error_since),
        next_try=_moment(next_try),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None

"""The outbox's SQL queries."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from .integrity import damage, row_sum
from .status import Course, SinkStatus, Status, Stream

CONSUMER: Final = (
    *("name", "stream", "cursor", "joined", "course", "delivered", "rejected", "dropped"),
    *("last_success", "error", "error_since", "next_try"),
)
"""The columns of a consumer, in the order of its checksum."""
_SUM: Final = f"row_sum({', '.join(CONSUMER)})"
_PAGES_AT_ONCE: Final = 2_000
_DAY: Final = 86_400
_SMALLEST: Final = 40
"""Bytes of an entry, at least."""
_OWN: Final = "outbox: "
"""Prefix of the outbox's own notes."""
_SALVAGED: Final = f"{_OWN}salvaged"
_NEWEST: Final = f"{_OWN}newest of "


def prepare(database: sqlite3.Connection) -> None:
    """Let a connection compute checksums, and read texts that are damaged."""
    database.create_function("row_sum", -1, row_sum, deterministic=True)
    database.text_factory = lambda text: text.decode("utf-8", "replace")


def check_consumers(database: sqlite3.Connection) -> None:
    """Raise an error that `is_damage` if a consumer is not as it was stored."""
    numbers = {stream: newest(database, stream) for stream in Stream}
    for name, stream, cursor, whole in database.execute(
        f"SELECT name, stream, cursor, ifnull(sum = {_SUM}, 1) FROM consumers"  # noqa: S608
    ).fetchall():
        if not whole or stream not in numbers or cursor > numbers[stream]:
            raise damage(f"the position of {name!r} cannot be right")


def check_numbers(database: sqlite3.Connection) -> None:
    """Raise an error that `is_damage` if a consumer's row or the numbering is damaged."""
    check_consumers(database)
    for stream in Stream:
        (highest,) = database.execute(f"SELECT max(seq) FROM {stream}").fetchone()  # noqa: S608
        if (highest or 0) > newest(database, stream):
            raise damage(f"the {stream} have numbers that were never given")


def seal_consumers(database: sqlite3.Connection) -> None:
    """Store the checksums of all consumers that have changed."""
    database.execute(f"UPDATE consumers SET sum = {_SUM} WHERE sum IS NOT {_SUM}")  # noqa: S608


def everybody_left(database: sqlite3.Connection) -> None:
    """Mark all consumers as absent."""
    database.execute("UPDATE consumers SET joined = 0")


def notes(database: sqlite3.Connection) -> dict[str, str]:
    """The stored notes, by name, without the outbox's own, and without damaged ones."""
    stored = _all_notes(database).items()
    return {key: value for key, value in stored if not key.startswith(_OWN)}


def note(database: sqlite3.Connection, notes: Mapping[str, str]) -> None:
    """Store notes by name, replacing earlier ones."""
    database.executemany(
        "INSERT INTO notes VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET value = excluded.value, sum = excluded.sum",
        [(key, text, row_sum(key, text)) for key, text in notes.items()],
    )


def is_salvaged(database: sqlite3.Connection) -> bool:
    """Whether the outbox was made of a damaged one, and no poll has been committed since."""
    return _SALVAGED in _all_notes(database)


def note_newest(database: sqlite3.Connection, stream: Stream, number: int) -> None:
    """Note the highest number, which has no checksum where SQLite keeps it."""
    note(database, {f"{_NEWEST}{stream}": str(number)})


def noted_newest(notes: Mapping[str, str], stream: Stream) -> int:
    """The highest number among notes; 0 if there is none."""
    number = notes.get(f"{_NEWEST}{stream}", "")
    return int(number) if number.isdecimal() else 0


def note_salvage(database: sqlite3.Connection, *, done: bool) -> None:
    """Note that cursors may have been lost; `done` when all consumers have joined."""
    if done:
        database.execute("DELETE FROM notes WHERE key = ?", (_SALVAGED,))
    else:
        note(database, {_SALVAGED: "yes"})


def damaged_notes(database: sqlite3.Connection) -> set[str]:
    """The names of notes that are not as they were stored, and are left out."""
    return {key for (key,) in database.execute("SELECT key FROM notes")} - {*_all_notes(database)}


def _all_notes(database: sqlite3.Connection) -> dict[str, str]:
    stored = database.execute("SELECT * FROM notes").fetchall()  # the first format has no sums
    return {
        key: value
        for key, value, *sums in stored
        if isinstance(key, str) and sums in ([], [None], [row_sum(key, value)])
    }


def append(
    database: sqlite3.Connection, stream: str, rows: Sequence[tuple[int, int, bytes, int]]
) -> None:
    """Add entries: their numbers, when they were added, their records and checksums."""
    database.executemany(
        f"INSERT INTO {stream} VALUES (?, ?, CAST(? AS TEXT), ?)",  # noqa: S608  one of two
        rows,
    )


def latest(
    database: sqlite3.Connection, stream: str, number: int
) -> list[tuple[int, int, bytes, int]]:
    """So many of the latest entries, oldest first, as `append` was given them."""
    return database.execute(
        f"SELECT seq, added, CAST(record AS BLOB), sum FROM {stream} ORDER BY seq DESC LIMIT ?",  # noqa: S608
        (number,),
    ).fetchall()[::-1]


def rejoin(
    database: sqlite3.Connection, consumers: Iterable[tuple[Stream, str]]
) -> dict[tuple[Stream, str], int]:
    """Have consumers continue, unknown ones from the beginning; returns where each is."""
    database.executemany(
        "INSERT INTO consumers (stream, name, cursor) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET joined = 1",
        [(stream, name, first(database, stream) - 1) for stream, name in consumers],
    )
    return {(stream, name): position(database, stream, name) for stream, name in consumers}


def position(database: sqlite3.Connection, stream: Stream, name: str) -> int:
    """The number of the last entry that a consumer has had."""
    (cursor,) = database.execute(
        "SELECT cursor FROM consumers WHERE stream = ? AND name = ?", (stream, name)
    ).fetchone()
    return int(cursor)


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
    stored = _all_notes(database).get(key)
    since, until = map(int, stored.split()) if stored else (now, 0)
    seen_for_a_day = now - _DAY - since >= 0
    confirmed = min(upto, until) if seen_for_a_day else 0
    gone = confirmed < first(database, stream)
    if stored is None or now < since or (seen_for_a_day and gone):
        note(database, {key: f"{now} {upto}"})
    return confirmed


def newest(database: sqlite3.Connection, stream: str) -> int:
    """The highest number ever used."""
    found = database.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (stream,)).fetchone()
    number = found[0] if found else 0
    if not isinstance(number, int):
        raise damage(f"the number of {stream} is not a number")
    return number


def first(database: sqlite3.Connection, stream: str) -> int:
    """The lowest number still present, or else the next one."""
    (found,) = database.execute(f"SELECT min(seq) FROM {stream}").fetchone()  # noqa: S608
    return newest(database, stream) + 1 if found is None else int(found)


def drop_outliers(database: sqlite3.Connection, stream: str) -> None:
    """Delete entries without a checksum whose numbers lie further off than so much data can."""
    database.execute(
        f"DELETE FROM {stream} WHERE sum IS NULL AND abs(seq - "  # noqa: S608
        f"(SELECT seq FROM {stream} ORDER BY seq LIMIT 1 "
        f"OFFSET (SELECT count(*) FROM {stream}) / 2)) > ?",
        (size(database) // _SMALLEST,),
    )
    database.execute(
        "UPDATE sqlite_sequence SET seq = "  # noqa: S608
        f"(SELECT ifnull(max(seq), 0) FROM {stream}) WHERE name = ?",
        (stream,),
    )


def fill_gaps(
    database: sqlite3.Connection, stream: str, start: int, newest: int, added: int
) -> int:
    """Put unreadable entries wherever one is missing from `start` to `newest`; returns how many.

    The numbers up to `newest` then count as used.
    """
    before = database.total_changes
    database.execute(
        "WITH RECURSIVE numbers (seq) AS "  # noqa: S608
        "(SELECT ?1 WHERE ?1 <= ?2 UNION ALL SELECT seq + 1 FROM numbers WHERE seq < ?2) "
        f"INSERT OR IGNORE INTO {stream} SELECT seq, ?3, '', NULL FROM numbers",
        (start, newest, added),
    )
    filled = database.total_changes - before
    database.execute("DELETE FROM sqlite_sequence WHERE name = ?", (stream,))
    database.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (stream, newest))
    return filled


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
        oldest=_moment_added(*oldest) if oldest else None,
        delivered=delivered,
        rejected=rejected,
        dropped=dropped,
        last_success=_moment(last_success),
        error=error,
        error_since=_moment(error_since),
        next_try=_moment(next_try),
    )


def _moment_added(seconds: int) -> datetime | None:
    with suppress(ValueError, OverflowError, OSError):  # damaged
        return datetime.fromtimestamp(seconds, UTC)
    return None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None

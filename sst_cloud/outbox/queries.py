"""The outbox's SQL queries."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from .integrity import damage, row_sum
from .status import DeliveryState, SinkStatus, Status, Stream, sources_from

CONSUMER_COLUMNS: Final = (
    *("name", "stream", "cursor", "joined", "state", "delivered", "rejected", "dropped"),
    *("last_success", "error", "error_since", "next_try"),
)
"""In the order in which a consumer's checksum covers them."""
_ROW_SUM: Final = f"row_sum({', '.join(CONSUMER_COLUMNS)})"
_PAGES_PER_SHRINK: Final = 2_000
_DAY: Final = 86_400
_MIN_ENTRY_SIZE: Final = 40
"""In bytes."""
_OWN_PREFIX: Final = "outbox: "
"""Begins the names of the outbox's own notes."""
_SALVAGED: Final = f"{_OWN_PREFIX}salvaged"
_NEWEST: Final = f"{_OWN_PREFIX}newest of "
RENAMED_STATES: Final = {"flowing": "delivering"}
"""In rows of formats before 3."""
_RENAMED_NOTES: Final = {"judge": "validation", "watch": "alarms"}
_RENAMED_ALARM_KEYS: Final = {
    "troubles": "alarms",
    "water": "flow",
    "heard": "last_seen",
    "answered": "last_readings",
    "rose": "last_rise",
    "ran_l": "used_l",
    "told": "reported",
    "night_told": "night_reported",
}


def prepare(database: sqlite3.Connection) -> None:
    """Let a connection compute checksums, and read damaged texts without an error."""
    database.create_function("row_sum", -1, row_sum, deterministic=True)
    database.text_factory = lambda text: text.decode("utf-8", "replace")


def check_consumers(database: sqlite3.Connection) -> None:
    """Raise an error that `is_damage` if a consumer's row is not as it was stored."""
    numbers = {stream: newest(database, stream) for stream in Stream}
    for name, stream, cursor, is_intact in database.execute(
        f"SELECT name, stream, cursor, ifnull(sum = {_ROW_SUM}, 1) FROM consumers"  # noqa: S608
    ).fetchall():
        if not is_intact or stream not in numbers or cursor > numbers[stream]:
            raise damage(f"the position of {name!r} is wrong")


def check_numbers(database: sqlite3.Connection) -> None:
    """Raise an error that `is_damage` if a consumer's row or the numbering is damaged."""
    check_consumers(database)
    for stream in Stream:
        (highest,) = database.execute(f"SELECT max(seq) FROM {stream}").fetchone()  # noqa: S608
        if (highest or 0) > newest(database, stream):
            raise damage(f"the {stream} have numbers that were never assigned")


def update_consumer_sums(database: sqlite3.Connection) -> None:
    """Store the checksums of all consumers that have changed."""
    database.execute(f"UPDATE consumers SET sum = {_ROW_SUM} WHERE sum IS NOT {_ROW_SUM}")  # noqa: S608


def mark_all_absent(database: sqlite3.Connection) -> None:
    """Mark all consumers as absent."""
    database.execute("UPDATE consumers SET joined = 0")


def notes(database: sqlite3.Connection) -> dict[str, str]:
    """The stored notes, by name, without the outbox's own and without damaged ones."""
    stored = _all_notes(database).items()
    return {key: value for key, value in stored if not key.startswith(_OWN_PREFIX)}


def store_notes(database: sqlite3.Connection, texts: Mapping[str, str]) -> None:
    """Store notes by name, replacing earlier ones."""
    database.executemany(
        "INSERT INTO notes VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET value = excluded.value, sum = excluded.sum",
        [(key, text, row_sum(key, text)) for key, text in texts.items()],
    )


def with_current_names(texts: Mapping[str, str]) -> dict[str, str]:
    """Notes with the names, and the JSON keys in them, that they have since format 3."""
    current = {_RENAMED_NOTES.get(key, key): text for key, text in texts.items()}
    if "watch" in texts:
        for former, name in _RENAMED_ALARM_KEYS.items():
            current["alarms"] = current["alarms"].replace(f'"{former}": ', f'"{name}": ')
    return current


def rename_notes(database: sqlite3.Connection) -> None:
    """Give notes the names that they have since format 3; damaged ones are deleted."""
    former = {key: text for key, text in _all_notes(database).items() if key in _RENAMED_NOTES}
    database.executemany("DELETE FROM notes WHERE key = ?", [(key,) for key in _RENAMED_NOTES])
    store_notes(database, with_current_names(former))


def is_salvaged(database: sqlite3.Connection) -> bool:
    """Whether this outbox replaced a damaged one, and no poll has been committed since."""
    return _SALVAGED in _all_notes(database)


def store_newest(database: sqlite3.Connection, stream: Stream, number: int) -> None:
    """Store the highest number as a note: it has no checksum in SQLite's own table."""
    store_notes(database, {f"{_NEWEST}{stream}": str(number)})


def stored_newest(notes: Mapping[str, str], stream: Stream) -> int:
    """The highest number according to notes; 0 if they have none."""
    number = notes.get(f"{_NEWEST}{stream}", "")
    return int(number) if number.isdecimal() else 0


def set_salvaged(database: sqlite3.Connection, *, salvaged: bool) -> None:
    """Store that cursors may have been lost, or, when all consumers have joined, no longer."""
    if salvaged:
        store_notes(database, {_SALVAGED: "yes"})
    else:
        database.execute("DELETE FROM notes WHERE key = ?", (_SALVAGED,))


def damaged_notes(database: sqlite3.Connection) -> set[str]:
    """The names of notes that are not as they were stored, and are ignored."""
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
    database: sqlite3.Connection, stream: str, count: int
) -> list[tuple[int, int, bytes, int]]:
    """The latest entries, oldest first, in the form that `append` takes."""
    return database.execute(
        f"SELECT seq, added, CAST(record AS BLOB), sum FROM {stream} ORDER BY seq DESC LIMIT ?",  # noqa: S608
        (count,),
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
    """The number of the last entry that a consumer has received."""
    (cursor,) = database.execute(
        "SELECT cursor FROM consumers WHERE stream = ? AND name = ?", (stream, name)
    ).fetchone()
    return int(cursor)


def too_old(database: sqlite3.Connection, stream: str, now: int, oldest: int) -> int:
    """The number up to which entries are older than `oldest`, and have been for a day.

    A clock that is temporarily ahead makes everything look old.
    """
    recent = database.execute(
        f"SELECT seq FROM {stream} WHERE added >= ? ORDER BY seq LIMIT 1",  # noqa: S608  one of two
        (oldest,),
    ).fetchone()
    upto = recent[0] - 1 if recent else newest(database, stream)
    key = f"{_OWN_PREFIX}too old {stream}"
    stored = _all_notes(database).get(key)
    since, until = map(int, stored.split()) if stored else (now, 0)
    is_a_day_old = now - _DAY - since >= 0
    confirmed = min(upto, until) if is_a_day_old else 0
    is_gone = confirmed < first(database, stream)
    if stored is None or now < since or (is_a_day_old and is_gone):
        store_notes(database, {key: f"{now} {upto}"})
    return confirmed


def newest(database: sqlite3.Connection, stream: str) -> int:
    """The highest number ever used."""
    row = database.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (stream,)).fetchone()
    number = row[0] if row else 0
    if not isinstance(number, int):
        raise damage(f"the number of {stream} is not a number")
    return number


def first(database: sqlite3.Connection, stream: str) -> int:
    """The lowest number still present, or else the next one."""
    (lowest,) = database.execute(f"SELECT min(seq) FROM {stream}").fetchone()  # noqa: S608
    return newest(database, stream) + 1 if lowest is None else int(lowest)


def drop_outliers(database: sqlite3.Connection, stream: str) -> None:
    """Delete entries without a checksum whose numbers cannot be right, given the file's size."""
    database.execute(
        f"DELETE FROM {stream} WHERE sum IS NULL AND abs(seq - "  # noqa: S608
        f"(SELECT seq FROM {stream} ORDER BY seq LIMIT 1 "
        f"OFFSET (SELECT count(*) FROM {stream}) / 2)) > ?",
        (size(database) // _MIN_ENTRY_SIZE,),
    )
    database.execute(
        "UPDATE sqlite_sequence SET seq = "  # noqa: S608
        f"(SELECT ifnull(max(seq), 0) FROM {stream}) WHERE name = ?",
        (stream,),
    )


def fill_gaps(
    database: sqlite3.Connection, stream: str, start: int, newest: int, added: int
) -> int:
    """Insert unreadable entries for those missing from `start` to `newest`; returns how many.

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
    """Move cursors past dropped entries; returns each consumer's name and how many it missed.

    The numbers of entries have no gaps.
    """
    last_dropped = first(database, stream) - 1
    dropped = database.execute(
        "SELECT name, ? - cursor FROM consumers WHERE stream = ? AND joined AND cursor < ?",
        (last_dropped, stream, last_dropped),
    ).fetchall()
    database.execute(
        "UPDATE consumers SET dropped = dropped + ? - cursor, cursor = ? "
        "WHERE stream = ? AND joined AND cursor < ?",
        (last_dropped, last_dropped, stream, last_dropped),
    )
    return dropped


def checkpoint(database: sqlite3.Connection) -> None:
    """Checkpoint the WAL into the main file, in case the WAL gets lost."""
    database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def shrink(database: sqlite3.Connection) -> None:
    """Shrink the file, a little at a time."""
    # A script runs a statement to completion; `execute` would stop after a single page.
    database.executescript(f"PRAGMA incremental_vacuum({_PAGES_PER_SHRINK})")


def size(database: sqlite3.Connection) -> int:
    """Bytes in use, without free pages."""
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    (free,) = database.execute("PRAGMA freelist_count").fetchone()
    (size,) = database.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def status(database: sqlite3.Connection) -> Status:
    """The collector's status."""
    stored = notes(database)
    return Status(
        last_poll=_from_text(stored.get("last_poll")),
        last_success=_from_text(stored.get("last_success")),
        sources=sources_from(stored),
        source_error=stored.get("source_error") or None,
        source_error_since=_from_text(stored.get("source_error_since")),
        polls=int(stored.get("polls", 0)),
        failed_polls=int(stored.get("failed_polls", 0)),
        readings=newest(database, Stream.READINGS),
        lost=int(stored.get("lost", 0)),
        size=size(database),
        sinks=tuple(
            _sink_status(database, row)
            for row in database.execute("SELECT * FROM consumers ORDER BY stream, name").fetchall()
        ),
    )


def _sink_status(database: sqlite3.Connection, row: Sequence[Any]) -> SinkStatus:
    name, stream_name, cursor, joined, state, delivered, rejected, dropped, *rest = row
    last_success, error, error_since, next_try = rest[:4]
    stream = Stream(stream_name)
    waiting = newest(database, stream) - cursor
    oldest = database.execute(
        f"SELECT added FROM {stream} WHERE seq > ? ORDER BY seq LIMIT 1",  # noqa: S608
        (cursor,),
    ).fetchone()
    return SinkStatus(
        name=name,
        stream=stream,
        state=DeliveryState(RENAMED_STATES.get(state, state)) if joined else DeliveryState.REMOVED,
        waiting=waiting,
        oldest=_from_timestamp(*oldest) if oldest else None,
        delivered=delivered,
        rejected=rejected,
        dropped=dropped,
        last_success=_from_text(last_success),
        error=error,
        error_since=_from_text(error_since),
        next_try=_from_text(next_try),
    )


def _from_timestamp(seconds: int) -> datetime | None:
    with suppress(ValueError, OverflowError, OSError):  # damaged
        return datetime.fromtimestamp(seconds, UTC)
    return None


def _from_text(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None

"""What can still be read of a damaged outbox: everything that has the right checksum."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from sst_cloud.wording import count

from . import queries
from .entries import decode
from .integrity import entry_sum, row_sum
from .raw_pages import Row, rows
from .status import Course, Stream

_NO_SUM: Final = (None,)
"""In place of the checksum: the first format had none."""
_CURSOR: Final = queries.CONSUMER.index("cursor")
_JOINED: Final = queries.CONSUMER.index("joined")


@attrs.frozen
class Known:
    """What a running collector knows of its outbox."""

    newest: Mapping[Stream, int]
    """The highest numbers that were committed for certain."""
    positions: Mapping[tuple[Stream, str], int]
    """How far each consumer is, at least."""


@attrs.frozen
class Salvaged:
    """How much was read, and how much is known to be lost."""

    readings: int = 0
    events: int = 0
    positions: int = 0
    lost_readings: int = 0
    lost_events: int = 0

    def __str__(self) -> str:
        kept = (
            f"{count(self.readings, 'reading')}, {count(self.events, 'event')} and "
            f"{count(self.positions, 'position')} of sinks and handlers"
        )
        if not (self.lost_readings or self.lost_events):
            return kept
        lost = f"{count(self.lost_readings, 'reading')} and {count(self.lost_events, 'event')}"
        return f"{kept}; lost before they were delivered everywhere: {lost}"


def salvage(path: Path, into: sqlite3.Connection, known: Known | None, added: int) -> Salvaged:
    """Copy what can be read of an outbox into an empty one, under the same numbers.

    Entries that are missing among those that are still to be delivered become unreadable ones,
    which are counted like all others.
    """
    finds = _Finds(into, known)
    for row in rows(path):
        finds.add(row)
    return finds.finish(added)


class _Finds:
    def __init__(self, into: sqlite3.Connection, known: Known | None) -> None:
        self._into = into
        self._newest = known.newest if known is not None else {}
        self._positions = known.positions if known is not None else {}
        self._consumers: dict[tuple[str, str], tuple[Any, ...]] = {}
        """Name and stream → its columns, with the checksum if it has one."""
        self._notes: dict[str, str] = {}
        self._old_notes: dict[str, str] = {}
        """Those without a checksum, which are good for nothing if there are others."""

    def add(self, row: Row) -> None:
        """Keep a row if it is whole."""
        if row.number is not None and len(row.values) in (3, 4):
            self._add_entry(row.number, *row.values)
        elif row.number is not None and len(row.values) in (12, 13):
            self._add_consumer(_texts(row))
        elif row.number is None and len(row.values) in (2, 3):
            self._add_note(*_texts(row))

    def _add_entry(self, number: int, _: object, added: Any, record: Any, *sums: Any) -> None:
        if not isinstance(record, bytes) or not isinstance(added, int):
            return
        for stream in Stream:
            if number > self._newest.get(stream, number):
                continue
            if sums and sums != _NO_SUM:
                if sums != (entry_sum(stream, number, added, record),):
                    continue
            elif decode(stream, record) is None:
                continue
            if number < 1 << 63:
                self._into.execute(
                    f"INSERT OR REPLACE INTO {stream} VALUES (?, ?, CAST(? AS TEXT), ?)",  # noqa: S608
                    (number, added, record, *(sums or _NO_SUM)),
                )

    def _add_consumer(self, values: tuple[Any, ...]) -> None:
        key, size = values[:2], len(queries.CONSUMER)
        sealed = values[size:] == (row_sum(*values[:size]),)
        if not sealed and (values[size:] not in ((), _NO_SUM) or not _is_consumer(values)):
            return
        before = self._consumers.get(key)
        if before is None or (len(before) > size, before[_CURSOR]) <= (sealed, values[_CURSOR]):
            self._consumers[key] = values if sealed else values[:size]

    def _add_note(self, key: Any, value: Any, *sums: Any) -> None:
        if isinstance(key, str) and isinstance(value, str):
            if sums == (row_sum(key, value),):
                self._notes[key] = value
            elif sums in ((), _NO_SUM) and key.isascii() and key.isprintable():
                self._old_notes[key] = value

    def finish(self, added: int) -> Salvaged:
        """Store what belongs to no entry, and mark what is missing."""
        found = len(self._consumers)
        for (stream, name), position in self._positions.items():
            row = self._consumers.get((name, stream), (name, stream, 0, 1, "flowing", 0, 0, 0))
            cursor = max(position, row[_CURSOR])
            row = (*row[:_CURSOR], cursor, *row[_CURSOR + 1 :])
            self._consumers[name, stream] = (*row, *[None] * 4)[: len(queries.CONSUMER)]
        readings, events = self._count(Stream.READINGS), self._count(Stream.EVENTS)
        lost_readings, lost_events = (self._mark_lost(stream, added) for stream in Stream)
        columns, size = ", ".join(queries.CONSUMER), len(queries.CONSUMER)
        self._into.executemany(
            f"INSERT INTO consumers ({columns}) VALUES ({', '.join('?' * size)})",  # noqa: S608
            [row[:size] for row in self._consumers.values()],
        )
        queries.seal_consumers(self._into)
        queries.note(self._into, self._notes or self._old_notes)
        queries.note_salvage(self._into, done=False)
        return Salvaged(readings, events, found, lost_readings, lost_events)

    def _mark_lost(self, stream: Stream, added: int) -> int:
        """Put unreadable entries in place of those that are missing; returns how many."""
        queries.drop_outliers(self._into, stream)
        consumers = [row for (_, of), row in self._consumers.items() if of == stream]
        sealed = [row[_CURSOR] for row in consumers if len(row) > len(queries.CONSUMER)]
        noted = queries.noted_newest(self._notes, stream)
        known = queries.newest(self._into, stream), self._newest.get(stream, noted)
        highest = max(*known, *sealed)
        for row in consumers:
            if not 0 <= row[_CURSOR] <= highest:
                del self._consumers[row[:2]]
        behind = [row[_CURSOR] for row in consumers if row[_JOINED] and row[:2] in self._consumers]
        first = queries.first(self._into, stream)
        start = min(behind) + 1 if behind else first
        if len(sealed) < len(consumers) and not self._newest:  # one may be wrong
            start = max(start, first)
        return queries.fill_gaps(self._into, stream, start, highest, added)

    def _count(self, stream: Stream) -> int:
        (number,) = self._into.execute(f"SELECT count(*) FROM {stream}").fetchone()  # noqa: S608
        return int(number)


def _texts(row: Row) -> tuple[Any, ...]:
    return tuple(
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for value in row.values
    )


def _is_consumer(values: tuple[Any, ...]) -> bool:
    name, stream, cursor, joined, course, *numbers = values[:8]
    return (
        isinstance(name, str)
        and stream in set(Stream)
        and course in set(Course)
        and all(isinstance(number, int) for number in (cursor, joined, *numbers))
    )

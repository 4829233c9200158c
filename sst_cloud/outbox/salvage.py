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
from .status import DeliveryState, Stream

_NO_SUM: Final = (None,)
"""In place of the checksum: the first format had none."""
_CURSOR: Final = queries.CONSUMER_COLUMNS.index("cursor")
_JOINED: Final = queries.CONSUMER_COLUMNS.index("joined")


@attrs.frozen
class Progress:
    """What a running collector knows of its outbox, whatever its file says."""

    newest: Mapping[Stream, int]
    """The highest numbers that were committed for certain."""
    positions: Mapping[tuple[Stream, str], int]
    """How far each consumer is, at least."""


@attrs.frozen
class SalvageResult:
    """How much was recovered, and how much is known to be lost."""

    readings: int = 0
    events: int = 0
    positions: int = 0
    lost_readings: int = 0
    lost_events: int = 0

    def __str__(self) -> str:
        recovered = (
            f"{count(self.readings, 'reading')}, {count(self.events, 'event')} and "
            f"{count(self.positions, 'position')} of sinks and handlers"
        )
        if not (self.lost_readings or self.lost_events):
            return recovered
        lost = f"{count(self.lost_readings, 'reading')} and {count(self.lost_events, 'event')}"
        return f"{recovered}; lost before they were delivered everywhere: {lost}"


def salvage(
    path: Path, into: sqlite3.Connection, progress: Progress | None, added: int
) -> SalvageResult:
    """Copy what can be read of an outbox into an empty one, under the same numbers.

    Missing entries that were still to be delivered are replaced by unreadable ones, so that they
    are counted.
    """
    salvager = _Salvager(into, progress)
    for row in rows(path):
        salvager.add(row)
    return salvager.finish(added)


class _Salvager:
    def __init__(self, into: sqlite3.Connection, progress: Progress | None) -> None:
        self._into = into
        self._newest = progress.newest if progress is not None else {}
        self._positions = progress.positions if progress is not None else {}
        self._consumers: dict[tuple[str, str], tuple[Any, ...]] = {}
        """Name and stream → the columns, with the checksum if there is one."""
        self._notes: dict[str, str] = {}
        self._unverified_notes: dict[str, str] = {}
        """Notes without a checksum, which are ignored if there are any with one."""

    def add(self, row: Row) -> None:
        """Take over a row if it is intact."""
        if row.number is not None and len(row.values) in (3, 4):
            self._add_entry(row.number, *row.values)
        elif row.number is not None and len(row.values) in (12, 13):
            self._add_consumer(_decode_texts(row))
        elif row.number is None and len(row.values) in (2, 3):
            self._add_note(*_decode_texts(row))

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
        key, size = values[:2], len(queries.CONSUMER_COLUMNS)
        is_verified = values[size:] == (row_sum(*values[:size]),)
        if not is_verified and (values[size:] not in ((), _NO_SUM) or not _is_consumer(values)):
            return
        previous = self._consumers.get(key)
        if previous is None or (len(previous) > size, previous[_CURSOR]) <= (
            is_verified,
            values[_CURSOR],
        ):
            self._consumers[key] = values if is_verified else values[:size]

    def _add_note(self, key: Any, value: Any, *sums: Any) -> None:
        if isinstance(key, str) and isinstance(value, str):
            if sums == (row_sum(key, value),):
                self._notes[key] = value
            elif sums in ((), _NO_SUM) and key.isascii() and key.isprintable():
                self._unverified_notes[key] = value

    def finish(self, added: int) -> SalvageResult:
        """Store consumers and notes, and fill in the missing entries."""
        positions = len(self._consumers)
        for (stream, name), position in self._positions.items():
            row = self._consumers.get((name, stream), (name, stream, 0, 1, "delivering", 0, 0, 0))
            cursor = max(position, row[_CURSOR])
            row = (*row[:_CURSOR], cursor, *row[_CURSOR + 1 :])
            self._consumers[name, stream] = (*row, *[None] * 4)[: len(queries.CONSUMER_COLUMNS)]
        readings, events = self._count(Stream.READINGS), self._count(Stream.EVENTS)
        lost_readings, lost_events = (self._mark_lost(stream, added) for stream in Stream)
        columns, size = ", ".join(queries.CONSUMER_COLUMNS), len(queries.CONSUMER_COLUMNS)
        self._into.executemany(
            f"INSERT INTO consumers ({columns}) VALUES ({', '.join('?' * size)})",  # noqa: S608
            [row[:size] for row in self._consumers.values()],
        )
        queries.update_consumer_sums(self._into)
        notes = queries.with_current_names(self._notes or self._unverified_notes)
        queries.store_notes(self._into, notes)
        queries.set_salvaged(self._into, salvaged=True)
        return SalvageResult(readings, events, positions, lost_readings, lost_events)

    def _mark_lost(self, stream: Stream, added: int) -> int:
        """Insert unreadable entries in place of those that are missing; returns how many."""
        queries.drop_outliers(self._into, stream)
        consumers = [row for (_, s), row in self._consumers.items() if s == stream]
        verified = [row[_CURSOR] for row in consumers if len(row) > len(queries.CONSUMER_COLUMNS)]
        stored_newest = queries.stored_newest(self._notes, stream)
        newest = queries.newest(self._into, stream), self._newest.get(stream, stored_newest)
        highest = max(*newest, *verified)
        for row in consumers:
            if not 0 <= row[_CURSOR] <= highest:
                del self._consumers[row[:2]]
        cursors = [row[_CURSOR] for row in consumers if row[_JOINED] and row[:2] in self._consumers]
        first = queries.first(self._into, stream)
        start = min(cursors) + 1 if cursors else first
        if len(verified) < len(consumers) and not self._newest:  # one may be wrong
            start = max(start, first)
        return queries.fill_gaps(self._into, stream, start, highest, added)

    def _count(self, stream: Stream) -> int:
        (number,) = self._into.execute(f"SELECT count(*) FROM {stream}").fetchone()  # noqa: S608
        return int(number)


def _decode_texts(row: Row) -> tuple[Any, ...]:
    return tuple(
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for value in row.values
    )


def _is_consumer(values: tuple[Any, ...]) -> bool:
    name, stream, cursor, joined, state, *numbers = values[:8]
    return (
        isinstance(name, str)
        and stream in set(Stream)
        and state in {*DeliveryState, *queries.RENAMED_STATES}
        and all(isinstance(number, int) for number in (cursor, joined, *numbers))
    )

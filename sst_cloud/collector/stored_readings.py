"""The readings that a store already has, on disk: there may be millions."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final

from sst_cloud.errors import SSTCloudError
from sst_cloud.readings import Reading, plain_fields

_CACHE_KB: Final = 8_000
"""kB of the file to keep in memory."""


class StoredReadings:
    """How often a store has each reading, as digests in a temporary file."""

    def __init__(self) -> None:
        # An empty name: SQLite deletes the file as soon as it has opened it.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        self._database.execute(
            "CREATE TABLE stored (digest BLOB PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID"
        )
        self._empty = True

    def add(self, readings: Sequence[Reading]) -> None:
        """Count readings of the store."""
        self._empty &= not readings
        with self._transaction():
            self._database.executemany(
                "INSERT INTO stored VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
                [(_digest(reading),) for reading in readings],
            )

    def select_new(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """The readings that the store does not have.

        One that the store has twice is left out twice, not more often.
        """
        if self._empty:
            return readings
        with self._transaction():
            return [reading for reading in readings if not self._remove_one(reading)]

    def close(self) -> None:
        """Free the disk space."""
        self._database.close()

    def _remove_one(self, reading: Reading) -> bool:
        cursor = self._database.execute(
            "UPDATE stored SET count = count - 1 WHERE digest = ? AND count > 0",
            (_digest(reading),),
        )
        return cursor.rowcount == 1

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._database:
                self._database.execute("BEGIN")
                yield
        except sqlite3.Error as error:
            raise SSTCloudError(
                f"the folder for temporary files cannot be used ({error}); free some space there, "
                "or set SQLITE_TMPDIR to another folder"
            ) from error


def _digest(reading: Reading) -> bytes:
    """The same for equal readings: 21 and 21.0 are equal."""
    time, quantity, value, *rest, water, quality = plain_fields(reading)
    integer = int(value)
    number = integer if integer == value else value
    fields = (time.timestamp(), quantity, number, *rest, water and water.value, quality)
    return blake2b(repr(fields).encode(), digest_size=16).digest()

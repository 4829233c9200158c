"""Checksums of the outbox's contents, and the errors that mean damage."""

import sqlite3
from typing import Final
from zlib import crc32

_DAMAGED: Final = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        # Our SQL fits our schema, so these errors come from damage on the disk.
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_FORMAT,
    }
)
_SHORT_READ: Final = 522
"""`SQLITE_IOERR_SHORT_READ`: part of the file is missing."""


ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""All that SQLite raises; the second when its message quotes a damaged schema."""


def entry_sum(stream: str, number: int, added: object, record: bytes) -> int:
    """The checksum of an entry."""
    return crc32(record, crc32(f"{stream} {number} {added} ".encode()))


def row_sum(*values: object) -> int:
    """The checksum of a note, or of a consumer."""
    return crc32("\0".join(map(str, values)).encode("utf-8", "replace"))


def damage(reason: str) -> sqlite3.DatabaseError:
    """An error that `is_damage`."""
    error = sqlite3.DatabaseError(reason)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def is_damage(error: Exception) -> bool:
    """Whether an error, one of `ERRORS`, means that the file itself is damaged."""
    code = getattr(error, "sqlite_errorcode", 0)
    return isinstance(error, UnicodeDecodeError) or code & 0xFF in _DAMAGED or code == _SHORT_READ

"""SQLite's errors as errors of a sink, with remedies."""

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sst_cloud.errors import SinkError, SinkRefusedError, SinkUnavailableError
from sst_cloud_sinks._files import FileAccess, check_exists, check_writable, file_error, shortage

_TEMPORARY: Final = frozenset(
    {
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN),
    }
)
"""Locked, disk full or failing: may go away on a retry. Anything else has to be fixed first."""
_NO_ACCESS: Final = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
)


def error_code(error: BaseException) -> int:
    """SQLite's primary result code; 0 for any other error."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_no_access(error: BaseException) -> bool:
    """Whether a file, or one that SQLite needs beside it, could not be opened or written."""
    return error_code(error) in _NO_ACCESS


@contextmanager
def sink_errors(path: Path, access: FileAccess) -> Iterator[None]:
    """Raise whatever goes wrong with a database as a `SinkError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise _sink_error(path, error, access) from error
    except MemoryError as error:
        raise SinkUnavailableError(f"{path} cannot be {access}: out of memory") from error
    except (OSError, ValueError) as error:
        raise file_error(path, error, access) from error


def check_file_and_folder(path: Path) -> None:
    """Raise `SinkRefusedError` if the file, or one beside it, could not be written."""
    check_writable(path)
    folder = real_path(path).parent
    if not os.access(folder, os.W_OK):
        raise SinkRefusedError(
            f"{path} cannot be written: SQLite makes a file beside it, and the folder {folder} is "
            "not writable"
        )


def damage_error(path: Path, reason: object) -> SinkRefusedError:
    """The error for a damaged store."""
    file = shlex.quote(str(path))
    return SinkRefusedError(
        f"{path} is damaged ({reason}): keep the file, and restore a backup, or save what can be "
        f"read: sqlite3 {file} .recover | sqlite3 new.db"
    )


def real_path(path: Path) -> Path:
    """Where the file itself is: SQLite makes its journal there, not beside a link to it."""
    return Path(os.path.realpath(path))


def _sink_error(path: Path, error: sqlite3.Error, access: FileAccess) -> SinkError:
    code = error_code(error)
    if code == sqlite3.SQLITE_CORRUPT:
        return damage_error(path, error)
    if code == sqlite3.SQLITE_NOTADB:
        return SinkRefusedError(
            f"{path} is not a valid SQLite database ({error}); choose another file, or restore a "
            "backup if this was your store"
        )
    if code in _NO_ACCESS and (access_error := _access_error(path, access)):
        return access_error
    kind = SinkUnavailableError if code in _TEMPORARY else SinkRefusedError
    return kind(f"{path} cannot be used: {error}")


def _access_error(path: Path, access: FileAccess) -> SinkError | None:
    """Why a file cannot be opened, which SQLite does not say. None: it should work now."""
    if shortage_error := shortage():
        return file_error(path, shortage_error, access)
    try:
        (check_file_and_folder if access == "written" else check_exists)(path)
    except SinkError as error:
        return error
    return None

"""Who may use a folder of the collector: one at a time, and a crash lets go."""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sst_cloud.errors import OutboxError

COLLECTOR: Final = "collector.lock"
"""Its name in a collector's folder."""
_GLANCE: Final = 0.2
"""Seconds that are enough for somebody who only asks whether it is held."""


def is_held(path: Path) -> bool:
    """Whether somebody has the lock on a file. Asking makes no file and takes nobody's lock."""
    connection = None
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=0)
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
    finally:
        if connection is not None:
            connection.close()
    return False


class Lock:
    """A lock on a file, held by one process at a time and given up when that process ends.

    SQLite's own locking on an empty file: the one kind of file lock that Python brings for every
    system.
    """

    def __init__(self, path: Path, holder: str, *, wait: float = _GLANCE) -> None:
        """`holder` says, in an error, who has it. `wait` is how many seconds to wait for it."""
        self._path = path
        self._holder = holder
        self._wait = wait
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Take it. Raises `OutboxError` if another has it, or the file cannot be made."""
        connection = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = sqlite3.connect(
                self._path, timeout=self._wait, isolation_level=None, check_same_thread=False
            )
            connection.execute("BEGIN EXCLUSIVE")
        except (OSError, sqlite3.Error) as error:
            if connection is not None:
                connection.close()
            raise OutboxError(self._sentence(error)) from error
        self._connection = connection
        return self

    def _sentence(self, error: OSError | sqlite3.Error) -> str:
        match getattr(error, "sqlite_errorcode", None):
            case sqlite3.SQLITE_BUSY:
                return self._holder
            case sqlite3.SQLITE_FULL:
                return f"the disk is full on which {self._path.parent} lies: make room on it"
            case sqlite3.SQLITE_NOTADB:
                return f"{self._path} is no lock of sst-cloud; remove it"
        reason = error.strerror if isinstance(error, OSError) else error
        return f"{self._path} cannot be made: {reason}"

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

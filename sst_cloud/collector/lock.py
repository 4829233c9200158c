"""The lock on a state folder: one holder at a time, released on a crash."""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sst_cloud.errors import OutboxError

COLLECTOR: Final = "collector.lock"
"""Its name in the state folder."""
_GLANCE: Final = 0.2
"""Seconds that a mere check of the lock may hold it."""


def is_held(path: Path) -> bool:
    """Whether the lock on a file is held. Creates no file and does not take the lock."""
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

    Uses SQLite's locking on an empty file: the only portable file lock in the standard library.
    """

    def __init__(self, path: Path, holder: str, *, wait: float = _GLANCE) -> None:
        """`holder` is the error message if it is held. `wait` is in seconds."""
        self._path = path
        self._holder = holder
        self._wait = wait
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Acquire it. Raises `OutboxError` if it is held, or the file cannot be created."""
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
                return f"the disk with {self._path.parent} is full: free some space"
            case sqlite3.SQLITE_NOTADB:
                return f"{self._path} is not a lock file of sst-cloud; remove it"
        reason = error.strerror if isinstance(error, OSError) else error
        return f"{self._path} cannot be created: {reason}"

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

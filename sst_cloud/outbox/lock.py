"""The lock on a state folder: one holder at a time, released on a crash."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Final, Self
from weakref import WeakSet

from sst_cloud.atomic_files import make_folder
from sst_cloud.errors import OutboxError

COLLECTOR_LOCK: Final = "collector.lock"
"""The file's name in the state folder."""
_CHECK_DURATION: Final = 0.2
"""Most seconds for which `is_held` may hold the lock."""
_RETRY_INTERVAL: Final = 0.005


def is_held(path: Path) -> bool:
    """Whether the lock on a file, or on its folder, is held.

    Creates no file. It holds the folder's lock for a moment.
    """
    connection = None
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=0)
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            return True
    finally:
        if connection is not None:
            connection.close()
    try:
        folder = _lock_folder(path.parent, shared=True)
    except BlockingIOError:
        return True
    if folder is not None:
        os.close(folder)
    return False


class Lock:
    """A lock on a file, held by one process at a time and given up when that process ends.

    Uses SQLite's locking on an empty file: the only portable file lock in the standard library.
    """

    def __init__(
        self,
        path: Path,
        make_error: Callable[[], OutboxError],
        *,
        wait: float = _CHECK_DURATION,
        with_folder: bool = False,
    ) -> None:
        """`make_error` makes the error for a lock that another process holds; `wait`: seconds.

        `with_folder` locks the file's folder, too, where that is possible: files can be removed.
        """
        self._path = path
        self._make_error = make_error
        self._wait = wait
        self._with_folder = with_folder
        self._connection: sqlite3.Connection | None = None
        self._folder: int | None = None

    def __enter__(self) -> Self:
        """Acquire it. Raises `OutboxError` if it is held, or the file cannot be created."""
        try:
            if self._with_folder:
                make_folder(self._path.parent)
                self._folder = self._wait_for_folder()
                _folder_locks.add(self)
            else:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(
                self._path, timeout=self._wait, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("BEGIN EXCLUSIVE")
        except (OSError, sqlite3.Error) as error:
            self.__exit__(None, None, None)
            raise self._error(error) from error
        return self

    def _wait_for_folder(self) -> int | None:
        deadline = monotonic() + self._wait
        while True:
            try:
                return _lock_folder(self._path.parent)
            except BlockingIOError:
                if monotonic() >= deadline:
                    raise
            sleep(_RETRY_INTERVAL)

    def _error(self, error: OSError | sqlite3.Error) -> OutboxError:
        if isinstance(error, BlockingIOError):
            return self._make_error()
        match getattr(error, "sqlite_errorcode", None):
            case sqlite3.SQLITE_BUSY:
                return self._make_error()
            case sqlite3.SQLITE_FULL:
                return OutboxError(f"the disk with {self._path.parent} is full: free some space")
            case sqlite3.SQLITE_NOTADB:
                return OutboxError(f"{self._path} is not a lock file of sst-cloud; remove it")
        reason = error.strerror if isinstance(error, OSError) else error
        return OutboxError(f"{self._path} cannot be created: {reason}")

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.release_folder()

    def release_folder(self) -> None:
        """Close the folder: it stays locked while any process, even a fork, has it open."""
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None


_folder_locks: Final = WeakSet[Lock]()
"""All locks that may have a folder open."""


def _release_after_fork() -> None:
    for lock in _folder_locks:
        lock.release_folder()


with suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(after_in_child=_release_after_fork)


def _lock_folder(folder: Path, *, shared: bool = False) -> int | None:
    """Lock a folder itself, until what is returned is closed; None if it cannot be locked.

    Raises BlockingIOError if it is locked.
    """
    handle = None
    try:
        import fcntl  # noqa: PLC0415  not on Windows

        handle = os.open(folder, os.O_RDONLY)  # child processes do not inherit it
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (ImportError, OSError) as error:
        if handle is not None:
            os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        return None  # some network file systems, for one
    return handle

"""Shared by sinks that store to a file."""

import os
from pathlib import Path
from stat import S_ISDIR
from typing import Literal

from sst_cloud.errors import SinkError, SinkRefusedError, SinkUnavailableError
from sst_cloud.files import is_temporary

Done = Literal["written", "read"]
"""What is done to a file, for messages."""


def status_of(path: Path) -> os.stat_result | None:
    """What is at a path; None if nothing is. Raises OSError where that is not known.

    `Path.exists` takes some errors for an answer, and not the same ones in every Python.
    """
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def file_error(path: Path, error: OSError | ValueError, done: Done = "written") -> SinkError:
    """The sink's error for one of the file system; a ValueError is an invalid path."""
    if isinstance(error, FileNotFoundError | NotADirectoryError) and not path.parent.is_dir():
        return _no_folder(path)
    temporary = isinstance(error, OSError) and is_temporary(error)
    reason = getattr(error, "strerror", None) or error
    return (SinkUnavailableError if temporary else SinkRefusedError)(
        f"{path} cannot be {done}: {reason}"
    )


def shortage() -> OSError | None:
    """What keeps this process from opening any file at all, such as too many open ones."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error
    return None


def check_there(path: Path) -> None:
    """Raise `SinkRefusedError` if there is no such file, or it may not be read."""
    try:
        status = status_of(path)
    except (OSError, ValueError) as error:
        raise file_error(path, error, "read") from error
    if status is None:
        raise SinkRefusedError(f"{path} does not exist; nothing has been stored there yet")
    _check_no_folder(path, status)
    if not os.access(path, os.R_OK):
        raise SinkRefusedError(f"{path} cannot be read: permission denied")


def check_writable(path: Path) -> None:
    """Raise `SinkRefusedError` if the file could not be written, or created if missing."""
    try:
        status, folder = status_of(path), status_of(path.parent)
    except (OSError, ValueError) as error:  # no access to it, or an invalid path
        raise file_error(path, error) from error
    if status is not None:
        _check_no_folder(path, status)
    if folder is None or not S_ISDIR(folder.st_mode):
        raise _no_folder(path)
    if not os.access(path if status is not None else path.parent, os.W_OK):
        raise SinkRefusedError(f"{path} cannot be written: permission denied")


def _check_no_folder(path: Path, status: os.stat_result) -> None:
    if S_ISDIR(status.st_mode):
        raise SinkRefusedError(f"{path} is a folder; give the path of a file")


def _no_folder(path: Path) -> SinkError:
    return SinkRefusedError(f"the folder {path.parent} does not exist; create it first")

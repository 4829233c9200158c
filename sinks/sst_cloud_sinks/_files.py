"""Shared by sinks that store to a file."""

import os
from pathlib import Path
from stat import S_ISDIR
from typing import Literal

from sst_cloud.atomic_files import is_temporary
from sst_cloud.errors import SinkError, SinkRefusedError, SinkUnavailableError

FileAccess = Literal["written", "read"]
"""How a file is accessed, as messages word it."""


def status_of(path: Path) -> os.stat_result | None:
    """The status of the file at a path; None if there is none. Raises OSError if it is unknown.

    `Path.exists` takes some errors for a no, and not the same ones in every Python.
    """
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def file_error(
    path: Path, error: OSError | ValueError, access: FileAccess = "written"
) -> SinkError:
    """The sink's error for an error of the file system; a ValueError means an invalid path."""
    if isinstance(error, FileNotFoundError | NotADirectoryError) and not path.parent.is_dir():
        return _missing_folder(path)
    temporary = isinstance(error, OSError) and is_temporary(error)
    reason = getattr(error, "strerror", None) or error
    return (SinkUnavailableError if temporary else SinkRefusedError)(
        f"{path} cannot be {access}: {reason}"
    )


def shortage() -> OSError | None:
    """The error that keeps this process from opening any file, such as too many open ones."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error
    return None


def check_exists(path: Path) -> None:
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
        raise _missing_folder(path)
    if not os.access(path if status is not None else path.parent, os.W_OK):
        raise SinkRefusedError(f"{path} cannot be written: permission denied")


def _check_no_folder(path: Path, status: os.stat_result) -> None:
    if S_ISDIR(status.st_mode):
        raise SinkRefusedError(f"{path} is a folder; give the path of a file")


def _missing_folder(path: Path) -> SinkError:
    return SinkRefusedError(f"the folder {path.parent} does not exist; create it first")

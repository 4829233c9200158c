"""Shared by sinks that store to a file."""

import errno
import os
from pathlib import Path
from typing import Final

from sst_cloud.errors import SinkError, SinkRefusedError, SinkUnavailableError

_PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EBUSY})
"""Disk full or failing: may go away on a retry. Anything else has to be fixed first."""


def file_error(path: Path, error: OSError) -> SinkError:
    """The sink's error for a file system error."""
    if error.errno == errno.ENOENT and not path.parent.is_dir():
        return _no_folder(path)
    passing = error.errno in _PASSING
    return (SinkUnavailableError if passing else SinkRefusedError)(
        f"{path} cannot be written: {error.strerror or error}"
    )


def _no_folder(path: Path) -> SinkError:
    return SinkRefusedError(f"the folder {path.parent} does not exist; create it first")


def check_there(path: Path) -> None:
    """Raise `SinkRefusedError` if there is no such file."""
    if path.is_dir():
        raise SinkRefusedError(f"{path} is a folder; give the path of a file")
    if not path.exists():
        raise SinkRefusedError(f"{path} does not exist; nothing has been stored there yet")


def check_writable(path: Path) -> None:
    """Raise `SinkRefusedError` if the file could not be written, or created if missing."""
    try:
        _check_writable(path)
    except (OSError, ValueError) as error:  # no access to it, or an invalid path
        reason = getattr(error, "strerror", None) or error
        raise SinkRefusedError(f"{path} cannot be written: {reason}") from error


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise SinkRefusedError(f"{path} is a folder; give the path of a file")
    folder = path.parent
    if not folder.is_dir():
        raise _no_folder(path)
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise SinkRefusedError(f"{path} cannot be written: permission denied")

"""What sinks that keep a file have in common."""

import errno
import os
from pathlib import Path
from typing import Final

from sst_cloud.errors import SinkError, SinkRefusedError, SinkUnavailableError

_PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EBUSY})
"""The disk is full or ailing: that may pass. Anything else needs somebody to mend it."""


def file_error(path: Path, error: OSError) -> SinkError:
    """The sink's error for an error of the file system."""
    if error.errno == errno.ENOENT and not path.parent.is_dir():
        return _no_folder(path)
    passing = error.errno in _PASSING
    return (SinkUnavailableError if passing else SinkRefusedError)(
        f"{path} cannot be written: {error.strerror or error}"
    )


def _no_folder(path: Path) -> SinkError:
    return SinkRefusedError(f"the folder {path.parent} does not exist; make it first")


def check_there(path: Path) -> None:
    """Raise `SinkRefusedError` if there is no such file."""
    if path.is_dir():
        raise SinkRefusedError(f"{path} is a folder; name a file in it")
    if not path.exists():
        raise SinkRefusedError(f"there is no file {path}; nothing has been stored there")


def check_writable(path: Path) -> None:
    """Raise `SinkRefusedError` if the file could not be written, or made where it is not."""
    try:
        _check_writable(path)
    except (OSError, ValueError) as error:  # it may not even be looked at, or is no name at all
        reason = getattr(error, "strerror", None) or error
        raise SinkRefusedError(f"{path} cannot be written: {reason}") from error


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise SinkRefusedError(f"{path} is a folder; name a file in it")
    folder = path.parent
    if not folder.is_dir():
        raise _no_folder(path)
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise SinkRefusedError(f"{path} cannot be written: permission denied")

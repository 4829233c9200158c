"""Files that are written atomically, and which errors of a file system are temporary."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

_TEMPORARY: Final = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EBUSY, errno.EINTR),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOLCK, errno.EDEADLK),
        # a file server that is away, or has started again
        *(errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.ESHUTDOWN),
        *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE),
    }
)
_CANNOT_SYNC: Final = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EISDIR),  # Windows cannot open folders
        *(errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY),
    }
)
"""Some file systems, mostly network ones, cannot sync a folder."""


def is_temporary(error: OSError) -> bool:
    """Whether a file system error may go away by itself; anything else has to be fixed first.

    A full or failing disk, too many open files, too little memory, a file server that is away.
    """
    return error.errno in _TEMPORARY


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file atomically and durably; only its owner can read it.

    Raises OSError, leaving the old file untouched.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105  atomic, and the name says so
        sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, durably; only its owner can enter it."""
    if not folder.is_dir():
        missing = [folder, *(parent for parent in folder.parents if not parent.exists())]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for new in missing:
            sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    """Sync a folder to disk, where that is possible: syncing a file does not sync its name.

    Raises OSError if the disk fails.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EBADF):  # it cannot sync folders
                raise
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise

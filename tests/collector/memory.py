"""Where files of tests lie that sync more often than a disk likes."""

from pathlib import Path
from typing import Final

MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Whether a disk keeps what it was told to sync is not what is tested here."""

"""A folder in memory for tests that sync very often."""

from pathlib import Path
from typing import Final

MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""These tests do not depend on what a disk keeps after a sync."""

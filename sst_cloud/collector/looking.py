"""What other programs see of a collector's folder, whether it runs or not."""

import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from sst_cloud.errors import OutboxError
from sst_cloud.models import House

from . import queries
from .database import FILE, open_to_read
from .lock import COLLECTOR, is_held
from .status import Status

T = TypeVar("T")


def read_status(folder: Path) -> Status:
    """How the collector of a folder fares, running or not. Raises `OutboxError`."""
    return _look(folder, queries.status)


def is_running(folder: Path) -> bool:
    """Whether a collector is running on a folder."""
    return is_held(folder / COLLECTOR)


def known_houses(folder: Path) -> tuple[House, ...]:
    """The houses as the collector of a folder last saw them; empty if there was none."""
    if not (folder / FILE).exists():
        return ()
    try:
        return tuple(House(**house) for house in json.loads(_look(folder, queries.notes)["houses"]))
    except (KeyError, ValueError, TypeError):
        return ()


def houses_note(houses: Iterable[House]) -> str:
    """What `known_houses` reads: no more of a house than a bill needs."""
    fields = ("id", "name", "timezone", "report_date")
    return json.dumps(
        [{field: getattr(house, field) for field in fields} for house in houses],
        ensure_ascii=False,
    )


def _look(folder: Path, action: Callable[[sqlite3.Connection], T]) -> T:
    database = open_to_read(folder / FILE)
    try:
        return action(database)
    except sqlite3.Error as error:
        raise OutboxError(f"{folder / FILE} cannot be read: {error}") from None
    finally:
        database.close()

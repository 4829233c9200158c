"""Read a state folder from another process, whether or not the collector is running."""

import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from sst_cloud.models import House

from . import queries
from .database import FILE, cannot_be_read, open_to_read
from .integrity import ERRORS
from .lock import COLLECTOR_LOCK, is_held
from .status import Status

T = TypeVar("T")


def read_status(folder: Path) -> Status:
    """The status of the collector with this state folder, running or not. Raises `OutboxError`."""
    return _query(folder, queries.status)


def is_running(folder: Path) -> bool:
    """Whether a collector is running with this state folder."""
    return is_held(folder / COLLECTOR_LOCK)


def known_houses(folder: Path) -> tuple[House, ...]:
    """The houses as the collector last saw them; empty if there are none."""
    if not (folder / FILE).exists():
        return ()
    try:
        return tuple(
            House(**house) for house in json.loads(_query(folder, queries.notes)["houses"])
        )
    except (KeyError, ValueError, TypeError):
        return ()


def houses_note(houses: Iterable[House]) -> str:
    """The note that `known_houses` reads: only the fields of a house that a report needs."""
    fields = ("id", "name", "timezone", "report_date")
    return json.dumps(
        [{field: getattr(house, field) for field in fields} for house in houses],
        ensure_ascii=False,
    )


def _query(folder: Path, action: Callable[[sqlite3.Connection], T]) -> T:
    database = open_to_read(folder / FILE)
    try:
        return action(database)
    except ERRORS as error:
        raise cannot_be_read(folder / FILE, error) from None
    finally:
        database.close()

"""Helpers shared by the tests of file sinks."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from sst_cloud import Reading
from sst_cloud.testing.sink_contract import START, sample_reading


def numbered(*numbers: int, more: int = 0) -> list[Reading]:
    """Readings of one meter, an hour apart; each value is its number plus `more`."""
    return [
        sample_reading(time=START + timedelta(hours=number), value=number + more)
        for number in numbers
    ]


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What another program sees in an SQLite file."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchall()


def values(path: Path) -> list[int]:
    """The values of the meter in time order from an intact SQLite file."""
    if not path.stat().st_size:
        return []
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    return [value for (value,) in rows(path, "SELECT value FROM readings ORDER BY time")]

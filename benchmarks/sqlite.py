"""Time of a write of the SQLite sink, beside `executemany` of the same rows."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from sst_cloud import Point, Quantity, Reading, Water
from sst_cloud.readings import FIELDS
from sst_cloud_sinks.sqlite import SqliteSink

from .measure import Benchmark, Figure, alternate, timed

ROWS = 10_000
LIMIT = 3.0
METERS = 20


def readings(count: int) -> list[Reading]:
    """Readings of twenty meters, twenty minutes apart."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Reading(
            time=start + timedelta(minutes=20) * (number // METERS),
            quantity=Quantity.VOLUME,
            value=100_000 + number,
            house_id=1201,
            house="Flat",
            device_id=24001 + number % METERS // 4,
            device="Bathroom",
            model="Neptun Smart",
            point=Point.COUNTER,
            point_id=str(38001 + number % METERS),
            name=f"Meter {number % METERS}",
            line=1 + number % 4,
            water=Water.HOT if number % 2 else Water.COLD,
        )
        for number in range(count)
    ]


def measure(runs: int) -> Sequence[Figure]:
    """A durable write, into a new file each time."""
    first, *batch = readings(1 + ROWS)
    rows = [tuple(reading.as_dict().values()) for reading in batch]

    def sink() -> float:
        with TemporaryDirectory(prefix="sst-cloud-") as folder:
            return asyncio.run(_through_sink(Path(folder) / "home.db", first, batch))

    def bare() -> float:
        with TemporaryDirectory(prefix="sst-cloud-") as folder:
            path = Path(folder) / "home.db"
            asyncio.run(_through_sink(path, first, []))
            return _executemany(path, rows)

    pairs = alternate(sink, bare, runs)
    return [pairs.figure(f"SQLite, {ROWS} readings", LIMIT, "took", "bare executemany")]


async def _through_sink(path: Path, first: Reading, batch: Sequence[Reading]) -> float:
    async with SqliteSink(path) as sink:
        await sink.write([first])  # makes the table
        seconds = await timed(sink.write(batch))
    with closing(sqlite3.connect(path)) as database:
        _check_stored(database, len(batch))
    return seconds


def _executemany(path: Path, rows: Sequence[tuple[object, ...]]) -> float:
    insert = f"INSERT INTO readings VALUES ({', '.join('?' * len(FIELDS))})"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        started = perf_counter()
        database.execute("BEGIN IMMEDIATE")
        database.executemany(insert, rows)
        database.execute("COMMIT")
        seconds = perf_counter() - started
        _check_stored(database, len(rows))
    return seconds


def _check_stored(database: sqlite3.Connection, count: int) -> None:
    stored = database.execute("SELECT count(*) FROM readings").fetchone()[0]
    if stored != 1 + count:
        raise RuntimeError(f"{stored} rows are stored, not {1 + count}")


SQLITE = Benchmark("sqlite", 11, measure)

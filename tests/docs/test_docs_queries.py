"""Documented queries, run by the engines they are for."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from docs.snippets import snippets
from sst_cloud import Reading, SSTCloud, TokenAuth, open_sink, readings_from
from sst_cloud.clock import ManualClock
from sst_cloud.testing import FakeAccount, FakeCloud, FakeDevice, FakeHouse
from sst_cloud.testing.fake.demo_account import demo_devices
from sst_cloud.testing.fake.leak_module import FakeModule, FakeSensor

DOCS = Path(__file__).parents[2] / "docs"
DAYS = 40


def queries(page: str) -> dict[str, str]:
    """The SQL of a page, by the comment it begins with."""
    texts = [s.text for s in snippets(DOCS / page) if s.language == "sql"]
    return {text.splitlines()[0].removeprefix("-- "): text for text in texts}


@pytest.fixture
async def readings() -> Sequence[Reading]:
    """Forty days of a household, with a leak and a low battery on the third day."""
    flat, _ = demo_devices()
    cellar = FakeSensor(name="Cellar", battery=15)
    damp = FakeDevice(name="Stairs", state=FakeModule(sensors=[cellar]))
    account = FakeAccount(houses=[FakeHouse(name="Flat", devices=[*flat, damp])])
    clock = ManualClock()
    history: list[Reading] = []
    async with (
        FakeCloud([account], clock=clock) as fake,
        SSTCloud(TokenAuth(fake.token), base_url=fake.url, clock=clock) as cloud,
    ):
        for day in range(DAYS):
            cellar.leak = day == 2
            history += readings_from(await cloud.snapshot())
            clock.advance(24 * 3600)
    return history


def litres(readings: Sequence[Reading]) -> dict[str, float]:
    """The usage of each meter between its first and last reading."""
    totals: dict[str, list[float]] = {}
    for reading in readings:
        if reading.quantity == "volume":
            totals.setdefault(reading.point_id, []).append(reading.value)
    return {meter: max(values) - min(values) for meter, values in totals.items()}


@pytest.fixture
async def database(readings: Sequence[Reading], tmp_path: Path) -> sqlite3.Connection:
    file = tmp_path / "home.db"
    async with open_sink(f"sqlite:{file}") as sink:
        await sink.write(readings)
    connection = sqlite3.connect(file)
    connection.row_factory = sqlite3.Row
    return connection


def test_documented_sqlite_queries_give_the_right_results(
    database: sqlite3.Connection,
    readings: Sequence[Reading],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    answers: dict[str, list[dict[str, Any]]] = {
        title: [dict(row) for row in database.execute(text)]
        for title, text in queries("sinks/sqlite.md").items()
    }
    database.close()
    days = answers["Litres per UTC day and meter"]
    assert len(days) == DAYS * len(litres(readings))
    assert sum(row["litres"] or 0 for row in days) == sum(litres(readings).values()) > 0
    (wet,) = answers["What was wet, and when first and last"]
    assert (wet["device"], wet["name"], wet["since"]) == ("Stairs", "Cellar", wet["until"])
    (weak,) = answers["Sensors whose battery needs replacing"]
    assert (weak["name"], weak["percent"]) == ("Cellar", 15)
    assert weak["read"] == max(reading.time for reading in readings).strftime("%Y-%m-%dT%H:%M:%SZ")
    believed = answers["Readings per day and quality"]
    assert sum(row["readings"] for row in believed) == len(readings)
    with sqlite3.connect(tmp_path / "backup.db") as copy:
        assert copy.execute("SELECT count(*) FROM readings").fetchone() == (len(readings),)
    copy.close()
    assert len(answers) == 5


async def test_documented_duckdb_query_reads_the_csv_file(
    readings: Sequence[Reading], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_sink("csv:readings.csv") as sink:
        await sink.write(readings)
    (text,) = queries("sinks/csv.md").values()
    with duckdb.connect() as engine:
        rows = engine.sql(text).fetchall()
    sums: dict[str, float] = {}
    for _, meter, _, used in rows:
        sums[meter] = sums.get(meter, 0) + (used or 0)
    assert sums == litres(readings)


def test_documented_duckdb_query_reads_the_sqlite_file(
    database: sqlite3.Connection, readings: Sequence[Reading]
) -> None:
    """Attaching the file needs an extension to download, so its rows are inserted as text."""
    (text,) = queries("notebook.md").values()
    setting, attach, select = (statement.query for statement in duckdb.extract_statements(text))
    assert ("sqlite_all_varchar" in setting, "TYPE sqlite" in attach) == (True, True)
    rows = [
        [None if value is None else str(value) for value in row]
        for row in database.execute("SELECT * FROM readings")
    ]
    names = [column[1] for column in database.execute("PRAGMA table_info(readings)")]
    database.close()
    with duckdb.connect() as engine:
        engine.execute("ATTACH ':memory:' AS home")
        engine.execute(f"CREATE TABLE home.readings ({', '.join(f'{n} VARCHAR' for n in names)})")
        marks = ", ".join("?" * len(names))
        engine.executemany(f"INSERT INTO home.readings VALUES ({marks})", rows)
        result = engine.execute(select).fetchall()
    totals = [(r.time, r.name, r.value) for r in readings if r.quantity == "volume"]
    assert sorted(result) == sorted(totals)

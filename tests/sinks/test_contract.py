"""The contract tests for the built-in file sinks."""

import json
import sqlite3
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest

from sst_cloud import Reading
from sst_cloud.testing import SinkContract
from sst_cloud.testing.sink_contract import SinkFactory
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink
from sst_cloud_sinks.stdout import StdoutSink


class TestCsv(SinkContract):
    @pytest.fixture
    def make_sink(self, tmp_path: Path) -> SinkFactory:
        return lambda: CsvSink(tmp_path / "readings.csv")


class TestSqlite(SinkContract):
    @pytest.fixture
    def make_sink(self, tmp_path: Path) -> SinkFactory:
        return lambda: SqliteSink(tmp_path / "home.db")


class TestSqliteTable(SinkContract):
    """What other programs see in the file."""

    @pytest.fixture
    def make_sink(self, tmp_path: Path) -> SinkFactory:
        self.path = tmp_path / "home.db"
        return lambda: SqliteSink(self.path)

    async def stored(self, make_sink: SinkFactory) -> Sequence[Reading]:
        if not self.path.exists():
            return []
        with sqlite3.connect(self.path) as database:
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute("SELECT * FROM readings")]
        database.close()
        booleans = ("leak", "valve_open", "battery_low", "sensor_lost", "heating", "online")
        for row in rows:
            if row["quantity"] in booleans:
                assert row["value"] in (0, 1)
                row["value"] = bool(row["value"])
        return [Reading.from_dict(row) for row in rows]


class TestStdout(SinkContract):
    @pytest.fixture
    def make_sink(self) -> SinkFactory:
        self.stream = StringIO()
        return lambda: StdoutSink(stream=self.stream)

    async def stored(self, make_sink: SinkFactory) -> Sequence[Reading]:
        lines = self.stream.getvalue().splitlines()
        return [Reading.from_dict(json.loads(line)) for line in lines]


class TestStdoutTable(SinkContract):
    @pytest.fixture
    def make_sink(self) -> SinkFactory:
        stream = StringIO()
        return lambda: StdoutSink(format="table", stream=stream)

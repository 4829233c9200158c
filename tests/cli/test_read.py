"""`sst-cloud read`: readings to standard output or any sink."""

import json
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from sst_cloud import Reading, Rejection, SinkUnavailableError, WriteReport
from sst_cloud.testing import FakeCloud
from sst_cloud_sinks.csv import CsvSink

from .conftest import Run


def test_read_prints_json_lines_in_a_pipe(sst: Run, logged_in: FakeCloud) -> None:
    status, out, err = sst("read")
    assert (status, err) == (0, "")
    readings = [Reading.from_dict(json.loads(line)) for line in out.splitlines()]
    assert [reading.name for reading in readings][:2] == ["Bath cold", "Bath hot"]


def test_read_prints_a_table_on_a_terminal(
    sst: Run, logged_in: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "house" in sst("read").out.splitlines()[1]
    assert sst("read", "--json").out.startswith('{"time":')


def test_read_writes_one_house_to_a_csv_file(sst: Run, logged_in: FakeCloud, folder: Path) -> None:
    status, out, _ = sst("read", "--house", "Summer house", "--sink", "csv:r.csv")
    assert (status, out) == (0, "")
    header, *rows = (folder / "r.csv").read_text().splitlines()
    assert header.startswith("time,quantity,value,")
    assert {row.split(",")[5] for row in rows} == {"Summer house"}


def test_read_fails_if_a_sink_rejects_a_reading(
    sst: Run, logged_in: FakeCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reject(self: CsvSink, readings: Sequence[Reading]) -> WriteReport:
        return WriteReport(len(readings) - 1, (Rejection(readings[0], "odd"),))

    monkeypatch.setattr(CsvSink, "write", reject)
    status, out, err = sst("read", "--sink", "csv:r.csv")
    assert (status, out) == (1, "")
    assert err == "Warning: csv:r.csv rejected volume of 38001: odd\n"


def test_read_writes_to_the_other_sinks_if_one_fails(
    sst: Run, logged_in: FakeCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: CsvSink, readings: Sequence[Reading]) -> WriteReport:
        raise SinkUnavailableError("not now")

    monkeypatch.setattr(CsvSink, "write", fail)
    sinks = ("csv:r.csv", "csv:s.csv", "sqlite:home.db")
    status, _, err = sst("read", *(part for sink in sinks for part in ("--sink", sink)))
    assert (status, err) == (1, "Error: csv:s.csv: not now\nError: not now\n")
    with closing(sqlite3.connect(folder / "home.db")) as database:
        assert database.execute("SELECT count(*) > 0 FROM readings").fetchone() == (1,)


@pytest.mark.parametrize(
    ("url", "status", "message"),
    [
        ("readings.csv", 2, "is not a sink URL"),
        ("pigeon:x", 2, "there is no 'pigeon' sink (installed: csv, "),
        ("stdout:?colour=red", 2, "the stdout sink has no option 'colour' (it knows: format)"),
        ("csv:/no/such/folder/x.csv", 1, "does not exist; create it first"),
        ("sqlite:/", 1, "is a folder"),
        ("csv:other.csv", 1, "does not have the columns of readings (it starts with: a, b)"),
    ],
)
def test_unusable_sink_is_an_error_before_any_request(  # noqa: PLR0917
    sst: Run, logged_in: FakeCloud, folder: Path, url: str, status: int, message: str
) -> None:
    (folder / "other.csv").write_text("a,b\n1,2\n")
    outcome = sst("read", "--sink", url)
    assert outcome.status == status
    assert message in outcome.err
    assert len(outcome.err.splitlines()) <= 2
    assert (folder / "other.csv").read_text() == "a,b\n1,2\n"
    assert logged_in.requests == []

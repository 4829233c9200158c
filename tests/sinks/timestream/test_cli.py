"""`sst-cloud timestream create`, and an import into the table it made."""

import asyncio
from pathlib import Path

import pytest

from sinks.timestream.stand_in import NOW, Timestream
from sst_cloud.cli.app import run
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.csv import CsvSink


async def command(*args: str) -> int:
    return await asyncio.to_thread(run, args)


async def test_create_command_makes_a_table_that_accepts_an_import(
    timestream: Timestream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    where = ["--endpoint-url", timestream.url]
    table = ["timestream", "create", "mydb/meters", "--memory", "12h", "--magnetic", "10y"]
    assert await command(*table, *where) == 0
    assert capsys.readouterr().out.splitlines() == [
        "database mydb created",
        (
            "table meters created: 12 hours in memory, 3650 days in total, "
            "does not accept older readings"
        ),
    ]

    history = tmp_path / "readings.csv"
    await CsvSink(history).write([sample_reading(), sample_reading(time=NOW.replace(year=2020))])
    sink = f"timestream:mydb/meters?endpoint_url={timestream.url}"
    assert await command("import", str(history), "--sink", sink) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"1 readings stored in {sink}, 1 rejected.")
    assert "magnetic-store writes" in out

    assert await command(*table, "--magnetic-writes", *where) == 0
    assert (
        "updated: 12 hours in memory, 3650 days in total, accepts older" in capsys.readouterr().out
    )
    assert await command("import", str(history), "--sink", sink) == 0
    assert len(timestream.databases["mydb"]["meters"].rows) == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["mydb"], "DATABASE/TABLE"),
        (["mydb/meters", "--memory", "soon"], "12h, 30d or 10y"),
        (["mydb/meters", "--memory", "2y"], "1 to 8766 hours"),
    ],
)
def test_wrong_usage_is_an_error(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["timestream", "create", *args]) == 2
    assert message in capsys.readouterr().err

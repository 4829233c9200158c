"""`sst-cloud provision`, and an import into the table that it created."""

import asyncio
from pathlib import Path

import pytest

from sinks.timestream.stand_in import NOW, Timestream
from sst_cloud.cli.app import run
from sst_cloud.testing import FakeCloud
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.csv import CsvSink


async def command(*args: str) -> int:
    return await asyncio.to_thread(run, args)


async def test_provisioned_table_accepts_an_import(
    timestream: Timestream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    sink = f"timestream:mydb/meters?endpoint_url={timestream.url}&memory=12h"
    assert await command("read", "--sink", sink) == 1
    assert capsys.readouterr().err.endswith(
        "check its name and region, or create it: run `sst-cloud provision` with the URL of the "
        "sink\n"
    )
    assert await command("provision", sink) == 0
    assert capsys.readouterr().out.splitlines() == [
        "database mydb created",
        (
            "table meters created: 12 hours in memory, 3650 days in total, "
            "does not accept older readings"
        ),
    ]

    history = tmp_path / "readings.csv"
    await CsvSink(history).write([sample_reading(), sample_reading(time=NOW.replace(year=2020))])
    assert await command("import", str(history), "--sink", sink) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"1 reading stored in {sink}, 1 rejected.")
    assert "magnetic-store writes" in out

    sink += "&magnetic_writes=yes"
    assert await command("provision", sink) == 0
    assert (
        "updated: 12 hours in memory, 3650 days in total, accepts older" in capsys.readouterr().out
    )
    assert await command("import", str(history), "--sink", sink) == 0
    assert len(timestream.databases["mydb"]["meters"].rows) == 2


async def test_check_says_how_to_create_a_missing_table(
    timestream: Timestream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = f"timestream:mydb/meters?endpoint_url={timestream.url}"
    async with FakeCloud() as cloud:
        account = ["--url", cloud.url, "--token", cloud.token]
        assert await command("check", "--sink", sink, "--state", str(tmp_path), *account) == 1
    account_line, _, sink_line = capsys.readouterr().out.splitlines()
    assert ": ok - " in account_line
    assert "create it: run `sst-cloud provision` with the URL of the sink" in sink_line


async def test_provisioning_takes_secrets_from_the_file_and_shows_none(
    timestream: Timestream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = ["[secrets]"]
    for name, value in (("AWS_ACCESS_KEY_ID", "AKIAFILE"), ("AWS_SECRET_ACCESS_KEY", "s3cret")):
        monkeypatch.delenv(name)
        (tmp_path / name).write_text(value)
        lines.append(f"{name} = {{ file = '{tmp_path / name}' }}")
    file = tmp_path / "collect.toml"
    file.write_text("\n".join(lines))
    timestream.denied = ("CreateTable",)
    sink = f"timestream:mydb/meters?endpoint_url={timestream.url}"
    assert await command("provision", "--config", str(file), sink) == 1
    assert timestream.requests_for("CreateDatabase")
    out, err = capsys.readouterr()
    assert "may not create table" in err
    assert "s3cret" not in out + err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("timestream:mydb", "DATABASE/TABLE"),
        ("timestream:mydb/meters?memory=soon", "must be a time like 12h, 30d or 10y"),
        ("timestream:mydb/meters?memory=2y", "1 to 8766 hours"),
        ("timestream:mydb/meters?magnetic=9999999y", "must be a time like 12h, 30d or 10y"),
        ("CSV:home.csv", "the csv sink has nothing to provision"),
    ],
)
def test_wrong_usage_is_an_error(
    url: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["provision", url]) == 2
    assert message in capsys.readouterr().err

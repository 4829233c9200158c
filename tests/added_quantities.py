"""Quantities that tests/test_quantities.py adds, in every sink and display; it runs these tests."""

import asyncio
import json
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from sinks.influxdb.line_protocol import parse
from sinks.influxdb.stand_in import StandIn
from sinks.timestream.stand_in import Timestream
from sst_cloud import (
    History,
    ManualClock,
    Point,
    Quantity,
    Reading,
    SSTCloud,
    WriteReport,
    extraction,
    open_sink,
    readings_frame,
)
from sst_cloud.cli.app import run
from sst_cloud.cli.settings import Settings
from sst_cloud.collector.metrics import exposition
from sst_cloud.monitoring.alarms import AlarmState, detect_alarms
from sst_cloud.monitoring.rules import AlarmRules
from sst_cloud.outbox.status import Status
from sst_cloud.testing import FakeCloud
from sst_cloud.testing.sink_contract import START, sample_reading
from sst_cloud_sinks.stdout import StdoutSink

VALUES = {Quantity("voltage"): 231.5, Quantity("frost"): True, Quantity("gas"): 512}
READINGS = [
    sample_reading(quantity=q, value=value, point=Point.MODULE, point_id="module", water=None)
    for q, value in VALUES.items()
]


@pytest.fixture
def _reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every device reports the added quantities, too."""
    readings_of_device = extraction._device

    def device_readings(context: Any, device: Any) -> Any:
        yield from readings_of_device(context, device)
        yield from context.readings(VALUES, point=Point.MODULE, point_id="module")

    monkeypatch.setattr(extraction, "_device", device_readings)


async def write_and_read(
    url: str, secrets: dict[str, str] | None = None
) -> tuple[list[Reading], Sequence[Reading]]:
    """What a sink gives back, in the order of the quantities; all, and the latest."""
    async with open_sink(url, secrets) as sink:
        assert await sink.write(READINGS) == WriteReport(accepted=len(READINGS))
        assert isinstance(sink, History)
        stored = [reading for quantity in Quantity async for reading in sink.read(quantity)]
        latest = await sink.latest()
    return stored, sorted(latest, key=lambda reading: list(Quantity).index(reading.quantity))


@pytest.mark.parametrize("url", ["csv:readings.csv", "sqlite:home.db"])
async def test_files(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert await write_and_read(url) == (READINGS, READINGS)


async def test_timestream() -> None:
    async with Timestream() as service:
        service.add_table(magnetic_writes=True)
        url = f"timestream:mydb/meters?region=eu-central-1&endpoint_url={service.url}"
        secrets = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret-test"}
        assert await write_and_read(url, secrets) == (READINGS, READINGS)


async def test_influxdb() -> None:
    async with StandIn() as server:

        async def answer(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
            if "q" not in request.query:
                return await server.store(request, lines)
            return web.json_response(query(request.query["q"], server.stored))

        server.answer = answer
        url = f"influxdb:{server.url}/home?org=home&names=yes"
        stored = [attrs.evolve(reading, model="", line=None) for reading in READINGS]
        assert await write_and_read(url, {"INFLUXDB_TOKEN": "token"}) == (stored, stored)


def query(statement: str, lines: set[str]) -> object:
    """The answer to the sink's InfluxQL: the fields it asks for, and the tags."""
    fields = re.findall(r'"(\w+)"\)? AS "\w+"', statement)
    measurements = re.findall(r'"(\w+)"', re.sub(".* FROM | GROUP BY .*", "", statement))
    tags = re.findall(r'"(\w+)"::tag', statement)
    values = [
        [row.time, *map(row.fields.get, fields), *map(row.tags.get, tags)]
        for row in map(parse, lines)
        if row.measurement in measurements and fields[0] in row.fields
    ]
    series = {"columns": ["time", "value", "quality", *tags], "values": values}
    return {"results": [{"series": [series]}]}


@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        ("jsonl", [f'"quantity":"{q}","value":{json.dumps(v)},' for q, v in VALUES.items()]),
        ("table", ["231.5 V", "yes", "512 m³"]),
    ],
)
async def test_stdout(format_: Literal["jsonl", "table"], expected: list[str]) -> None:
    stream = StringIO()
    async with StdoutSink(format=format_, stream=stream) as sink:
        assert await sink.write(READINGS) == WriteReport(accepted=len(READINGS))
    assert [text for text in expected if text not in stream.getvalue()] == []


def test_metrics() -> None:
    families = text_string_to_metric_families(exposition(Status(), READINGS).decode())
    values = {sample.name: sample.value for family in families for sample in family.samples}
    assert values["sst_cloud_voltage_volts"] == 231.5
    assert values["sst_cloud_frost"] == 1
    assert values["sst_cloud_gas_cubic_metres_total"] == 512


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frame(library: Literal["pandas", "polars"]) -> None:
    frame = readings_frame(READINGS, library=library)
    assert list(frame["quantity"]) == list(VALUES)
    assert list(frame["value"]) == [231.5, 1, 512]


@pytest.mark.usefixtures("_reported")
async def test_notebook(client: SSTCloud) -> None:
    html = (await client.snapshot())._repr_html_()
    assert "voltage</span> 231.5 V" in html
    assert ">frost</span>" in html
    assert "gas</span> 512 m³" in html


@pytest.mark.usefixtures("_reported")
@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["tree"], ["voltage 231.5 V", "frost yes", "gas 512 m³"]),
        (["watch --polls 1"], ["frost, ", "voltage 231.5 V"]),
        (["read"], ['"voltage","value":231.5,"unit":"V"', '"frost","value":true']),
        (
            ["collect --once --quiet --sink sqlite:a.db", "latest sqlite:a.db"],
            ["231.5 V", "frost", "512 m³"],
        ),
    ],
    ids=["tree", "watch", "read", "latest"],
)
async def test_command(
    commands: list[str],
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    async with FakeCloud(clock=ManualClock()) as cloud:
        monkeypatch.setenv("SST_CLOUD_URL", cloud.url)
        monkeypatch.setenv("SST_CLOUD_TOKEN", cloud.token)
        for command in commands:
            settings = Settings(clock=ManualClock())
            assert await asyncio.to_thread(run, command.split(), settings) == 0
    out = capsys.readouterr().out
    assert [text for text in expected if text not in out] == []


def test_alarms_ignore_what_they_do_not_know() -> None:
    events, _ = detect_alarms(AlarmState(), READINGS, START, zones={}, rules=AlarmRules())
    assert events == ()

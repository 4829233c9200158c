"""The queries that the documentation has for Timestream, on records as the sink writes them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from docs.snippets import snippets
from sst_cloud.enums import Water
from sst_cloud.testing.sink_contract import START, sample_reading
from sst_cloud_sinks.timestream import TimestreamSink

DOCS = Path(__file__).parents[3] / "docs"
HERE = {
    "$__interval_ms": "1h",
    "$__timeFilter": f"time > '{START - timedelta(days=1):%Y-%m-%d %H:%M:%S}'",
    "ago(1h)": f"'{START - timedelta(hours=1):%Y-%m-%d %H:%M:%S}'",
}
"""Replacements for the macros of Grafana and Timestream."""


def query(page: str, word: str) -> str:
    """The one query of a page that holds a word, in the stand-in's dialect."""
    (text,) = (s.text for s in snippets(DOCS / page) if s.language == "sql" and word in s.text)
    for timestream_dialect, sqlite_dialect in HERE.items():
        text = text.replace(timestream_dialect, sqlite_dialect)
    return text


@pytest.fixture
async def two_meters(sink: TimestreamSink) -> None:
    """Four hours of two cold meters and a hot one; the second runs twice as fast."""
    readings = [
        sample_reading(point_id=meter, value=1000 * int(meter) + litres * n, water=water, time=time)
        for meter, litres, water in (
            ("1", 1, Water.COLD),
            ("2", 2, Water.COLD),
            ("3", 9, Water.HOT),
        )
        for n in range(13)
        for time in [START + (n - 12) * timedelta(minutes=20)]
    ]
    assert (await sink.write(readings)).accepted == len(readings)


async def rows(clients: dict[str, Any], text: str) -> list[list[str | None]]:
    answer = await clients["query_client"].query(QueryString=text)
    return [[datum.get("ScalarValue") for datum in row["Data"]] for row in answer["Rows"]]


@pytest.mark.usefixtures("two_meters")
async def test_documented_query_shows_the_latest_readings(clients: dict[str, Any]) -> None:
    result = await rows(clients, query("lambda.md", "ago(1h)"))
    assert [meter for meter, _ in result] == ["1", "2", "3"]
    assert {(time or "")[:19] for _, time in result} == {f"{START:%Y-%m-%d %H:%M:%S}"}


@pytest.mark.usefixtures("two_meters")
async def test_documented_query_shows_hours_of_each_cold_meter(clients: dict[str, Any]) -> None:
    result = await rows(clients, query("lambda.md", "AS hour"))
    newest = {meter: litres for _, meter, litres in sorted(result, key=str)}
    assert newest == {"1": "1012", "2": "2024"}


@pytest.mark.usefixtures("two_meters")
async def test_documented_grafana_query_shows_litres(clients: dict[str, Any]) -> None:
    result = await rows(clients, query("sinks/timestream.md", "$__timeFilter"))
    used = {meter: {litres for _, m, litres in result[3:-3] if m == meter} for meter in "123"}
    assert used == {"1": {"3"}, "2": {"6"}, "3": {"27"}}

"""The queries of the documentation, run by a real InfluxDB."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from docs.snippets import snippets
from sinks.influxdb.servers import InfluxDB1
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.influxdb import InfluxDBSink

PAGE = Path(__file__).parents[3] / "docs" / "sinks" / "influxdb.md"


async def test_documented_influxql_query_gives_litres_per_hour(
    influxdb1: InfluxDB1, database: str
) -> None:
    query = next(s.text for s in snippets(PAGE) if "NON_NEGATIVE_DIFFERENCE" in s.text)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    totals = [
        sample_reading(point_id=meter, value=value, time=hour + timedelta(minutes=minutes))
        for meter, start in (("1", 1_000), ("2", 70_000))
        for minutes, value in ((5, start), (50, start + 7), (110, start + 30), (170, start + 31))
    ]
    sink = InfluxDBSink(
        influxdb1.url, database, version=1, user=influxdb1.admin, password=influxdb1.password
    )
    async with sink:
        assert (await sink.write(totals)).accepted == len(totals)
    answer = influxdb1.query(query, db=database)
    litres = {
        series["tags"]["point_id"]: [used for _, used in series["values"] if used is not None]
        for series in answer
    }
    assert litres == {"1": [23, 1], "2": [23, 1]}


@pytest.mark.parametrize(
    ("word", "values"),
    [('$timeFilter\nGROUP BY time($__interval), "point_id"', [23, 1]), ("MAX", [1])],
)
async def test_documented_grafana_queries_give_the_right_values(
    influxdb1: InfluxDB1, database: str, word: str, values: list[int]
) -> None:
    query = next(s.text for s in snippets(PAGE) if word in s.text and "$timeFilter" in s.text)
    query = query.replace("$timeFilter", "time > now() - 1d").replace("$__interval", "1h")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    readings = [
        sample_reading(value=value, time=hour + timedelta(minutes=minutes))
        for minutes, value in ((5, 1000), (50, 1007), (110, 1030), (170, 1031))
    ]
    wet = {"quantity": "leak", "unit": "", "point": "wireless_sensor", "value": True, "water": None}
    readings.append(sample_reading(**wet, time=hour))
    sink = InfluxDBSink(
        influxdb1.url, database, version=1, user=influxdb1.admin, password=influxdb1.password
    )
    async with sink:
        assert (await sink.write(readings)).accepted == len(readings)
    (series,) = influxdb1.query(query, db=database)
    assert [result for _, result in series["values"]] == values

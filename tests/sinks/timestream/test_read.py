"""Reading from Timestream, row by row."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from docs.snippets import snippets
from sinks.timestream.conftest import MakeSink
from sinks.timestream.stand_in import Error, Timestream
from sinks.timestream.store import Table
from sst_cloud import Reading
from sst_cloud.enums import Point, Quality, Water
from sst_cloud.errors import SinkRefusedError, SinkUnavailableError
from sst_cloud.quantities import Quantity
from sst_cloud.testing.sink_contract import START, sample_reading, sample_readings
from sst_cloud_sinks.timestream import TimestreamSink

HOUR = timedelta(hours=1)
PAGE = Path(__file__).parents[3] / "docs" / "sinks" / "timestream.md"


def old_record(time: datetime, litres: int, water: str = "cold") -> dict[str, Any]:
    """What the old function wrote."""
    dimensions = {"service": "water", "location": "home-sweet-home", "water_temperature": water}
    return {
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "MeasureName": "volume",
        "MeasureValue": str(litres),
        "MeasureValueType": "BIGINT",
        "Time": str(int(time.timestamp())),
        "TimeUnit": "SECONDS",
    }


def write_old(table: Table, *records: dict[str, Any]) -> None:
    table.write({"Records": list(records)}, START + HOUR)


async def all_of(sink: TimestreamSink, quantity: Quantity = Quantity.VOLUME) -> list[Reading]:
    return [reading async for reading in sink.read(quantity)]


async def test_readings_are_read_page_by_page(
    sink: TimestreamSink, timestream: Timestream, table: Table
) -> None:
    """Also if the first page is empty, as with a slow query."""
    readings = [sample_reading(time=START + n * HOUR / 100, value=n) for n in range(25)]
    await sink.write(readings)
    timestream.page_rows, timestream.empty_first_page = 10, True
    assert await all_of(sink) == readings
    assert len(timestream.requests_for("Query")) == 4
    assert await sink.latest() == (readings[-1],)


@pytest.mark.parametrize("fraction", [timedelta(0), timedelta(microseconds=1)])
async def test_time_range_is_half_open(
    sink: TimestreamSink, table: Table, fraction: timedelta
) -> None:
    """To the second, whatever the fraction."""
    readings = [sample_reading(time=START + timedelta(seconds=n)) for n in range(4)]
    await sink.write(readings)
    since, until = readings[1].time + fraction, readings[3].time + fraction
    read_back = [reading async for reading in sink.read(Quantity.VOLUME, since, until)]
    assert read_back == (readings[2:4] if fraction else readings[1:3])


async def test_better_quality_replaces_a_worse_one(sink: TimestreamSink, table: Table) -> None:
    """Quality is a dimension: a reading with a new quality is stored beside the first one."""
    suspect = sample_reading(quality=Quality.SUSPECT)
    good = sample_reading(quality=Quality.GOOD)
    await sink.write([suspect])
    assert await all_of(sink) == [suspect]
    await sink.write([good])
    await sink.write([sample_reading(quality=Quality.STALE)])
    assert len(table.rows) == 3
    assert await all_of(sink) == [good]
    assert await sink.latest() == (good,)


async def test_rows_of_the_old_function_are_read(sink: TimestreamSink, table: Table) -> None:
    """They come back under house 0, and beside new ones."""
    write_old(table, old_record(START, 5), old_record(START, 7, "hot"))
    old = [
        Reading(
            time=START,
            quantity=Quantity.VOLUME,
            value=litres,
            house_id=0,
            house="home-sweet-home",
            device_id=0,
            device="",
            model="",
            point=Point.COUNTER,
            point_id=f"home-sweet-home:{water}",
            water=water,
        )
        for litres, water in ((5, Water.COLD), (7, Water.HOT))
    ]
    assert sorted(await all_of(sink), key=lambda reading: reading.value) == old
    assert sorted(await sink.latest(), key=lambda reading: reading.value) == old
    new = sample_reading(time=START + HOUR)
    await sink.write([new])
    assert (await all_of(sink))[2:] == [new]
    assert len(await sink.latest()) == 3


async def test_foreign_rows_are_skipped_and_logged(
    sink: TimestreamSink, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    """A table may contain other rows: they are logged and skipped."""
    foreign = old_record(START, 5) | {"MeasureName": "pressure"}
    fraction = old_record(START, 6) | {"MeasureValueType": "DOUBLE"}
    write_old(table, foreign, fraction)
    await sink.write([sample_reading()])
    with caplog.at_level(logging.WARNING):
        assert await all_of(sink) == [sample_reading()]
        assert await sink.latest() == (sample_reading(),)
    assert "BIGINT" in caplog.text


async def test_every_quantity_is_read_back(make_sink: MakeSink, table: Table) -> None:
    """Names, kinds of numbers, qualities, whatever the location is."""
    readings = sample_readings()
    async with make_sink(location="elsewhere") as sink:
        await sink.write(readings)
        read_back = [r for quantity in Quantity for r in await all_of(sink, quantity)]
    assert {repr(reading) for reading in read_back} == {repr(reading) for reading in readings}


async def test_query_errors_are_temporary_or_refusals(
    sink: TimestreamSink, timestream: Timestream, table: Table
) -> None:
    timestream.inject(Error("ThrottlingException", 429), "Query", times=1)
    with pytest.raises(SinkUnavailableError):
        await sink.latest()
    timestream.denied = ("Query",)
    with pytest.raises(SinkRefusedError, match="timestream:Select"):
        await all_of(sink)
    timestream.denied = ()
    timestream.databases.clear()
    with pytest.raises(SinkRefusedError, match="does not exist"):
        await all_of(sink)


async def test_query_of_existing_users_gives_the_same_results(
    sink: TimestreamSink, timestream: Timestream, clients: dict[str, Any], table: Table
) -> None:
    """Litres per hour, cold and hot: the same for new records as for those of the old function.

    Beside the meters there are readings of other quantities, which the query must not see.
    """
    documented = next(s.text for s in snippets(PAGE) if "AS hot" in s.text)
    query = documented.replace("meters", "{table}")
    old = timestream.add_table(table="oldtable", magnetic_writes=True)
    readings = []
    for n in range(30):
        time = START - n * timedelta(minutes=20)
        write_old(old, old_record(time, 1000 - n), old_record(time, 500 - n, "hot"))
        common = {"house": "home-sweet-home", "time": time}
        readings += [
            sample_reading(**common, value=1000 - n),
            sample_reading(**common, value=500 - n, point_id="4", water=Water.HOT),
            sample_reading(**common, value=9e9, quantity=Quantity.AIR_TEMPERATURE, unit="°C"),
            sample_reading(**common, value=2**50, quantity=Quantity.BATTERY, unit="%"),
            sample_reading(**common, value=True, quantity=Quantity.ONLINE, unit=""),
        ]
    assert (await sink.write(readings)).accepted == len(readings)
    answers = [
        await clients["query_client"].query(QueryString=query.format(table=name))
        for name in ("oldtable", "meters")
    ]
    rows, new_rows = (answer["Rows"] for answer in answers)
    assert len(rows) == 11
    assert rows == new_rows
    first = datetime.fromisoformat(rows[0]["Data"][0]["ScalarValue"][:19]).replace(tzinfo=UTC)
    assert first == START - 10 * HOUR
    assert [datum["ScalarValue"] for datum in rows[-1]["Data"][1:]] == ["1000", "500"]

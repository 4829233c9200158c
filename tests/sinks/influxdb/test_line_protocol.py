"""Lines contain exactly the data of their readings, and no two readings share a line."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinks.influxdb.line_protocol import Parsed, parse
from sinks.influxdb.stand_in import StandIn
from sinks.influxdb.stored import MEASUREMENTS, QUALITIES, QUANTITIES, Row, as_written
from sst_cloud import Point, Quality, Quantity, Reading, Water, WriteReport
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.influxdb import InfluxDBSink

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SHORT = st.text(st.sampled_from('a, =\\"%\n\r\t\x00é😀#/5C'), max_size=6)
TEXT = st.one_of(SHORT, st.text(max_size=30))
QUICKLY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TIMES = st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(microsecond=0))
EXACT = st.integers(-(2**53), 2**53)
"""Whole numbers that a float represents exactly."""
COUNTED = st.datetimes(datetime(1677, 9, 22), datetime(2262, 4, 10), timezones=st.just(UTC))  # noqa: DTZ001
"""Times that fit into 64 bits of nanoseconds."""


@st.composite
def readings(
    draw: st.DrawFn,
    whole: st.SearchStrategy[int] = INT64,
    times: st.SearchStrategy[datetime] = TIMES,
) -> Reading:
    quantity = draw(st.sampled_from(Quantity))
    numbers = whole if quantity is Quantity.VOLUME else st.one_of(whole, FLOATS)
    return Reading(
        time=draw(times),
        quantity=quantity,
        value=draw(st.booleans() if quantity.is_boolean else numbers),
        house_id=draw(INT64),
        house=draw(TEXT),
        device_id=draw(INT64),
        device=draw(TEXT),
        model=draw(TEXT),
        point=draw(st.sampled_from(Point)),
        point_id=draw(TEXT),
        name=draw(st.none() | TEXT),
        line=draw(st.none() | INT64),
        water=draw(st.none() | st.sampled_from(Water)),
        quality=draw(st.sampled_from(Quality)),
    )


def sent(batch: Sequence[Reading], **options: Any) -> tuple[list[Parsed], WriteReport]:
    """The parsed lines sent for readings, and the report of the sink."""

    async def write() -> tuple[list[str], WriteReport]:
        async with StandIn() as server, InfluxDBSink(server.url, "home", **options) as sink:
            report = await sink.write(batch)
            return server.lines, report

    lines, report = asyncio.run(write())
    return [parse(line) for line in lines], report


def writable(reading: Reading) -> bool:
    whole = isinstance(reading.value, int) and int(float(reading.value)) != reading.value
    first, last = datetime(1677, 9, 22, tzinfo=UTC), datetime(2262, 4, 11, tzinfo=UTC)
    return first <= reading.time < last and not whole


def expected(reading: Reading) -> Parsed:
    fields = {quantity: field for field, quantity in QUANTITIES.items()}
    qualities = {quality: float(code) for code, quality in QUALITIES.items()}
    tags = {
        "house_id": str(reading.house_id),
        "device_id": str(reading.device_id),
        "point": str(reading.point),
        "point_id": reading.point_id,
        "water": str(reading.water or ""),
    }
    return Parsed(
        MEASUREMENTS[reading.point],
        {name: value for name, value in tags.items() if value},
        {
            fields[reading.quantity]: float(reading.value),
            f"{reading.quantity}_quality": qualities[reading.quality],
        },
        int(reading.time.timestamp()),
    )


def decoded(line: Parsed) -> Parsed:
    tags = {name: unquote(value) for name, value in line.tags.items()}
    return Parsed(line.measurement, tags, line.fields, line.time)


@QUICKLY
@given(st.lists(readings(), min_size=1, max_size=10))
def test_line_has_all_data_of_the_reading(batch: list[Reading]) -> None:
    lines, report = sent(batch)
    good = [reading for reading in batch if writable(reading)]
    assert [decoded(line) for line in lines] == [expected(reading) for reading in good]
    assert report.accepted == len(good)
    bad = [rejection.reading for rejection in report.rejected]
    assert bad == [reading for reading in batch if not writable(reading)]


@QUICKLY
@given(st.lists(readings(), min_size=1, max_size=10))
def test_names_become_tags_on_request(batch: list[Reading]) -> None:
    lines, _ = sent(batch, names=True)
    good = [reading for reading in batch if writable(reading)]
    for line, reading in zip(map(decoded, lines), good, strict=True):
        names = {"house": reading.house, "device": reading.device, "name": reading.name}
        name_tags = {name: value for name, value in names.items() if value}
        assert line.tags == expected(reading).tags | name_tags


@QUICKLY
@given(st.lists(st.tuples(SHORT, st.sampled_from(Point)), min_size=2, max_size=40, unique=True))
def test_every_point_has_its_own_series(points: list[tuple[str, Point]]) -> None:
    lines, _ = sent([sample_reading(point_id=text, point=point) for text, point in points])
    series = {(line.measurement, *sorted(line.tags.items())) for line in lines}
    assert len(series) == len(points)


@QUICKLY
@given(st.lists(readings(EXACT, COUNTED), max_size=6, unique_by=lambda reading: reading.key))
def test_readings_can_be_rebuilt_from_the_documented_schema(batch: list[Reading]) -> None:
    lines, _ = sent(batch)
    rows = [Row(line.measurement, line.tags, line.time, line.fields) for line in lines]
    assert as_written(rows, batch) == batch


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"point_id": "12"},
            (
                "water_meter,device_id=2,house_id=1,point=counter,point_id=12,water=cold "
                "volume_litres=123450,volume_quality=0 1772366400"
            ),
        ),
        (
            {
                "point": Point.WIRELESS_SENSOR,
                "quantity": Quantity.LEAK,
                "value": True,
                "point_id": "a b,c=d%\\",
                "water": None,
                "quality": Quality.STALE,
            },
            (
                "leak_sensor,device_id=2,house_id=1,point=wireless_sensor,"
                r"point_id=a\ b\,c\=d%25%5C "
                "leak=1,leak_quality=2 1772366400"
            ),
        ),
        (
            {
                "point": Point.THERMOSTAT,
                "quantity": Quantity.AIR_TEMPERATURE,
                "value": -0.5,
                "point_id": "",
                "water": None,
            },
            (
                "thermostat,device_id=2,house_id=1,point=thermostat "
                "air_temperature_celsius=-0.5,air_temperature_quality=0 1772366400"
            ),
        ),
    ],
    ids=["meter", "leak", "thermostat"],
)
async def test_lines_are_written_exactly_as_documented(
    stand_in: StandIn, changes: dict[str, Any], line: str
) -> None:
    async with InfluxDBSink(stand_in.url, "home") as sink:
        await sink.write([sample_reading(**changes)])
    assert stand_in.lines == [line]


async def test_numbers_of_other_libraries_are_written_plainly(stand_in: StandIn) -> None:
    class Float64(float):
        def __repr__(self) -> str:
            return f"np.float64({float(self)})"

    class Int64(int):
        def __repr__(self) -> str:
            return f"np.int64({int(self)})"

    warm = {"quantity": Quantity.AIR_TEMPERATURE, "value": Float64(20.5)}
    async with InfluxDBSink(stand_in.url, "home") as sink:
        await sink.write([sample_reading(**warm), sample_reading(value=Int64(7))])
    air, volume = map(parse, stand_in.lines)
    assert air.fields["air_temperature_celsius"] == 20.5
    assert volume.fields["volume_litres"] == 7


@pytest.mark.parametrize(
    "line",
    ["a,b=c", "a,b= v=1 5", "a b=1i 5", "a b=true 5", r"a,b=c\ v=1 5", "a,b=c\\d v=1 5", "a  v=1"],
)
def test_parser_used_by_the_tests_refuses_invalid_lines(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  any of its errors
        parse(line)

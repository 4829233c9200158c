"""The reading: its schema, round trips, and invalid values."""

import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sst_cloud import Point, Quality, Quantity, Reading, Water
from sst_cloud.readings import FIELDS
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink
from sst_cloud_sinks.stdout import StdoutSink

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=20) | st.sampled_from(["=1+1", "'", "''", "'=", "\r", "\n", '"', "\0", ","])


def values(quantity: Quantity) -> st.SearchStrategy[Any]:
    if quantity.is_boolean:
        return st.booleans()
    if quantity is Quantity.VOLUME:
        return INT64
    return INT64 | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    quantity = draw(st.sampled_from(Quantity))
    return Reading(
        time=draw(st.datetimes(timezones=st.just(UTC))),
        quantity=quantity,
        value=draw(values(quantity)),
        unit=draw(st.just(quantity.unit) | TEXT),
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


def exact(reading: Reading) -> tuple[Reading, str]:
    """The reading and the type of its value, so that 1, 1.0 and True differ."""
    return reading, repr(reading.value)


@given(readings())
def test_record_round_trip(reading: Reading) -> None:
    record = json.loads(json.dumps(reading.as_dict()))
    assert tuple(record) == FIELDS
    assert exact(Reading.from_dict(record)) == exact(reading)


@given(st.lists(readings(), max_size=5, unique_by=lambda reading: reading.key))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_json_lines_round_trip(written: list[Reading]) -> None:
    stream = io.StringIO()
    async with StdoutSink(stream=stream) as sink:
        await sink.write(written)
    lines = stream.getvalue().split("\n")[:-1]
    assert [exact(Reading.from_dict(json.loads(line))) for line in lines] == list(
        map(exact, written)
    )


@given(st.lists(readings(), max_size=5, unique_by=lambda reading: reading.key))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_csv_round_trip(
    tmp_path_factory: pytest.TempPathFactory, written: list[Reading]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "readings.csv"
    async with CsvSink(path) as sink:
        for reading in written:
            await sink.write([reading])
        stored = [exact(reading) async for reading in sink.rows()]
    assert stored == list(map(exact, written))


@given(st.lists(readings(), max_size=5, unique_by=lambda reading: reading.key))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_sqlite_round_trip(
    tmp_path_factory: pytest.TempPathFactory, written: list[Reading]
) -> None:
    path = tmp_path_factory.mktemp("sqlite") / "home.db"
    async with SqliteSink(path) as sink:
        await sink.write(written)
        await sink.write(written)
        stored = [exact(reading) for quantity in Quantity async for reading in sink.read(quantity)]
    assert sorted(stored, key=repr) == sorted(map(exact, written), key=repr)


def test_times_are_whole_seconds_in_utc() -> None:
    moscow = timezone(timedelta(hours=3))
    reading = sample_reading(time=datetime(2026, 11, 23, 20, 20, 0, 999_999, moscow))
    assert reading.time == datetime(2026, 11, 23, 17, 20, tzinfo=UTC)
    assert reading.as_dict()["time"] == "2026-11-23T17:20:00Z"


def test_key_and_series() -> None:
    reading = sample_reading()
    later = sample_reading(time=reading.time + timedelta(hours=1), value=1, name="other")
    assert later.series == reading.series
    assert later.key != reading.key
    assert sample_reading(value=1, name="x", quality=Quality.SUSPECT).key == reading.key


def test_units_follow_from_quantities() -> None:
    units = {quantity.value: quantity.unit for quantity in Quantity}
    assert units["volume"] == "L"
    assert units["target_temperature"] == "°C"
    assert units["battery"] == "%"
    assert units["leak"] == units["signal"] == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 1.5},
        {"value": True},
        {"value": "12"},
        {"value": 2**63},
        {"quantity": "leak", "value": 1},
        {"quantity": "battery", "value": float("nan")},
        {"quantity": "battery", "value": float("inf")},
        {"quantity": "happiness"},
        {"time": datetime(2026, 1, 1)},  # noqa: DTZ001  that is the point
        {"time": datetime.min.replace(tzinfo=timezone(timedelta(hours=3)))},
        {"house_id": "1"},
        {"house_id": True},
        {"device_id": 2**64},
        {"house": None},
        {"point": "elsewhere"},
        {"water": "lukewarm"},
        {"quality": "fine"},
        {"line": 1.5},
    ],
)
def test_invalid_values_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        sample_reading(**changes)


@pytest.mark.parametrize(
    "record", [{}, {"time": None}, {"time": "soon"}, {"time": "2026-01-01T00:00:00Z"}]
)
def test_invalid_records_are_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Reading.from_dict(record)


def test_record_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="not a reading"):
        Reading.from_dict(sample_reading().as_dict() | {"colour": "blue"})


def test_empty_name_becomes_none() -> None:
    assert sample_reading(name="").name is None


def test_unencodable_characters_in_a_name_are_replaced(tmp_path: Path) -> None:
    assert sample_reading(name="tap \ud800").name == "tap ?"

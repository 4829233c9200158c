"""The requests, and the result for every reading."""

from datetime import timedelta
from typing import Any

import pytest

from sinks.timestream.conftest import MakeSink
from sinks.timestream.stand_in import NOW, DropAfter, Error, Timestream
from sinks.timestream.store import ServiceError, Table, records_of
from sst_cloud import Reading
from sst_cloud.enums import Point, Quality, Water
from sst_cloud.errors import SinkRefusedError, SinkUnavailableError
from sst_cloud.quantities import Quantity
from sst_cloud.sink import Rejection, WriteReport
from sst_cloud.testing import Latency
from sst_cloud.testing.sink_contract import START, sample_reading
from sst_cloud_sinks.timestream import TimestreamSink


def minutes(count: int, **changes: Any) -> list[Reading]:
    return [
        sample_reading(time=START - n * timedelta(minutes=1), value=n, **changes)
        for n in range(count)
    ]


async def test_record_of_a_water_meter(sink: TimestreamSink, table: Table) -> None:
    """The record of the old function, plus what distinguishes two meters of one house."""
    await sink.write([sample_reading(house_id=7, device_id=8, point_id="9")])
    (record,) = records_of(table)
    assert record["measure"] == "volume"
    assert record["type"] == "BIGINT"
    assert record["value"] == 123_450
    assert record["version"] == 1
    assert record["dimensions"] == {
        "service": "water",
        "location": "Home",
        "water_temperature": "cold",
        "house_id": "7",
        "house": "Home",
        "device_id": "8",
        "device": "Bathroom",
        "model": "Neptun Smart",
        "counter_id": "9",
        "name": "Cold",
        "line": "1",
    }


@pytest.mark.parametrize(
    ("changes", "service", "kind", "more"),
    [
        ({"quantity": Quantity.LEAK, "value": True}, "leak", "BOOLEAN", {}),
        ({"quantity": Quantity.VALVE_OPEN, "value": True}, "leak", "BOOLEAN", {}),
        ({"quantity": Quantity.AIR_TEMPERATURE, "value": 21.5}, "heating", "DOUBLE", {}),
        (
            {"quantity": Quantity.TARGET_TEMPERATURE, "value": 21},
            "heating",
            "DOUBLE",
            {"value_type": "int"},
        ),
        ({"quantity": Quantity.BATTERY, "value": 80}, "leak", "DOUBLE", {}),
        (
            {"quantity": Quantity.ONLINE, "value": False, "point": Point.MODULE, "device": ""},
            "module",
            "BOOLEAN",
            {"point": "module"},
        ),
        (
            {"quality": Quality.SUSPECT, "quantity": Quantity.SIGNAL, "value": 4},
            "leak",
            "DOUBLE",
            {"quality": "suspect"},
        ),
        (
            {"quantity": Quantity.AIR_TEMPERATURE, "unit": "°F", "value": 71.5},
            "heating",
            "DOUBLE",
            {"unit": "°F"},
        ),
    ],
)
async def test_records_of_other_quantities(  # noqa: PLR0917
    sink: TimestreamSink,
    table: Table,
    changes: dict[str, Any],
    service: str,
    kind: str,
    more: dict[str, str],
) -> None:
    """Their own measure name and service; BIGINT stays with the volumes."""
    point = {"point": Point.WIRELESS_SENSOR, "point_id": "s", "water": None, "unit": ""}
    reading = sample_reading(**{**point, "unit": changes["quantity"].unit, **changes})
    await sink.write([reading])
    (record,) = records_of(table)
    assert (record["measure"], record["type"]) == (reading.quantity.value, kind)
    dimensions = record["dimensions"]
    assert dimensions["service"] == service
    assert dimensions["point_id"] == "s"
    assert "water_temperature" not in dimensions
    assert "counter_id" not in dimensions
    assert dimensions.items() >= more.items()


async def test_two_cold_meters_of_one_house_are_both_stored(
    sink: TimestreamSink, table: Table
) -> None:
    """The old function's key was the same for both."""
    readings = [sample_reading(point_id="1", value=1), sample_reading(point_id="2", value=2)]
    assert await sink.write(readings) == WriteReport(accepted=2)
    assert [record["value"] for record in records_of(table)] == [1, 2]


async def test_location_is_the_option_or_the_house(make_sink: MakeSink, table: Table) -> None:
    """The configured location, or the name of the house, or its number."""
    async with make_sink(location="home-sweet-home") as sink:
        await sink.write([sample_reading(point_id="1")])
    async with make_sink() as sink:
        await sink.write([sample_reading(point_id="2"), sample_reading(point_id="3", house="")])
    locations = [record["dimensions"]["location"] for record in records_of(table)]
    assert locations == ["home-sweet-home", "Home", "1"]


async def test_full_requests_repeat_no_common_attribute(
    sink: TimestreamSink, table: Table, timestream: Timestream
) -> None:
    """Two meters with alternating readings: each request is for one of them."""
    cold = minutes(100)
    hot = minutes(100, water=Water.HOT, point_id="4", name="Hot")
    report = await sink.write([reading for pair in zip(cold, hot, strict=True) for reading in pair])
    assert report == WriteReport(accepted=200)
    assert len(table.rows) == 200
    requests = timestream.requests_for("WriteRecords")
    assert [len(request["Records"]) for request in requests] == [100, 100]
    for request in requests:
        common = request["CommonAttributes"]
        assert {"MeasureName", "MeasureValueType", "TimeUnit", "Dimensions"} == set(common)
        assert all(set(record) == {"Time", "MeasureValue"} for record in request["Records"])


async def test_records_of_one_poll_share_their_time(
    sink: TimestreamSink, table: Table, timestream: Timestream
) -> None:
    """Different points at one moment."""
    leak = {"point": Point.WIRED_LINE, "quantity": Quantity.LEAK, "value": False, "unit": ""}
    readings = [sample_reading(), sample_reading(point_id="l", water=None, **leak)]
    assert (await sink.write(readings)).accepted == 2
    (request,) = timestream.requests_for("WriteRecords")
    common = {each["Name"] for each in request["CommonAttributes"].pop("Dimensions")}
    assert common == {
        "location",
        "house_id",
        "house",
        "device_id",
        "device",
        "model",
        "name",
        "line",
    }
    assert request["CommonAttributes"] == {
        "Time": str(int(START.timestamp())),
        "TimeUnit": "SECONDS",
    }
    assert all("Time" not in record for record in request["Records"])
    assert len(table.rows) == 2


async def test_number_of_parallel_requests_is_limited(
    make_sink: MakeSink, table: Table, timestream: Timestream
) -> None:
    timestream.inject(Latency(0.02))
    async with make_sink(concurrency=3) as sink:
        assert (await sink.write(minutes(1000))).accepted == 1000
    assert timestream.most_at_once == 3
    assert len(timestream.requests_for("WriteRecords")) == 10


async def test_only_rejected_readings_are_reported(sink: TimestreamSink, table: Table) -> None:
    """Exactly the rejected readings are returned, with the reason; the rest is stored."""
    early = sample_reading(time=NOW + timedelta(minutes=16))
    good = [sample_reading(point_id=str(n)) for n in range(4)]
    report = await sink.write([*good[:2], early, *good[2:]])
    assert report.accepted == 4
    (rejection,) = report.rejected
    assert rejection.reading == early
    assert "outside the time range" in rejection.reason
    assert len(table.rows) == 4


async def test_old_readings_need_magnetic_writes(sink: TimestreamSink, table: Table) -> None:
    table.magnetic_writes = False
    report = await sink.write([sample_reading(time=NOW - timedelta(hours=7))])
    assert "magnetic-store writes" in report.rejected[0].reason


async def test_another_value_for_the_same_time_is_rejected_unless_overwriting(
    sink: TimestreamSink, make_sink: MakeSink, table: Table
) -> None:
    """The stored value is kept, unless the sink overwrites."""
    first, second = sample_reading(value=1), sample_reading(value=2)
    await sink.write([first])
    report = await sink.write([second])
    assert report.rejected == (Rejection(second, report.rejected[0].reason),)
    assert "version" in report.rejected[0].reason
    async with make_sink(overwrite=True) as overwriting:
        assert await overwriting.write([second]) == WriteReport(accepted=1)
        assert await overwriting.write([first, second]) == WriteReport(accepted=2)
    (record,) = records_of(table)
    assert record["value"] == 2


async def test_equal_readings_in_one_write_are_sent_once(
    sink: TimestreamSink, table: Table, timestream: Timestream
) -> None:
    """Equal readings are sent once; of different ones the first is stored."""
    first, second = sample_reading(value=1), sample_reading(value=2)
    report = await sink.write([first, second, first])
    assert (report.accepted, [r.reading for r in report.rejected]) == (2, [second])
    assert [len(r["Records"]) for r in timestream.requests_for("WriteRecords")] == [1, 1]


@pytest.mark.parametrize("may_read", [True, False])
async def test_retry_after_a_lost_answer_counts_as_stored(
    sink: TimestreamSink, table: Table, timestream: Timestream, *, may_read: bool
) -> None:
    """Stored at the first try, rejected at the second: stored, with or without read permission."""
    table.turns_down_repeats = True
    timestream.denied = () if may_read else ("Query",)
    timestream.inject(DropAfter(), times=1)
    with pytest.raises(SinkUnavailableError):
        await sink.write(minutes(3))
    assert await sink.write(minutes(3)) == WriteReport(accepted=3)
    assert len(table.rows) == 3


@pytest.mark.parametrize("may_read", [True, False])
async def test_different_value_is_not_mistaken_for_a_retry(
    make_sink: MakeSink, table: Table, timestream: Timestream, *, may_read: bool
) -> None:
    """Another value is a rejection, even where repeats are turned down."""
    table.turns_down_repeats = True
    timestream.denied = () if may_read else ("Query",)
    async with make_sink() as sink:
        await sink.write([sample_reading(value=1)])
    async with make_sink() as sink:
        report = await sink.write([sample_reading(value=2), sample_reading(point_id="new")])
        assert [r.reading.value for r in report.rejected] == [2]
        again = await sink.write([sample_reading(value=2), sample_reading(point_id="new")])
        assert again == report


async def test_unstorable_readings_are_rejected_without_affecting_others(
    sink: TimestreamSink, table: Table, timestream: Timestream
) -> None:
    """Limits are checked before anything is sent."""
    bad = [
        sample_reading(name="n" * 2000),
        sample_reading(point_id=""),
        sample_reading(time=START.replace(year=1969)),
        sample_reading(time=START.replace(year=2300)),
        sample_reading(quantity=Quantity.SIGNAL, value=2**53 + 1, unit=""),
    ]
    good = sample_reading(point_id="good")
    report = await sink.write([*bad, good])
    assert report.accepted == 1
    assert [rejection.reading for rejection in report.rejected] == bad
    reasons = [rejection.reason for rejection in report.rejected]
    for reason, word in zip(reasons, ["bytes", "id", "1970", "1970", "DOUBLE"], strict=True):
        assert word in reason
    (request,) = timestream.requests_for("WriteRecords")
    assert len(request["Records"]) == 1


async def test_invalid_record_is_found_by_splitting_the_request(
    sink: TimestreamSink, table: Table, timestream: Timestream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An undocumented rule rejects a whole request: the bad record is found by halving it."""
    write = Table.write

    def strict(self: Table, body: dict[str, Any], now: Any) -> int:
        if any(record["MeasureValue"] == "13" for record in body["Records"]):
            raise ServiceError("ValidationException", "13 is unlucky")
        return write(self, body, now)

    monkeypatch.setattr(Table, "write", strict)
    readings = minutes(100)
    report = await sink.write(readings)
    assert report.accepted == 99
    assert report.rejected == (Rejection(readings[13], "13 is unlucky"),)
    assert len(timestream.requests_for("WriteRecords")) < 20


async def test_table_that_rejects_every_record_is_refused(
    sink: TimestreamSink, table: Table, timestream: Timestream
) -> None:
    timestream.inject(Error("ValidationException", message="No such thing."))
    with pytest.raises(SinkRefusedError, match="No such thing"):
        await sink.write(minutes(50))

"""Reading from InfluxDB: a real server, and answers that it does not give on demand."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import attrs
import pytest
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sinks.influxdb.servers import InfluxDB1
from sinks.influxdb.stand_in import StandIn
from sinks.influxdb.test_contract import nameless
from sst_cloud import (
    Point,
    Quality,
    Quantity,
    Reading,
    SinkRefusedError,
    SinkUnavailableError,
    Water,
    open_sink,
)
from sst_cloud.testing.sink_contract import START, sample_reading
from sst_cloud_sinks.influxdb import InfluxDBSink

TOKEN = "qXf-a-very-secret-token=="
COLUMNS = ["time", "value", "quality", "house_id", "device_id", "point", "point_id", "water"]
ROW: list[Any] = [START.timestamp(), 5, 0, "1", "2", "counter", "3", "cold"]
READING = nameless(sample_reading(value=5))

HOUSES = count(1000)


def make_sink(server: InfluxDB1, database: str, **options: Any) -> InfluxDBSink:
    own: dict[str, Any] = {"version": 1, "user": server.admin, "password": server.password}
    return InfluxDBSink(server.url, database, **own | options)


def meter(**changes: Any) -> Reading:
    return nameless(sample_reading(**changes))


async def volumes(sink: InfluxDBSink, **bounds: datetime) -> list[Reading]:
    return [reading async for reading in sink.read(Quantity.VOLUME, **bounds)]


@pytest.mark.parametrize("fraction", [timedelta(), timedelta(microseconds=1)])
async def test_time_bounds_are_exact(
    influxdb1: InfluxDB1, database: str, fraction: timedelta
) -> None:
    readings = [meter(time=START + timedelta(seconds=n), value=n) for n in range(4)]
    always = {
        "since": datetime.min.replace(tzinfo=UTC),
        "until": datetime.max.replace(tzinfo=UTC),
    }
    async with make_sink(influxdb1, database) as sink:
        await sink.write(readings)
        since, until = readings[1].time + fraction, readings[3].time + fraction
        read_back = await volumes(sink, since=since, until=until)
        assert read_back == (readings[2:4] if fraction else readings[1:3])
        assert await volumes(sink, **always) == readings
        assert await volumes(sink, since=always["until"]) == []
        assert await volumes(sink, until=always["since"]) == []


async def test_quantity_from_several_measurements_is_read_in_time_order(
    influxdb1: InfluxDB1, database: str
) -> None:
    """They are in different measurements, but are returned in time order."""
    points = [Point.WIRELESS_SENSOR, Point.MODULE, Point.THERMOSTAT]
    readings = [
        meter(
            time=START + timedelta(minutes=n),
            quantity=Quantity.BATTERY_LOW,
            value=n % 2 == 0,
            point=points[n % 3],
            water=None,
        )
        for n in range(30)
    ]
    async with make_sink(influxdb1, database) as sink:
        await sink.write(readings[::-1])
        assert [reading async for reading in sink.read(Quantity.BATTERY_LOW)] == readings
        assert set(await sink.latest()) == set(readings[-3:])


async def test_latest_returns_each_quantity_of_shared_rows(
    influxdb1: InfluxDB1, database: str
) -> None:
    """A sensor reports its battery rarely, and leaks at every poll."""
    at = {"point": Point.WIRELESS_SENSOR, "water": None}
    battery = meter(quantity=Quantity.BATTERY, value=80, quality=Quality.STALE, **at)
    leaks = [
        meter(quantity=Quantity.LEAK, value=False, time=START + timedelta(hours=n), **at)
        for n in range(5)
    ]
    async with make_sink(influxdb1, database) as sink:
        await sink.write([battery, *leaks])
        assert set(await sink.latest()) == {battery, leaks[-1]}


async def test_good_reading_replaces_a_suspect_one(influxdb1: InfluxDB1, database: str) -> None:
    """Also if the owner has renamed the meter meanwhile, which starts a new series."""
    suspect = sample_reading(quality=Quality.SUSPECT)
    async with make_sink(influxdb1, database, names=True) as sink:
        await sink.write([suspect])
        assert [each.quality for each in await volumes(sink)] == [Quality.SUSPECT]
        for name in ("Cold", "Anew"):
            await sink.write([attrs.evolve(suspect, quality=Quality.GOOD, name=name)])
        await sink.write([attrs.evolve(suspect, name="Older")])
        (reading,) = await volumes(sink)
        assert reading.quality is Quality.GOOD
    async with make_sink(influxdb1, database) as sink:
        later = attrs.evolve(suspect, time=START + timedelta(hours=1))
        await sink.write([later])
        await sink.write([attrs.evolve(later, quality=Quality.GOOD)])
        assert [each.quality for each in await sink.latest()] == [Quality.GOOD]


async def test_read_uses_a_named_retention_policy(influxdb1: InfluxDB1, database: str) -> None:
    policy = 'a year\'s "own"'
    quoted = policy.replace('"', '\\"')
    influxdb1.query(f'CREATE RETENTION POLICY "{quoted}" ON "{database}" DURATION 0s REPLICATION 1')
    async with make_sink(influxdb1, database, retention_policy=policy) as sink:
        await sink.write([READING])
        assert await volumes(sink) == [READING]
        assert list(await sink.latest()) == [READING]
    async with make_sink(influxdb1, database) as sink:
        assert await volumes(sink) == []
    async with make_sink(influxdb1, database, retention_policy="eon") as sink:
        with pytest.raises(SinkRefusedError, match="retention policy not found: eon; create it"):
            await sink.latest()


async def test_wrong_credentials_and_missing_database_are_refused(
    influxdb1: InfluxDB1, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    influxdb1.query("CREATE USER guest WITH PASSWORD 'secret'")
    address = f"influxdb:{influxdb1.url}/{database.replace(' ', '%20')}?version=1"
    for password, user, sentence in (
        ("wrong-one", "", r"set INFLUXDB_TOKEN .*, or add user="),
        ("wrong-one", "&user=guest", "check the user 'guest', and the password"),
        ("secret", "&user=guest", "grant read access to database"),
    ):
        monkeypatch.setenv("INFLUXDB_PASSWORD", password)
        sink: Any = open_sink(address + user)
        async with sink:
            with pytest.raises(SinkRefusedError, match=sentence) as caught:
                await sink.latest()
            assert password not in str(caught.value)
    async with make_sink(influxdb1, "nowhere") as sink:
        with pytest.raises(SinkRefusedError, match=r"not found: nowhere; create.* 'nowhere'$"):
            await volumes(sink)


async def test_foreign_rows_are_skipped_and_logged_once(
    influxdb1: InfluxDB1, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    moment = int(START.timestamp())
    tags = "device_id=2,house_id=1,point=counter,point_id=3,water=cold"
    influxdb1.write_raw(
        database,
        "\n".join(
            [
                f"water_meter,{tags} volume_litres=5 {moment}",
                f"water_meter volume_litres=1 {moment}",
                f"water_meter,{tags} volume_litres=1.5 {moment + 1}",
                f"water_meter,{tags} volume_litres=1,volume_quality=7 {moment + 2}",
                f"water_meter,{tags} volume_quality=0 {moment + 3}",
                f"water_meter,{tags} leak=0.5,leak_quality=0 {moment}",
                f"water_meter,device_id=2,house_id=x,point=counter volume_litres=1 {moment}",
            ]
        ),
    )
    async with make_sink(influxdb1, database) as sink:
        assert await volumes(sink) == [READING]
        (message,) = caplog.messages
        assert message.startswith("skipped 4 rows of volume_litres that are not our readings: ")
        assert [reading async for reading in sink.read(Quantity.LEAK)] == []
        assert "0.5 is neither 0 nor 1" in caplog.text


async def test_abandoned_iteration_leaks_no_connection(influxdb1: InfluxDB1, database: str) -> None:
    """Stopping halfway does not use up connections or disturb other readers."""
    readings = [meter(time=START + timedelta(seconds=n), value=n) for n in range(12_000)]
    async with make_sink(influxdb1, database) as sink:
        await sink.write(readings)
        for _ in range(3):
            async for reading in sink.read(Quantity.VOLUME):
                assert reading == readings[0]
                break
        assert await volumes(sink) == readings


@pytest.mark.not_quick
@settings(
    max_examples=15,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking asks the server for minutes
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_every_accepted_reading_is_read_back(
    influxdb1: InfluxDB1, database: str, data: st.DataObject
) -> None:
    """Odd names and ids, every quantity and quality, to the last bit of a float."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    seconds = st.integers(0, 10**6)  # not more: InfluxDB makes a shard a week
    house_id = next(HOUSES)

    def value_of(quantity: Quantity) -> st.SearchStrategy[Any]:
        if quantity.is_boolean:
            return st.booleans()
        if quantity is Quantity.VOLUME:
            return st.integers(-(2**53), 2**53)
        return st.floats(allow_nan=False, allow_infinity=False)

    def reading_of(quantity: Quantity) -> st.SearchStrategy[Reading]:
        return st.builds(
            sample_reading,
            quantity=st.just(quantity),
            value=value_of(quantity),
            time=st.builds(lambda n: START + timedelta(seconds=n), seconds),
            house_id=st.just(house_id),
            point=st.sampled_from(Point),
            water=st.sampled_from([None, *Water]),
            quality=st.sampled_from(Quality),
            house=text,
            device=text,
            name=text,
            point_id=text,
        )

    readings = data.draw(
        st.lists(
            st.sampled_from(Quantity).flatmap(reading_of),
            max_size=30,
            unique_by=lambda reading: reading.key,
        )
    )
    async with make_sink(influxdb1, database, names=True) as sink:
        report = await sink.write(readings)
        rejected = {rejection.reading for rejection in report.rejected}
        for quantity in Quantity:
            read_back = [each async for each in sink.read(quantity) if each.house_id == house_id]
            expected = [
                attrs.evolve(each, model="", line=None)
                for each in readings
                if each.quantity is quantity and each not in rejected
            ]
            assert {each.key: each for each in read_back} == {each.key: each for each in expected}
            assert len(read_back) == len(expected)
            assert read_back == sorted(read_back, key=lambda each: each.time)


# Answers of other versions, and network errors.


def answer(*rows: Sequence[Any], **more: Any) -> str:
    series = {"name": "water_meter", "columns": COLUMNS, "values": rows, **more}
    return json.dumps({"results": [{"statement_id": 0, "series": [series]}]}) + "\n"


@pytest.fixture
async def sink(stand_in: StandIn) -> AsyncIterator[InfluxDBSink]:
    async with InfluxDBSink(stand_in.url, "home", org="me", token=TOKEN) as sink:
        yield sink


async def test_query_request_has_the_right_parameters(
    stand_in: StandIn, sink: InfluxDBSink
) -> None:
    stand_in.always(200, '{"results":[{"statement_id":0}]}\n')
    assert await volumes(sink, since=START) == []
    for request in stand_in.requests:
        assert request.path == "/query"
        assert request.headers["Authorization"] == f"Token {TOKEN}"
        assert request.headers["Accept"] == "application/json"
        assert request.query.pop("q").endswith(" WHERE time >= '2026-03-01T12:00:00Z'")
        assert request.query == {
            "db": "home",
            "epoch": "s",
            "chunked": "true",
            "chunk_size": "5000",
        }


async def test_bucket_name_selects_database_and_retention_policy(stand_in: StandIn) -> None:
    stand_in.always(200)
    async with InfluxDBSink(stand_in.url + "/proxy", "telegraf/auto/gen", token=TOKEN) as sink:
        assert list(await sink.latest()) == []
    assert len(stand_in.requests) == len(Quantity)
    assert {request.path for request in stand_in.requests} == {"/proxy/query"}
    assert {(request.query["db"], request.query["rp"]) for request in stand_in.requests} == {
        ("telegraf", "auto/gen")
    }


async def test_answers_of_version_3_are_understood(stand_in: StandIn, sink: InfluxDBSink) -> None:
    """Lines end with CRLF, numbers are floats, an empty result is an empty body."""
    first, second = answer([ROW[0], 5.0, 0.0, *ROW[3:]]), answer([ROW[0] + 60, 6.0, 1.0, *ROW[3:]])

    async def crlf(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
        has_rows = '"water_meter"' in request.query["q"] and "volume_litres" in request.query["q"]
        return web.Response(text=(first + second).replace("\n", "\r\n") if has_rows else "")

    stand_in.answer = crlf
    later = attrs.evolve(
        READING, time=START + timedelta(minutes=1), value=6, quality=Quality.SUSPECT
    )
    assert await volumes(sink) == [READING, later]
    assert list(await sink.latest()) == [later]


async def test_readings_are_streamed_before_the_answer_is_complete(
    stand_in: StandIn, sink: InfluxDBSink
) -> None:
    """Whatever the chunks are in which it arrives."""
    first_read = asyncio.Event()

    async def slowly(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if '"water_meter"' in request.query["q"]:
            first, second, third = ([ROW[0] + 60 * n, *ROW[1:]] for n in range(3))
            text, more = answer(first, second).encode(), answer(third).encode()
            await response.write(text[:50])
            await response.write(text[50:] + more[:7])
            await asyncio.wait_for(first_read.wait(), 5)
            await response.write(more[7:])
        return response

    stand_in.answer = slowly
    readings = sink.read(Quantity.VOLUME)
    assert await anext(readings) == READING
    first_read.set()
    minutes = [reading.time.minute async for reading in readings]
    assert minutes == [1, 2]


@pytest.mark.parametrize(
    ("status", "text", "sentence"),
    [
        (
            401,
            '{"message": "unauthorized access"}',
            "INFLUXDB_TOKEN to a token that may read bucket 'home'",
        ),
        (403, '{"error": "no"}', "grant read access to bucket 'home'"),
        (404, '{"message": "bucket not found"}', "bucket not found.*create it"),
        (404, "404 page not found", "that is not how InfluxDB answers /query: check the address"),
        (400, '{"error": "missing q"}', "missing q"),
        (301, "", "the address that it redirects to"),
        (204, "", "not how InfluxDB answers /query"),
        (500, "database not found: home", "create it"),
        (200, "<html><title>Log in</title></html>", r"InfluxQL \(an HTML page \(Log in\)\)"),
        (200, "[]", "does not understand InfluxQL"),
        (200, "7", "does not understand InfluxQL"),
        (200, "[" * 100_000, "does not understand InfluxQL"),
        (200, '{"results": [7]}', "does not understand InfluxQL"),
        (200, '{"results": [{"series": [{"columns": ["name"]}]}]}', "it returned name"),
        (
            200,
            '{"results": [{"error": "database not found: home"}]}',
            "or give the token read access to it",
        ),
        (200, '{"results": [{"error": "%s"}]}' % ("no " * 999), r"cannot be read: (no ){66}no…$"),
        (200, '{"error": "not executed"}', "cannot be read: not executed"),
    ],
)
async def test_permanent_query_errors_are_refusals(
    stand_in: StandIn, sink: InfluxDBSink, status: int, text: str, sentence: str
) -> None:
    stand_in.always(status, text, Location="http://127.0.0.1:1/elsewhere")
    for attempt in (sink.latest(), volumes(sink)):
        with pytest.raises(SinkRefusedError, match=sentence) as caught:
            await attempt
        assert TOKEN not in str(caught.value)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("status", "text", "sentence"),
    [
        (503, '{"error": "too much"}', r"cannot be read now: too much \(HTTP 503\)"),
        (429, "", "cannot be read now"),
        (200, '{"results": [{"error": "query-timeout limit exceeded"}]}', "read now: query-time"),
        (200, answer(ROW) + answer(ROW)[:-20], "did not finish its response"),
    ],
)
async def test_temporary_query_errors_may_be_retried(
    stand_in: StandIn, sink: InfluxDBSink, status: int, text: str, sentence: str
) -> None:
    stand_in.always(status, text, Retry_After="7")
    for attempt in (sink.latest(), volumes(sink)):
        with pytest.raises(SinkUnavailableError, match=sentence) as caught:
            await attempt
        assert caught.value.retry_after == (None if status == 200 else 7)


async def test_connection_lost_during_a_query_is_a_temporary_error(
    stand_in: StandIn, sink: InfluxDBSink
) -> None:
    async def drop(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(answer(ROW).encode())
        assert request.transport is not None
        request.transport.abort()
        return response

    stand_in.answer = drop
    with pytest.raises(SinkUnavailableError, match=r"the connection to .* was lost"):
        await volumes(sink)


async def test_stalled_query_times_out(stand_in: StandIn) -> None:
    async def stall(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
        await stand_in.closing.wait()
        return web.Response()

    stand_in.answer = stall
    async with InfluxDBSink(stand_in.url, "home", timeout=0.05) as sink:
        with pytest.raises(SinkUnavailableError, match=r"did not respond within 0\.05 s"):
            await volumes(sink)

"""Failures of a whole write, and their error messages."""

import asyncio
import sys
import threading
import time
from typing import Any

import pytest

from sinks.timestream.conftest import MakeSink
from sinks.timestream.stand_in import DropAfter, Error, Timestream
from sinks.timestream.store import Table
from sst_cloud.errors import SinkError, SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.plugins import open_sink
from sst_cloud.sink import SinkURL
from sst_cloud.testing import Drop, Fault, Hang, Html
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.timestream import TimestreamSink
from sst_cloud_sinks.timestream.aws import Connection


@pytest.mark.parametrize(
    "fault",
    [
        Error("ThrottlingException", 429),
        Error("InternalServerException", 500),
        Error("ServiceUnavailable", 503),
        Error("SomethingNew", 502),
        Html(503),
        Drop(),
    ],
    ids=str,
)
async def test_temporary_errors_may_be_retried(
    sink: TimestreamSink, timestream: Timestream, table: Table, fault: Fault
) -> None:
    timestream.inject(fault, times=1)
    with pytest.raises(SinkUnavailableError, match="mydb/meters"):
        await sink.write([sample_reading()])
    assert (await sink.write([sample_reading()])).accepted == 1


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        (Error("ResourceNotFoundException"), "check its name and region, or create it"),
        (Error("AccessDeniedException"), "timestream:WriteRecords"),
        (Error("InvalidEndpointException", 421), "omit endpoint_url"),
        (Error("UnrecognizedClientException"), "renew them"),
        (Error("SomethingNew"), "Something is wrong"),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
async def test_permanent_errors_are_refusals_with_a_remedy(
    sink: TimestreamSink, timestream: Timestream, table: Table, fault: Error, remedy: str
) -> None:
    """The message says what to do, for `check` and `write` alike."""
    timestream.inject(fault)
    for attempt in (sink.check(), sink.write([sample_reading()])):
        with pytest.raises(SinkRefusedError, match=remedy) as caught:
            await attempt
        assert str(caught.value).count("\n") <= 1


async def test_check_refuses_an_invalid_probe(
    sink: TimestreamSink, timestream: Timestream, table: Table
) -> None:
    timestream.inject(Error("ValidationException", message="Bad name."))
    with pytest.raises(SinkRefusedError, match="Bad name"):
        await sink.check()


async def test_first_failure_stops_a_large_write(
    make_sink: MakeSink, timestream: Timestream, table: Table
) -> None:
    """Running requests are cancelled; the rest is not sent."""
    timestream.inject(Error("ThrottlingException", 429), times=1)
    readings = [sample_reading(point_id=str(n)) for n in range(5000)]
    async with make_sink(concurrency=2) as sink:
        with pytest.raises(SinkUnavailableError):
            await sink.write(readings)
        assert len(timestream.requests_for("WriteRecords")) < 10
        assert (await sink.write(readings)).accepted == 5000


@pytest.mark.not_quick
async def test_stalled_service_times_out(timestream: Timestream, table: Table) -> None:
    """With its own clients: the limit holds over all retries."""
    timestream.inject(Hang())
    sink = TimestreamSink("mydb", "meters", endpoint_url=timestream.url, timeout=1.0)
    async with sink:
        await sink.warm_up()
        started = time.monotonic()
        with pytest.raises(SinkUnavailableError, match="within 1 s"):
            await sink.write([sample_reading()])
    assert time.monotonic() - started < 3


async def test_dropped_connection_is_retried_within_the_call(
    timestream: Timestream, table: Table
) -> None:
    """With its own clients: a dropped connection is tried again within the call."""
    timestream.inject(Drop(), times=1)
    async with TimestreamSink("mydb", "meters", endpoint_url=timestream.url) as sink:
        assert (await sink.write([sample_reading()])).accepted == 1
        assert len(timestream.requests_for("WriteRecords")) == 2


async def test_rejected_repeat_of_a_retried_request_counts_as_stored(
    timestream: Timestream, table: Table
) -> None:
    """With its own clients, and without read permission: the retry is recognised."""
    table.turns_down_repeats = True
    timestream.denied = ("Query",)
    timestream.inject(DropAfter(), times=1)
    async with TimestreamSink("mydb", "meters", endpoint_url=timestream.url) as sink:
        assert (await sink.write([sample_reading()])).accepted == 1
    assert len(timestream.requests_for("WriteRecords")) == 2


@pytest.mark.not_quick
async def test_unreachable_address_is_a_temporary_error() -> None:
    options = {"endpoint_url": "http://127.0.0.1:9", "timeout": 5.0}
    async with TimestreamSink("mydb", "meters", **options) as sink:  # type: ignore[arg-type]
        with pytest.raises(SinkUnavailableError, match="mydb/meters"):
            await sink.write([sample_reading()])


@pytest.mark.parametrize(
    ("missing", "remedy"),
    [
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "AWS_ACCESS_KEY_ID"),
        (["AWS_DEFAULT_REGION"], "region="),
    ],
)
async def test_missing_settings_are_refused(
    timestream: Timestream, monkeypatch: pytest.MonkeyPatch, missing: list[str], remedy: str
) -> None:
    for name in missing:
        monkeypatch.delenv(name)
    async with TimestreamSink("mydb", "meters", endpoint_url=timestream.url) as sink:
        with pytest.raises(SinkRefusedError, match=remedy):
            await sink.check()
    assert timestream.requests == []


@pytest.mark.parametrize(
    ("options", "remedy"),
    [("profile=nobody", "nobody"), ("endpoint_url=nonsense", "endpoint_url")],
)
async def test_unusable_settings_are_refused(options: str, remedy: str) -> None:
    async with open_sink(f"timestream:mydb/meters?{options}") as sink:
        with pytest.raises(SinkRefusedError, match=remedy):
            await sink.write([sample_reading()])


async def test_missing_aioboto3_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aioboto3", None)
    async with open_sink("timestream:mydb/meters") as sink:
        with pytest.raises(SinkRefusedError, match=r"pip install 'sst-cloud\[timestream\]'"):
            await sink.check()


@pytest.mark.parametrize(
    "url",
    [
        "timestream:",
        "timestream:mydb",
        "timestream:mydb/meters/more",
        "timestream:my db/meters",
        "timestream:mydb/me",
        "timestream:mydb/meters?location=",
        "timestream:mydb/meters?overwrite=perhaps",
        "timestream:mydb/meters?secret_key=1",
    ],
)
def test_urls_without_a_table_are_refused(url: str) -> None:
    with pytest.raises(SinkOptionsError):
        TimestreamSink.from_url(SinkURL.parse(url))


async def test_errors_hold_no_secret(timestream: Timestream, table: Table) -> None:
    timestream.inject(Error("AccessDeniedException"))
    async with TimestreamSink("mydb", "meters", endpoint_url=timestream.url) as sink:
        with pytest.raises(SinkError) as caught:
            await sink.check()
        output = f"{caught.value!r} {caught.value.__cause__!r} {sink!r} {vars(sink)!r}"
    assert "secret-test" not in output
    assert "AKIATEST" not in output


async def test_connection_is_prepared_once_in_the_background(
    timestream: Timestream, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`warm_up` runs as a background task; a later write waits for it."""
    prepare = Connection._prepare_client
    event = threading.Event()
    prepared = []

    def slow(self: Connection, service: str) -> Any:
        assert event.wait(10), "the event loop stands still"
        prepared.append(service)
        return prepare(self, service)

    async def other_work() -> None:
        event.set()

    monkeypatch.setattr(Connection, "_prepare_client", slow)
    sink = TimestreamSink("mydb", "meters", endpoint_url=timestream.url)
    async with sink:
        write = sink.write([sample_reading()])
        await asyncio.gather(sink.warm_up(), sink.warm_up(), write, other_work())
    assert prepared == ["timestream-write"]
    async with sink:  # and again, after it was closed
        assert (await sink.write([sample_reading()])).accepted == 1

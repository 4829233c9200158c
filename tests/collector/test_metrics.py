"""The metrics for Prometheus and the health check."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from sst_cloud import ManualClock, SSTCloud
from sst_cloud.collector.bounded_server import MAX_CONNECTIONS
from sst_cloud.collector.metrics import CollectorHealth, address_from, exposition, serve_metrics
from sst_cloud.errors import OutboxError, SSTCloudError
from sst_cloud.extraction import readings_from
from sst_cloud.outbox.status import DeliveryState, SinkStatus, SourceStatus, Status, Stream
from sst_cloud.readings import Reading
from sst_cloud.testing.sink_contract import sample_reading

NOW = ManualClock().now()
EVERY = timedelta(minutes=20)
STATUS = Status(
    last_poll=NOW,
    last_success=NOW - timedelta(minutes=20),
    sources=(
        SourceStatus(name="Neptun Smart", last_success=NOW),
        SourceStatus(name="SST Cloud", error="away", error_since=NOW, last_success=NOW - EVERY),
        SourceStatus(name="spare"),
    ),
    source_error="the cloud is away",
    polls=7,
    failed_polls=2,
    readings=210,
    size=4096,
    sinks=(
        SinkStatus(name="sqlite:home.db", delivered=200, rejected=3, dropped=1, last_success=NOW),
        SinkStatus(
            name="influxdb:http://x/y",
            state=DeliveryState.PAUSED,
            waiting=9,
            oldest=NOW - timedelta(hours=1),
        ),
        SinkStatus(name="ring", stream=Stream.EVENTS),
        SinkStatus(name="csv:left-out.csv", state=DeliveryState.REMOVED, waiting=1000, oldest=NOW),
    ),
)


def samples(text: bytes) -> list[Sample]:
    families = text_string_to_metric_families(text.decode())
    return [sample for family in families for sample in family.samples]


def value(metrics: list[Sample], name: str, /, **labels: str) -> float:
    """The one sample with this name and these labels among others."""
    (number,) = [
        sample.value
        for sample in metrics
        if sample.name == f"sst_cloud_{name}" and labels.items() <= sample.labels.items()
    ]
    return number


def test_metrics_show_polls_and_sinks() -> None:
    metrics = samples(exposition(STATUS, ()))
    assert value(metrics, "polls_total") == 7
    assert value(metrics, "poll_failures_total") == 2
    assert value(metrics, "readings_total") == 210
    assert [value(metrics, "source_up", source=source.name) for source in STATUS.sources] == [
        1,
        0,
        0,
    ]
    last_success = "source_last_success_timestamp_seconds"
    assert value(metrics, last_success, source="SST Cloud") == (NOW - EVERY).timestamp()
    assert value(metrics, "outbox_bytes") == 4096
    assert value(metrics, "last_poll_timestamp_seconds") == NOW.timestamp()
    assert value(metrics, "last_poll_success_timestamp_seconds") == NOW.timestamp() - 1200
    assert value(metrics, "sink_delivered_total", sink="sqlite:home.db") == 200
    assert value(metrics, "sink_rejected_total", sink="sqlite:home.db") == 3
    assert value(metrics, "sink_dropped_total", sink="sqlite:home.db") == 1
    influxdb = {"sink": "influxdb:http://x/y", "stream": "readings"}
    assert value(metrics, "sink_waiting", **influxdb) == 9
    assert value(metrics, "sink_oldest_timestamp_seconds") == NOW.timestamp() - 3600
    assert value(metrics, "sink_state", state="paused", **influxdb) == 1
    assert value(metrics, "sink_state", state="delivering", **influxdb) == 0
    assert value(metrics, "sink_state", state="delivering", stream=Stream.EVENTS) == 1


def test_removed_sink_is_not_in_the_metrics() -> None:
    assert b"left-out" not in exposition(STATUS, ())


def test_metrics_before_the_first_poll_have_no_timestamps() -> None:
    names = {sample.name for sample in samples(exposition(Status(), ()))}
    assert "sst_cloud_polls_total" in names
    assert not {name for name in names if "timestamp" in name}


async def test_every_reading_of_an_account_is_in_the_metrics(client: SSTCloud) -> None:
    readings = readings_from(await client.snapshot())
    metrics = samples(exposition(Status(), readings))
    assert len([s for s in metrics if s.name == "sst_cloud_reading_timestamp_seconds"]) == len(
        readings
    )
    for reading in readings:
        values = [
            sample.value
            for sample in metrics
            if sample.labels.get("point_id") == reading.point_id
            and sample.labels.get("device_id") == str(reading.device_id)
            and not sample.name.startswith("sst_cloud_reading")
        ]
        assert reading.value in values or reading.value in [number * 100 for number in values]
    keys = [(sample.name, *sorted(sample.labels.items())) for sample in metrics]
    assert len(keys) == len(set(keys)), "Prometheus refuses a page that says a thing twice"


def test_metrics_have_labels_and_base_units() -> None:
    readings = [
        sample_reading(value=46127, name='the "old" one\\\n'),
        sample_reading(quantity="battery", value=80, point="wireless_sensor", water=None),
    ]
    metrics = samples(exposition(Status(), readings))
    (litres,) = [sample for sample in metrics if sample.name == "sst_cloud_water_litres_total"]
    assert litres.value == 46127
    first = readings[0]
    assert litres.labels == {
        "house_id": str(first.house_id),
        "house": first.house,
        "device_id": str(first.device_id),
        "device": first.device,
        "point": "counter",
        "point_id": first.point_id,
        "name": 'the "old" one\\\n',
        "water": str(first.water),
    }
    assert value(metrics, "battery_ratio", water="") == pytest.approx(0.8)


def test_suspect_and_stale_readings_are_marked_in_the_metrics() -> None:
    """Prometheus would take a falling counter for a reset meter, so suspect totals are left out."""
    readings = [
        sample_reading(point_id="1", quality="suspect", value=0),
        sample_reading(point_id="2", quality="stale", value=5),
    ]
    metrics = samples(exposition(Status(), readings))
    assert value(metrics, "water_litres_total") == 5
    for name, point_id, expected in (
        ("suspect", "1", 1),
        ("stale", "1", 0),
        ("suspect", "2", 0),
        ("stale", "2", 1),
    ):
        number = value(metrics, f"reading_{name}", quantity="volume", point_id=point_id)
        assert number == expected


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**53))
def test_any_meter_name_is_a_valid_label(name: str, litres: int) -> None:
    metrics = samples(exposition(Status(), [sample_reading(name=name, value=litres)]))
    assert value(metrics, "water_litres_total", name=name) == litres


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:9100", ("::1", 9100)),
        ("box.local:65535", ("box.local", 65535)),
    ],
)
def test_listen_addresses_are_parsed(text: str, address: tuple[str, int]) -> None:
    assert address_from(text) == address


@pytest.mark.parametrize("text", ["", "port", "65536", "-1", "localhost", "localhost:", "1.5"])
def test_invalid_listen_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a port like 9100"):
        address_from(text)


@attrs.define
class FakeCollector:
    """A collector with a state set by the test."""

    clock: ManualClock = attrs.field(factory=ManualClock)
    state: Status = STATUS
    readings: list[Reading] = attrs.field(factory=list)
    error: SSTCloudError | None = None
    trouble: str | None = None

    async def status(self) -> Status:
        if self.error is not None:
            raise self.error
        return self.state

    def health(self) -> CollectorHealth:
        return CollectorHealth(
            status=self.status,
            latest=lambda: self.readings,
            outbox_error=lambda: self.trouble,
            every=EVERY,
            clock=self.clock,
        )


@pytest.fixture
def fake_collector() -> FakeCollector:
    return FakeCollector()


@pytest.fixture
async def address(fake_collector: FakeCollector) -> AsyncIterator[str]:
    async with serve_metrics(fake_collector.health(), "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


async def get(url: str) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, response.headers["Content-Type"], await response.text()


async def test_metrics_are_served(address: str, fake_collector: FakeCollector) -> None:
    fake_collector.readings = [sample_reading(value=1234)]
    status, kind, text = await get(f"{address}/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert value(samples(text.encode()), "water_litres_total") == 1234
    fake_collector.error = OutboxError("no outbox here")
    assert await get(f"{address}/metrics") == (
        503,
        "text/plain; charset=utf-8",
        "no outbox here\n",
    )


async def test_index_page_links_to_metrics_and_health(address: str) -> None:
    status, kind, text = await get(address)
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert 'href="/metrics"' in text
    assert 'href="/health"' in text


async def test_health_reflects_the_state_of_the_collector(
    address: str, fake_collector: FakeCollector
) -> None:
    async def health() -> tuple[int, str]:
        status, kind, text = await get(f"{address}/health")
        assert kind.startswith("application/json")
        return status, text

    assert await health() == (200, '{"status": "ok"}')
    fake_collector.trouble = "No space left on device"
    assert (await health())[0] == 503
    assert "the outbox cannot be written: No space left on device" in (await health())[1]
    fake_collector.trouble = None
    fake_collector.clock.advance(timedelta(minutes=45))
    assert (await health())[0] == 200
    fake_collector.clock.advance(1)
    status, text = await health()
    assert status == 503
    assert "no poll has been attempted since 2026-01-01T00:00:00Z; then: the cloud is away" in text
    fake_collector.state = attrs.evolve(STATUS, source_error=None)
    assert 'since 2026-01-01T00:00:00Z"' in (await health())[1]
    fake_collector.state = attrs.evolve(STATUS, last_poll=fake_collector.clock.now())
    assert (await health())[0] == 200, "polls that fail are tried: the cloud is away, not we"
    fake_collector.error = OutboxError("it is gone")
    assert await health() == (503, '{"status": "unhealthy", "reason": "it is gone"}')


async def test_collector_started_after_a_week_is_healthy(fake_collector: FakeCollector) -> None:
    fake_collector.clock.advance(timedelta(days=7))
    health = fake_collector.health()
    assert await health.problem() is None
    fake_collector.state = Status()
    assert await health.problem() is None


async def test_port_in_use_is_an_error(address: str, fake_collector: FakeCollector) -> None:
    port = int(address.rpartition(":")[2])
    with pytest.raises(SSTCloudError, match=f"127.0.0.1:{port} cannot be used.*in use"):
        async with serve_metrics(fake_collector.health(), "127.0.0.1", port):
            pass


async def test_the_missing_package_is_named(
    fake_collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(SSTCloudError, match=r"pip install 'sst-cloud\[metrics\]'"):
        async with serve_metrics(fake_collector.health(), "127.0.0.1", 0):
            pass


def open_files() -> int:
    return len([*Path("/dev/fd").iterdir()])


async def connect(
    address: str, sent: bytes = b""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    return reader, writer


async def test_number_of_idle_connections_is_limited(address: str) -> None:
    """The server keeps the newest connections; it runs in this process, as do the clients."""
    before = open_files()
    guests = [await connect(address, b"GET /metrics HTTP/1.1\r\n"[: n % 30]) for n in range(200)]
    try:
        async with asyncio.timeout(1):
            assert (await get(f"{address}/metrics"))[0] == 200
        assert open_files() - before <= len(guests) + MAX_CONNECTIONS
    finally:
        for _, guest in guests:
            guest.close()


async def test_a_connection_being_answered_is_not_closed(fake_collector: FakeCollector) -> None:
    requested, answer = asyncio.Event(), asyncio.Event()

    async def status() -> Status:
        requested.set()
        await answer.wait()
        return STATUS

    async with serve_metrics(
        attrs.evolve(fake_collector.health(), status=status), "127.0.0.1", 0
    ) as port:
        address = f"http://127.0.0.1:{port}"
        scrape = asyncio.create_task(get(f"{address}/metrics"))
        await requested.wait()
        guests = [await connect(address) for _ in range(2 * MAX_CONNECTIONS)]
        answer.set()
        assert (await scrape)[0] == 200
        for _, guest in guests:
            guest.close()


async def test_oldest_connection_is_closed_when_all_are_busy(fake_collector: FakeCollector) -> None:
    request_count = 0
    all_requested, answer = asyncio.Event(), asyncio.Event()

    async def status() -> Status:
        nonlocal request_count
        request_count += 1
        if request_count == MAX_CONNECTIONS:
            all_requested.set()
        await answer.wait()
        return STATUS

    async with serve_metrics(
        attrs.evolve(fake_collector.health(), status=status), "127.0.0.1", 0
    ) as port:
        address = f"http://127.0.0.1:{port}"
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        guests = [await connect(address, request) for _ in range(MAX_CONNECTIONS)]
        await all_requested.wait()
        assert (await get(address))[0] == 200
        answer.set()
        answers = await asyncio.gather(
            *(reader.read() for reader, _ in guests), return_exceptions=True
        )
        for _, writer in guests:
            writer.close()
    assert not isinstance(answers[0], bytes) or answers[0] == b""
    assert all(isinstance(each, bytes) and b" 200 " in each for each in answers[1:])


@pytest.mark.parametrize(
    "request_text",
    [
        b"",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nmore",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["silent", "cut short", "with a body", "whole"],
)
async def test_an_idle_connection_is_closed(
    address: str, request_text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sst_cloud.collector.bounded_server._TIMEOUT", 0.2)
    reader, writer = await connect(address, request_text)
    async with asyncio.timeout(5):
        with suppress(ConnectionError):
            await reader.read()
    writer.close()


async def test_connection_of_a_slow_reader_is_closed(
    address: str, fake_collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sst_cloud.collector.bounded_server._TIMEOUT", 0.2)
    fake_collector.readings = [
        sample_reading(point_id=f"{n}", name="x" * 2000) for n in range(3000)
    ]
    _, writer = await connect(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    before = open_files()
    async with asyncio.timeout(10):
        while open_files() >= before:  # noqa: ASYNC110  nothing else shows it
            await asyncio.sleep(0.01)
    writer.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/x", 404), ("POST", "/metrics", 405), ("HEAD", "/", 200)],
)
async def test_other_requests_get_their_status(
    address: str, method: str, path: str, status: int
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, address + path, data=b"x" * 100_000 * (method == "POST")
        ) as response,
    ):
        assert response.status == status


async def test_endless_request_header_is_refused(address: str) -> None:
    reader, writer = await connect(address, b"GET / HTTP/1.1\r\n")
    with suppress(ConnectionError):
        for _ in range(1000):
            writer.write(b"X-More: more\r\n" * 100)
            await writer.drain()
        assert b" 400 " in await reader.readline()
    writer.close()

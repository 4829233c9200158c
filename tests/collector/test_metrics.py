"""What Prometheus and a health check are told."""

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
from sst_cloud.outbox.status import DeliveryState, SinkStatus, Status, Stream
from sst_cloud.readings import Reading
from sst_cloud.testing.sink_contract import sample_reading

NOW = ManualClock().now()
EVERY = timedelta(minutes=20)
STATUS = Status(
    last_poll=NOW,
    last_success=NOW - timedelta(minutes=20),
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


def value(found: list[Sample], name: str, /, **labels: str) -> float:
    """The one sample with this name and these labels among others."""
    (number,) = [
        sample.value
        for sample in found
        if sample.name == f"sst_cloud_{name}" and labels.items() <= sample.labels.items()
    ]
    return number


def test_how_the_collector_fares() -> None:
    found = samples(exposition(STATUS, ()))
    assert value(found, "polls_total") == 7
    assert value(found, "poll_failures_total") == 2
    assert value(found, "readings_total") == 210
    assert value(found, "source_up") == 0
    assert value(found, "outbox_bytes") == 4096
    assert value(found, "last_poll_timestamp_seconds") == NOW.timestamp()
    assert value(found, "last_poll_success_timestamp_seconds") == NOW.timestamp() - 1200
    assert value(found, "sink_delivered_total", sink="sqlite:home.db") == 200
    assert value(found, "sink_rejected_total", sink="sqlite:home.db") == 3
    assert value(found, "sink_dropped_total", sink="sqlite:home.db") == 1
    influxdb = {"sink": "influxdb:http://x/y", "stream": "readings"}
    assert value(found, "sink_waiting", **influxdb) == 9
    assert value(found, "sink_oldest_timestamp_seconds") == NOW.timestamp() - 3600
    assert value(found, "sink_state", state="paused", **influxdb) == 1
    assert value(found, "sink_state", state="flowing", **influxdb) == 0
    assert value(found, "sink_state", state="flowing", stream=Stream.EVENTS) == 1


def test_a_sink_that_is_not_used_any_more_raises_no_alarm() -> None:
    assert b"left-out" not in exposition(STATUS, ())


def test_a_collector_that_has_done_nothing_yet() -> None:
    names = {sample.name for sample in samples(exposition(Status(), ()))}
    assert "sst_cloud_polls_total" in names
    assert not {name for name in names if "timestamp" in name}


async def test_every_reading_of_an_account_is_told(client: SSTCloud) -> None:
    readings = readings_from(await client.snapshot())
    found = samples(exposition(Status(), readings))
    assert len([s for s in found if s.name == "sst_cloud_reading_timestamp_seconds"]) == len(
        readings
    )
    for reading in readings:
        told = [
            sample.value
            for sample in found
            if sample.labels.get("point_id") == reading.point_id
            and sample.labels.get("device_id") == str(reading.device_id)
            and not sample.name.startswith("sst_cloud_reading")
        ]
        assert reading.value in told or reading.value in [number * 100 for number in told]
    keys = [(sample.name, *sorted(sample.labels.items())) for sample in found]
    assert len(keys) == len(set(keys)), "Prometheus refuses a page that says a thing twice"


def test_labels_and_units() -> None:
    readings = [
        sample_reading(value=46127, name='the "old" one\\\n'),
        sample_reading(quantity="battery", value=80, point="wireless_sensor", water=None),
    ]
    found = samples(exposition(Status(), readings))
    (litres,) = [sample for sample in found if sample.name == "sst_cloud_water_litres_total"]
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
    assert value(found, "battery_ratio", water="") == pytest.approx(0.8)


def test_qualities() -> None:
    """A counter that falls and rises again would look like a meter that was reset and spun."""
    readings = [
        sample_reading(point_id="1", quality="suspect", value=0),
        sample_reading(point_id="2", quality="stale", value=5),
    ]
    found = samples(exposition(Status(), readings))
    assert value(found, "water_litres_total") == 5
    for name, point_id, expected in (
        ("suspect", "1", 1),
        ("stale", "1", 0),
        ("suspect", "2", 0),
        ("stale", "2", 1),
    ):
        number = value(found, f"reading_{name}", quantity="volume", point_id=point_id)
        assert number == expected


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**53))
def test_whatever_the_owner_calls_things(name: str, litres: int) -> None:
    found = samples(exposition(Status(), [sample_reading(name=name, value=litres)]))
    assert value(found, "water_litres_total", name=name) == litres


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:9100", ("::1", 9100)),
        ("box.local:65535", ("box.local", 65535)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert address_from(text) == address


@pytest.mark.parametrize("text", ["", "port", "65536", "-1", "localhost", "localhost:", "1.5"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="a port like 9100"):
        address_from(text)


@attrs.define
class Patient:
    """A collector whose state a test decides on."""

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
def patient() -> Patient:
    return Patient()


@pytest.fixture
async def address(patient: Patient) -> AsyncIterator[str]:
    async with serve_metrics(patient.health(), "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


async def get(url: str) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, response.headers["Content-Type"], await response.text()


async def test_metrics_are_served(address: str, patient: Patient) -> None:
    patient.readings = [sample_reading(value=1234)]
    status, kind, text = await get(f"{address}/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert value(samples(text.encode()), "water_litres_total") == 1234
    patient.error = OutboxError("no outbox here")
    assert await get(f"{address}/metrics") == (
        503,
        "text/plain; charset=utf-8",
        "no outbox here\n",
    )


async def test_the_address_itself_leads_to_both(address: str) -> None:
    status, kind, text = await get(address)
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert 'href="/metrics"' in text
    assert 'href="/health"' in text


async def test_health(address: str, patient: Patient) -> None:
    async def told() -> tuple[int, str]:
        status, kind, text = await get(f"{address}/health")
        assert kind.startswith("application/json")
        return status, text

    assert await told() == (200, '{"status": "ok"}')
    patient.trouble = "No space left on device"
    assert (await told())[0] == 503
    assert "the outbox cannot be written: No space left on device" in (await told())[1]
    patient.trouble = None
    patient.clock.advance(timedelta(minutes=45))
    assert (await told())[0] == 200
    patient.clock.advance(1)
    status, text = await told()
    assert status == 503
    assert "no poll has been attempted since 2026-01-01T00:00:00Z; then: the cloud is away" in text
    patient.state = attrs.evolve(STATUS, source_error=None)
    assert 'since 2026-01-01T00:00:00Z"' in (await told())[1]
    patient.state = attrs.evolve(STATUS, last_poll=patient.clock.now())
    assert (await told())[0] == 200, "polls that fail are tried: the cloud is away, not we"
    patient.error = OutboxError("it is gone")
    assert await told() == (503, '{"status": "unwell", "reason": "it is gone"}')


async def test_a_collector_just_started_after_a_week_is_well(patient: Patient) -> None:
    patient.clock.advance(timedelta(days=7))
    health = patient.health()
    assert await health.problem() is None
    patient.state = Status()
    assert await health.problem() is None


async def test_a_port_that_is_taken(address: str, patient: Patient) -> None:
    port = int(address.rpartition(":")[2])
    with pytest.raises(SSTCloudError, match=f"127.0.0.1:{port} cannot be used.*in use"):
        async with serve_metrics(patient.health(), "127.0.0.1", port):
            pass


async def test_the_missing_package_is_named(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(SSTCloudError, match=r"pip install 'sst-cloud\[metrics\]'"):
        async with serve_metrics(patient.health(), "127.0.0.1", 0):
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


async def test_idle_connections_take_no_room(address: str) -> None:
    """The server, in this process, too, keeps the newest; each of ours is an open file as well."""
    before = open_files()
    guests = [await connect(address, b"GET /metrics HTTP/1.1\r\n"[: n % 30]) for n in range(200)]
    try:
        async with asyncio.timeout(1):
            assert (await get(f"{address}/metrics"))[0] == 200
        assert open_files() - before <= len(guests) + MAX_CONNECTIONS
    finally:
        for _, guest in guests:
            guest.close()


async def test_a_connection_being_answered_is_not_closed(patient: Patient) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def status() -> Status:
        asked.set()
        await answer.wait()
        return STATUS

    async with serve_metrics(attrs.evolve(patient.health(), status=status), "127.0.0.1", 0) as port:
        address = f"http://127.0.0.1:{port}"
        scrape = asyncio.create_task(get(f"{address}/metrics"))
        await asked.wait()
        guests = [await connect(address) for _ in range(2 * MAX_CONNECTIONS)]
        answer.set()
        assert (await scrape)[0] == 200
        for _, guest in guests:
            guest.close()


async def test_all_being_answered_the_oldest_is_sent_away(patient: Patient) -> None:
    asked = 0
    all_asked, answer = asyncio.Event(), asyncio.Event()

    async def status() -> Status:
        nonlocal asked
        asked += 1
        if asked == MAX_CONNECTIONS:
            all_asked.set()
        await answer.wait()
        return STATUS

    async with serve_metrics(attrs.evolve(patient.health(), status=status), "127.0.0.1", 0) as port:
        address = f"http://127.0.0.1:{port}"
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        guests = [await connect(address, request) for _ in range(MAX_CONNECTIONS)]
        await all_asked.wait()
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


async def test_a_slow_reader_is_closed(
    address: str, patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sst_cloud.collector.bounded_server._TIMEOUT", 0.2)
    patient.readings = [sample_reading(point_id=f"{n}", name="x" * 2000) for n in range(3000)]
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
async def test_other_requests(address: str, method: str, path: str, status: int) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, address + path, data=b"x" * 100_000 * (method == "POST")) as got,
    ):
        assert got.status == status


async def test_a_request_without_an_end(address: str) -> None:
    reader, writer = await connect(address, b"GET / HTTP/1.1\r\n")
    with suppress(ConnectionError):
        for _ in range(1000):
            writer.write(b"X-More: more\r\n" * 100)
            await writer.drain()
        assert b" 400 " in await reader.readline()
    writer.close()

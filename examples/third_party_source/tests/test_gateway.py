"""The gateway source by the contract, and what only it does."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from sst_cloud_gateway import GatewaySource
from stand_in import StandIn

from sst_cloud import (
    AlarmActiveError,
    ApiError,
    AuthenticationError,
    CommandError,
    CommandRejectedError,
    ConnectionFailedError,
    LeakModule,
    ManualClock,
    PayloadError,
    Quantity,
    RequestTimeoutError,
    ServiceUnavailableError,
    SourceError,
    SourceOptionsError,
    Thermostat,
    ValveState,
    open_source,
    readings_from,
)
from sst_cloud.testing import SourceContract
from sst_cloud.testing.source_contract import SourceFactory

PASSWORD = "s3cret-of-the-gateway"


@pytest.fixture
def gateway() -> StandIn:
    return StandIn(PASSWORD)


@pytest.fixture
async def address(gateway: StandIn) -> AsyncIterator[str]:
    async with TestServer(gateway.app()) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture
async def source(address: str) -> AsyncIterator[GatewaySource]:
    async with GatewaySource(address, password=PASSWORD, clock=ManualClock()) as source:
        yield source


class TestContract(SourceContract):
    may_send_commands = True

    @pytest.fixture
    def make_source(self, address: str) -> SourceFactory:
        return lambda: GatewaySource(address, password=PASSWORD, clock=ManualClock())

    @pytest.fixture
    def make_unreachable_source(self) -> SourceFactory:
        return lambda: GatewaySource(f"127.0.0.1:{unused_port()}")


async def module_of(source: GatewaySource) -> LeakModule:
    module, _ = (await source.snapshot()).devices
    assert isinstance(module, LeakModule)
    return module


async def thermostat_of(source: GatewaySource) -> Thermostat:
    _, thermostat = (await source.snapshot()).devices
    assert isinstance(thermostat, Thermostat)
    return thermostat


async def test_readings(source: GatewaySource) -> None:
    readings = {
        (reading.quantity, reading.name or reading.device): reading.value
        for reading in readings_from(await source.snapshot())
    }
    assert readings[Quantity.VOLUME, "Cold"] == 123_456
    assert readings[Quantity.LEAK, "Bath"] is False
    assert readings[Quantity.VALVE_OPEN, "Bathroom"] is True
    assert readings[Quantity.BATTERY, "Sink"] == 87
    assert readings[Quantity.SENSOR_LOST, "Sink"] is False
    assert readings[Quantity.FLOOR_TEMPERATURE, "Floor"] == 23.5
    assert readings[Quantity.TARGET_TEMPERATURE, "Floor"] == 24


async def test_leak(gateway: StandIn, source: GatewaySource) -> None:
    gateway.spring_leak()
    module = await module_of(source)
    assert module.alarm
    with pytest.raises(AlarmActiveError):
        await source.set_valves(module, ValveState.OPENED)
    assert gateway.commands == []
    result = await source.set_valves(module, ValveState.OPENED, despite_alarm=True)
    assert result.confirmed
    assert gateway.commands == [("/modules/1/valve", {"open": True})]


async def test_target_temperature(gateway: StandIn, source: GatewaySource) -> None:
    result = await source.set_target_temperature(await thermostat_of(source), 21)
    assert result.confirmed
    assert gateway.commands == [("/heating/2/target", {"celsius": 21})]


async def test_command_without_an_answer_is_sent_once(
    gateway: StandIn, source: GatewaySource
) -> None:
    module = await module_of(source)
    gateway.hangs_up = True
    with pytest.raises(ConnectionFailedError) as caught:
        await source.set_valves(module, ValveState.CLOSED)
    assert caught.value.request_sent
    assert len(gateway.commands) == 1


async def test_commands_that_the_gateway_does_not_have(
    gateway: StandIn, source: GatewaySource
) -> None:
    thermostat, module = await thermostat_of(source), await module_of(source)
    with pytest.raises(CommandError, match=r"Floor \(WarmFloor T1\) has no brightness"):
        await source.set_brightness(thermostat, 5)
    with pytest.raises(CommandError):
        await source.set_power(thermostat, on=False)
    with pytest.raises(CommandError):
        await source.set_floor_washing(module, on=True)
    assert gateway.commands == []


async def test_refused_command(gateway: StandIn, source: GatewaySource) -> None:
    module = await module_of(source)
    gateway.refusal = (409, "the valve is jammed")
    with pytest.raises(CommandRejectedError, match="the valve is jammed"):
        await source.set_valves(module, ValveState.CLOSED)
    assert len(gateway.commands) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, ApiError),
        (401, AuthenticationError),
        (404, ApiError),
        (503, ServiceUnavailableError),
        (200, PayloadError),
    ],
)
@pytest.mark.parametrize("text", ["", "no, s3cret-of-the-gateway is wrong", "[" * 100_000])
async def test_failures(
    gateway: StandIn, source: GatewaySource, status: int, error: type[Exception], text: str
) -> None:
    gateway.refusal = (status, text)
    with pytest.raises(error) as caught:
        await source.snapshot()
    assert (
        "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    )


async def test_answer_without_end(address: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    app = web.Application()
    app.router.add_get("/home", answer)
    async with TestServer(app) as server, GatewaySource(f"127.0.0.1:{server.port}") as source:
        with pytest.raises(PayloadError, match="longer than 256 kB"):
            await source.snapshot()


async def test_gateway_that_does_not_answer() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the source gives up
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, GatewaySource(address, timeout=0.05) as source:
        with pytest.raises(RequestTimeoutError, match=f"{address} did not respond within 0.05 s"):
            await source.snapshot()


async def test_gateway_that_is_away() -> None:
    async with GatewaySource(f"127.0.0.1:{unused_port()}") as source:
        with pytest.raises(ConnectionFailedError) as caught:
            await source.snapshot()
    assert not caught.value.request_sent


@pytest.mark.parametrize("litres", [None, "7", True, 7.5, -(2**63), 2**200])
async def test_total_that_is_none(gateway: StandIn, source: GatewaySource, litres: object) -> None:
    gateway.module["meters"][0]["litres"] = litres
    snapshot = await source.snapshot()
    assert [counter.name for counter in snapshot.counters] == ["Hot"]
    assert [(item.kind, item.id) for item in snapshot.unreadable] == [("counter", 31)]
    assert readings_from(snapshot)


@pytest.mark.parametrize("home", [[], None, {}, {"site": {"number": "1", "name": "Flat"}}])
async def test_home_that_cannot_be_read(
    gateway: StandIn, source: GatewaySource, home: object
) -> None:
    gateway.home = home
    with pytest.raises(PayloadError):
        await source.snapshot()


async def test_part_that_cannot_be_read_does_not_hide_the_rest(
    gateway: StandIn, source: GatewaySource
) -> None:
    gateway.module["sensors"] = None
    gateway.home["heating"].append(7)
    snapshot = await source.snapshot()
    assert len(snapshot.devices) == 2
    assert [(item.kind, item.id) for item in snapshot.unreadable] == [
        ("device", None),
        ("wireless_sensors", 1),
    ]


async def test_device_that_does_not_exist(source: GatewaySource) -> None:
    with pytest.raises(SourceError, match="no device 9"):
        await source.device(4711, 9)


async def test_by_url(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("GATEWAY_PASSWORD", PASSWORD)
    async with open_source(f"gateway:{address}?timeout=10") as source:
        assert (await source.snapshot()).houses
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "gateway:",
        "gateway:host:port",
        "gateway:host/path",
        "gateway:user:s3cret@host",
        "gateway:host?timeout=0",
        "gateway:host?timeout=nan",
        "gateway:host?timeout=soon",
        "gateway:host?password=s3cret",
    ],
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(SourceOptionsError) as caught:
        open_source(url)
    assert "s3cret" not in str(caught.value)


async def test_source_that_is_not_open() -> None:
    with pytest.raises(RuntimeError, match="async context manager"):
        await GatewaySource("host").snapshot()

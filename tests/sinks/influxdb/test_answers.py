"""How the sink handles answers that real servers do not give on demand."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import aiohttp
import pytest
import trustme
from aiohttp import web

from sinks.influxdb.stand_in import CHECK, StandIn
from sst_cloud import Reading, SinkRefusedError, SinkUnavailableError, WriteReport
from sst_cloud.testing.sink_contract import START, sample_reading
from sst_cloud_sinks.influxdb import InfluxDBSink

TOKEN = "qXf-a-very-secret-token=="


def meters(count: int) -> list[Reading]:
    return [sample_reading(time=START + timedelta(hours=n), value=n) for n in range(count)]


@pytest.fixture
async def sink(stand_in: StandIn) -> AsyncIterator[InfluxDBSink]:
    async with InfluxDBSink(stand_in.url, "home", org="me", token=TOKEN) as sink:
        yield sink


async def test_write_request_of_version_2(stand_in: StandIn, sink: InfluxDBSink) -> None:
    assert await sink.write(meters(3)) == WriteReport(accepted=3)
    (request,) = stand_in.requests
    assert request.path == "/api/v2/write"
    assert request.query == {"org": "me", "bucket": "home", "precision": "s"}
    assert request.headers["Authorization"] == f"Token {TOKEN}"
    assert request.headers["Content-Encoding"] == "gzip"
    assert len(request.lines) == 3


async def test_write_request_of_version_1(stand_in: StandIn) -> None:
    async with InfluxDBSink(
        stand_in.url + "/behind/proxy",
        "a/b & c",
        version=1,
        user="me",
        password="it",
        retention_policy="year",
    ) as sink:
        await sink.write(meters(1))
    (request,) = stand_in.requests
    assert request.path == "/behind/proxy/write"
    assert request.query == {"db": "a/b & c", "rp": "year", "precision": "s"}
    assert request.headers["Authorization"] == "Basic bWU6aXQ="


async def test_no_authorization_header_without_a_token(stand_in: StandIn) -> None:
    async with InfluxDBSink(stand_in.url, "home") as sink:
        await sink.check()
    (request,) = stand_in.requests
    assert "Authorization" not in request.headers
    assert request.query == {"bucket": "home", "precision": "s"}
    assert request.lines == [CHECK]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "9" * 400}, None),
        ({"Retry_After": "Wed, 21 Oct 99999999999 07:28:00 GMT"}, None),
        (
            {
                "Retry_After": "Mon, 23 Nov 2026 17:21:30 GMT",
                "Date": "Mon, 23 Nov 2026 17:20:00 GMT",
            },
            90.0,
        ),
        (
            {
                "Retry_After": "Mon, 23 Nov 2026 17:19:00 -0000",
                "Date": "Mon, 23 Nov 2026 17:20:00 GMT",
            },
            0.0,
        ),
        ({"Retry_After": "Fri, 01 Jan 1999 00:00:00 GMT", "Date": "today"}, 0.0),
    ],
)
async def test_temporary_write_errors_may_be_retried(
    stand_in: StandIn,
    sink: InfluxDBSink,
    status: int,
    headers: dict[str, str],
    seconds: float | None,
) -> None:
    stand_in.always(status, '{"code": "x", "message": "too much"}', **headers)
    for attempt in (sink.check(), sink.write(meters(1))):
        with pytest.raises(SinkUnavailableError, match=f"too much .HTTP {status}") as caught:
            await attempt
        assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "text", "sentence"),
    [
        (
            401,
            '{"message": "unauthorized access"}',
            r"unauthorized access.*INFLUXDB_TOKEN to a token that",
        ),
        (403, '{"message": "forbidden"}', "grant write access to bucket 'home'"),
        (404, '{"message": "bucket not found"}', "bucket not found.*create it"),
        (404, "404 page not found", "that is not how InfluxDB answers /api/v2/write"),
        (301, "", "the address that it redirects to"),
        (405, "", "no reason given .HTTP 405.; that is not how InfluxDB answers"),
        (200, "<html><title>Log in</title></html>", r"an HTML page \(Log in\).*check the address"),
        (200, "<html></html>", "an HTML page .HTTP 200"),
        (200, "", "no reason given"),
        (200, "[]", "check the address"),
        (200, '{"status": "ok"}', "does not accept readings: no reason given"),
        (400, '{"message": "organization name is required"}', "organization name is required"),
        (400, '{"error": {"code": 7}}', '"code": 7'),
        (400, "<h1>Bad Request</h1>", r"an HTML page \(Bad Request\)"),
        (400, "no " * 9999, "no " * 66 + "no…"),
        (413, '{"message": "nothing is small enough"}', "nothing is small enough"),
    ],
)
async def test_permanent_write_errors_are_refusals(
    stand_in: StandIn, sink: InfluxDBSink, status: int, text: str, sentence: str
) -> None:
    stand_in.always(status, text, Location="http://127.0.0.1:1/elsewhere")
    for attempt in (sink.check(), sink.write(meters(100))):
        with pytest.raises(SinkRefusedError, match=sentence) as caught:
            await attempt
        assert TOKEN not in str(caught.value)
        assert len(str(caught.value)) < 400
    assert len(stand_in.requests) <= 3


async def test_http_401_without_a_token_asks_for_a_token(stand_in: StandIn) -> None:
    stand_in.always(401)
    async with InfluxDBSink(stand_in.url, "home") as sink:
        with pytest.raises(SinkRefusedError, match="set INFLUXDB_TOKEN to a token for the server"):
            await sink.check()


@pytest.mark.parametrize("message", ["writing requires points", "incoming write was empty"])
async def test_server_may_complain_about_missing_lines_in_a_check(
    stand_in: StandIn, sink: InfluxDBSink, message: str
) -> None:
    stand_in.always(400, json.dumps({"code": "invalid", "message": message}))
    await sink.check()


async def test_stalled_write_times_out(stand_in: StandIn) -> None:
    async def stall(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
        await stand_in.closing.wait()
        return web.Response(status=204)

    stand_in.answer = stall
    async with InfluxDBSink(stand_in.url, "home", timeout=0.05) as sink:
        with pytest.raises(SinkUnavailableError, match=r"did not respond within 0\.05 s"):
            await sink.write(meters(1))


async def test_stalled_tls_handshake_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sst_cloud_sinks.influxdb.http._CONNECT_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with InfluxDBSink(f"https://127.0.0.1:{silent.getsockname()[1]}", "home") as sink:
            with pytest.raises(
                SinkUnavailableError, match=r"could not connect to .* within 0\.05 s"
            ):
                await sink.check()


async def test_dropped_connection_is_a_temporary_error(
    stand_in: StandIn, sink: InfluxDBSink
) -> None:
    async def drop(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response(status=204)

    stand_in.answer = drop
    with pytest.raises(SinkUnavailableError, match=r"the connection to .* was lost: \S"):
        await sink.write(meters(1))


async def test_one_failed_request_of_several_fails_the_write(stand_in: StandIn) -> None:
    async def fail_once(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
        if len(stand_in.requests) == 2:
            return web.Response(status=503, headers={"Retry-After": "9"})
        return await stand_in.store(request, lines)

    stand_in.answer = fail_once
    async with InfluxDBSink(stand_in.url, "home", batch_size=3) as sink:
        with pytest.raises(SinkUnavailableError) as caught:
            await sink.write(meters(12))
        assert caught.value.retry_after == 9
        assert (await sink.write(meters(12))).accepted == 12
    assert len(stand_in.stored) == 12


async def test_untrusted_certificate_is_refused() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with StandIn(context) as server, InfluxDBSink(server.url, "home") as sink:
        with pytest.raises(SinkRefusedError, match=r"certificate of .* is not trusted: \w"):
            await sink.check()


async def test_number_of_parallel_requests_is_limited(stand_in: StandIn) -> None:
    entered = 0
    both = asyncio.Event()

    async def meet(request: web.Request, lines: Sequence[str]) -> web.StreamResponse:
        nonlocal entered
        entered += 1
        if entered == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 5)
        return await stand_in.store(request, lines)

    stand_in.answer = meet
    async with InfluxDBSink(stand_in.url, "home", batch_size=5, max_concurrency=2) as sink:
        assert (await sink.write(meters(23))).accepted == 23
    assert sorted(len(received.lines) for received in stand_in.requests) == [3, 5, 5, 5, 5]
    assert stand_in.most_at_once == 2


async def test_readings_with_the_same_key_are_sent_in_order(stand_in: StandIn) -> None:
    readings = [sample_reading(value=n) for n in range(20)]
    async with InfluxDBSink(stand_in.url, "home", batch_size=3) as sink:
        assert (await sink.write(readings)).accepted == 20
    assert stand_in.most_at_once == 1
    values = [int(line.split("volume_litres=")[1].split(",")[0]) for line in stand_in.lines]
    assert values == list(range(20))


async def test_an_injected_session_stays_open(stand_in: StandIn) -> None:
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        async with InfluxDBSink(stand_in.url, "home", session=session) as sink:
            await sink.write(meters(1))
        assert not session.closed
        stand_in.always(401)
        async with InfluxDBSink(stand_in.url, "home", session=session) as sink:
            with pytest.raises(SinkRefusedError):
                await sink.check()


async def test_a_sink_can_be_opened_again(stand_in: StandIn, sink: InfluxDBSink) -> None:
    async with sink:
        await sink.check()
    async with sink:
        await sink.check()
    assert len(stand_in.requests) == 2

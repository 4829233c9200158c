"""Answers that repeat the request, never end, are huge or nested: no leaks, limited memory."""

import asyncio
import gzip
import json
import logging
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final

import pytest

from echo import FORMS, PLACES, Echo, all_of, http, leaked, outcome
from linear import LIMIT, growth
from sinks.influxdb.stand_in import CHECK
from sst_cloud import Quantity, Reading, SinkRefusedError, SinkUnavailableError
from sst_cloud.errors import SinkError
from sst_cloud.testing.sink_contract import START, sample_reading
from sst_cloud_sinks.influxdb import InfluxDBSink
from sst_cloud_sinks.influxdb.partial_write import ErrorBody, Line

pytestmark = pytest.mark.not_quick

TOKEN: Final = "qXf-a/very+secret_token=="
PASSWORD: Final = "correct horse & battery"
SECRETS: Final = ((TOKEN,), (PASSWORD, "bWU6Y29ycmVjdCBob3JzZSAmIGJhdHRlcnk="))
"""The secrets of the two sinks; the last is sent for the user `me` with the password."""
MB: Final = 1024 * 1024

Answer = Callable[[bytes], bytes]


def meters(count: int) -> list[Reading]:
    return [sample_reading(time=START + timedelta(hours=n), value=n) for n in range(count)]


@asynccontextmanager
async def sinks(answer: Answer) -> AsyncIterator[Sequence[InfluxDBSink]]:
    """A sink with a token, and one with user and password, of a server with this answer."""
    async with (
        Echo(answer) as server,
        InfluxDBSink(server.url, "home", org="me", token=TOKEN) as two,
        InfluxDBSink(server.url, "home", version=1, user="me", password=PASSWORD) as one,
    ):
        yield two, one


async def volumes(sink: InfluxDBSink) -> list[Reading]:
    return [reading async for reading in sink.read(Quantity.VOLUME)]


async def everything(sink: InfluxDBSink) -> str:
    """All texts from every request of a sink: errors with their causes, reasons, readings."""
    calls = (sink.check(), sink.write(meters(3)), sink.latest(), volumes(sink))
    return "".join([await outcome(call) for call in calls])


@pytest.mark.parametrize("place", PLACES)
async def test_secrets_repeated_by_the_server_are_never_shown(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sst_cloud")
    caplog.set_level(logging.DEBUG, "sst_cloud_sinks")
    written = ""

    def answer(sent: bytes) -> bytes:
        return PLACES[place](written or sent.decode("latin-1"))

    async with sinks(answer) as both:
        for sink, secrets in zip(both, SECRETS, strict=True):
            assert leaked(await everything(sink) + caplog.text, *secrets) == []
            for name, form in FORMS.items():
                for secret in secrets:
                    written = f"sorry: {form(secret)}."
                    result = await outcome(sink.write(meters(1)))
                    assert (name, leaked(result + caplog.text, *secrets)) == (name, [])
            written = ""


@pytest.mark.parametrize("form", FORMS)
async def test_secrets_are_masked_in_the_reasons_of_a_partial_write(form: str) -> None:
    written = FORMS[form](TOKEN)
    readings = meters(3)

    def answer(sent: bytes) -> bytes:
        lines = gzip.decompress(sent.partition(b"\r\n\r\n")[2]).decode().splitlines()
        if lines == [CHECK]:
            return b"HTTP/1.1 204 Fine\r\n\r\n"
        errors = [f"unable to parse '{line}': {written}" for line in lines]
        data = [{"line_number": 1, "error_message": written}]
        error = {"error": f"partial write: {errors[0]} dropped=0"} if len(lines) == 3 else {}
        return http(400, json.dumps(error or {"error": written, "data": data}))

    async with sinks(answer) as both:
        report = await both[0].write(readings)
    assert len(report.rejected) == 3
    assert leaked(repr(report), TOKEN) == []


@pytest.mark.parametrize("form", FORMS)
async def test_secrets_repeated_in_a_query_answer_are_never_shown(
    form: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As an error, as a column name, as invalid data, and as data."""
    written = FORMS[form](TOKEN)
    columns = ["time", "value", "house_id", "house", "device_id", "point", "point_id"]
    row: list[Any] = [1, 5, "1", written, "2", "counter", "3"]
    odd_row: list[Any] = [1, 5, written, "Home", "2", "counter", "3"]
    contents: list[Any] = [
        {"error": written},
        {"results": [{"error": written}]},
        {"results": [{"series": [{"columns": [written], "values": []}]}]},
        {"results": [{"series": [{"columns": columns, "values": [odd_row]}]}]},
    ]
    if form not in (
        "HTML by number",
        "HTML in hex",
        "URL, every byte",
    ):  # names are not stored like this
        contents.append({"results": [{"series": [{"columns": columns, "values": [row]}]}]})
    for content in contents:
        body = json.dumps(content)
        async with sinks(lambda sent, body=body: http(200, body)) as both:  # type: ignore[misc]
            result = await outcome(volumes(both[0]))
        assert leaked(result + caplog.text, TOKEN) == []


async def test_answer_containing_a_short_password_is_masked_entirely() -> None:
    async with (
        Echo(lambda _: http(500, "the password x1y is wrong")) as server,
        InfluxDBSink(server.url, "home", version=1, user="me", password="x1y") as sink,
    ):
        with pytest.raises(SinkUnavailableError, match=r"now: \*\*\* .HTTP 500") as caught:
            await sink.check()
    assert "x1y" not in all_of(caught.value)
    assert "bWU6eDF5" not in all_of(caught.value)


@pytest.mark.parametrize(("url", "warned"), [("http://db.example:1", 1), ("https://db.example", 0)])
async def test_credentials_over_plain_http_cause_one_warning(
    url: str, warned: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with InfluxDBSink(url, "home", token=TOKEN) as sink:
        for _ in range(2):
            with suppress(SinkError):
                await sink.check()
    async with InfluxDBSink(url, "home") as sink:
        with suppress(SinkError):
            await sink.check()
    assert len(caplog.messages) == warned
    for message in caplog.messages:
        assert message.startswith("credentials are sent to db.example:1 unencrypted")


async def test_plain_http_to_this_machine_causes_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with sinks(lambda _: http(204, "")) as both:
        await both[0].check()
    assert caplog.messages == []


def endless(sent: bytes) -> bytes:
    """A very long answer, instead of an endless one."""
    return http(200 if b"GET /" in sent else 500, b"out of order " * MB)


def packed(sent: bytes) -> bytes:
    """400 kB that decompress to 100 MB."""
    return http(200, gzip.compress(bytes(100 * MB)), "Content-Encoding: gzip")


@pytest.mark.parametrize("answer", [endless, packed])
async def test_memory_for_an_answer_is_limited(answer: Answer) -> None:
    body = answer(b"POST /")
    body_of_query = answer(b"GET /")
    async with sinks(lambda sent: body_of_query if b"GET /" in sent else body) as both:
        tracemalloc.start()
        try:
            with pytest.raises(SinkError):
                await both[0].check()
            with pytest.raises(SinkUnavailableError, match="a line of more than 8 MB"):
                [reading async for reading in both[0].read(Quantity.VOLUME)]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # Echo itself holds what the socket has not taken yet, and aiohttp a block or two.
    assert peak < 2 * 13 * MB + 24 * MB


async def test_partial_write_with_a_too_long_answer_is_split() -> None:
    """Each part gets a complete answer; nothing is lost or mistaken for a refusal by a proxy."""

    def answer(sent: bytes) -> bytes:
        lines = gzip.decompress(sent.partition(b"\r\n\r\n")[2]).decode().splitlines()
        if lines == [CHECK]:
            return http(204, "")
        errors = "\n".join(f"unable to parse '{line}': bad {'x ' * 500}" for line in lines)
        return http(400, json.dumps({"error": f"partial write: {errors} dropped=0"}))

    readings = meters(600)
    async with sinks(answer) as both:
        report = await both[0].write(readings)
    assert [rejection.reading for rejection in report.rejected] == readings
    assert report.rejected[0].reason.startswith("bad x x")


@pytest.mark.parametrize("depth", [101, 900, 990, 1_000, 100_000])
@pytest.mark.parametrize("form", ["%s", '{"error": %s}', '{"results": %s}', '{"data": [%s]}'])
async def test_deeply_nested_json_is_a_clear_error(depth: int, form: str) -> None:
    nested = form % ("[" * depth + "]" * depth)
    for status in (200, 400):
        async with sinks(lambda _, status=status: http(status, nested)) as both:  # type: ignore[misc]
            assert "127.0.0.1" in await everything(both[0])


@pytest.mark.parametrize(
    "error",
    ["dropped=" + "9" * 5000, "unable to parse '" * 10, "unable to parse '': x"],
)
async def test_malformed_partial_write_errors_reject_all_readings(error: str) -> None:
    async with sinks(lambda _: http(400, json.dumps({"error": error}))) as both:
        report = await both[0].write(meters(2))
    assert len(report.rejected) == 2


async def test_malformed_rows_are_skipped(caplog: pytest.LogCaptureFixture) -> None:
    columns = ["time", "value", "house_id", "house", "device_id", "point", "point_id"]
    rows = [[1, 5, "1", invalid, "2", "counter", "3"] for invalid in ([], [1], {"a": 1}, 7)]
    body = json.dumps({"results": [{"series": [{"columns": columns, "values": rows}]}]})
    async with sinks(lambda _: http(200, body)) as both:
        assert len([reading async for reading in both[0].read(Quantity.VOLUME)]) <= 3
    assert "that are not our readings" in caplog.text


def _quotes(count: int) -> str:
    return "unable to parse 'x" + "': " * count


def _quoted(count: int) -> str:
    return "unable to parse '" * count


@pytest.mark.parametrize("make", [_quotes, _quoted, lambda count: 'input field "' * count])
def test_partial_write_errors_are_parsed_in_linear_time(make: Callable[[int], str]) -> None:
    lines = [Line(f"line {number}", reading) for number, reading in enumerate(meters(500))]

    def prepared(count: int) -> Callable[[], object]:
        body = json.dumps({"error": make(count)}).encode()
        return lambda: ErrorBody.parse(body, str).result_of(lines)

    assert growth(prepared, 20_000) <= LIMIT


async def test_endless_headers_are_cut_off(unused_tcp_port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while not writer.is_closing():
                writer.write(b"X-More: more\r\n" * 1000)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", unused_tcp_port)
    async with server, InfluxDBSink(f"http://127.0.0.1:{unused_tcp_port}", "home") as sink:
        with pytest.raises(SinkUnavailableError, match="was lost"):
            await sink.check()


async def test_refusal_has_no_chained_exception() -> None:
    async with sinks(lambda _: http(401, '{"message": "no"}')) as both:
        with pytest.raises(SinkRefusedError) as caught:
            await both[0].check()
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    "password", ["Moscow, Tverskaya 1", "counter house_id", "volume_litres of"]
)
async def test_password_made_of_words_does_not_mask_data(
    password: str, unused_tcp_port: int
) -> None:
    columns = ["time", "house_id", "house", "device_id", "point", "point_id", "quality", "value"]
    row = [0, "1", "Moscow, Arbat", "2", "counter", "3", None, 7]
    series = {"name": "water_meter", "columns": columns, "values": [row]}
    body = json.dumps({"results": [{"series": [series]}]}).encode()
    async with (
        Echo(lambda _: http(200, body)) as server,
        InfluxDBSink(server.url, "home", version=1, user="me", password=password) as sink,
    ):
        (reading,) = [reading async for reading in sink.read(Quantity.VOLUME)]
    assert reading.house == "Moscow, Arbat"

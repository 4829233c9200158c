"""The webhook sink by the contract, and what only it does."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sst_cloud_webhook import WebhookSink

from sst_cloud import Reading, SinkOptionsError, SinkRefusedError, SinkUnavailableError, open_sink
from sst_cloud.errors import SinkError
from sst_cloud.testing import SinkContract
from sst_cloud.testing.sink_contract import SinkFactory, sample_reading


class Receiver:
    """Stores what is posted, rejects readings named `never`, responds with `status`."""

    def __init__(self) -> None:
        self.stored: list[Reading] = []
        self.requests = 0
        self.status = 200

    async def receive(self, request: web.Request) -> web.Response:
        self.requests += 1
        if request.headers.get("Authorization") != "Bearer secret":
            return web.json_response({}, status=401)
        if self.status != 200:
            return web.json_response({}, status=self.status, headers={"Location": "/elsewhere"})
        readings = [Reading.from_dict(record) for record in (await request.json())["readings"]]
        never = [index for index, reading in enumerate(readings) if reading.name == "never"]
        self.stored += [reading for reading in readings if reading.name != "never"]
        answer = web.json_response({"rejected": [{"index": n, "reason": "never"} for n in never]})
        answer.enable_chunked_encoding()  # so that it has no Content-Length
        return answer


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def address(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/readings", receiver.receive)
    async with TestServer(app) as server:
        yield str(server.make_url("/readings"))


class TestContract(SinkContract):
    @pytest.fixture
    def make_sink(self, address: str, receiver: Receiver) -> SinkFactory:
        self.receiver = receiver
        return lambda: WebhookSink(address, batch=7, token="secret")

    async def stored(self, make_sink: SinkFactory) -> Sequence[Reading]:
        return self.receiver.stored


async def test_batches(address: str, receiver: Receiver) -> None:
    async with WebhookSink(address, batch=2, token="secret") as sink:
        report = await sink.write([sample_reading(point_id=str(n)) for n in range(5)])
    assert (report.accepted, receiver.requests) == (5, 3)


async def test_rejections_name_their_reading(address: str) -> None:
    bad = sample_reading(name="never")
    async with WebhookSink(address, token="secret") as sink:
        report = await sink.write([sample_reading(), bad])
    assert report.accepted == 1
    assert [rejection.reading for rejection in report.rejected] == [bad]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, SinkRefusedError),
        (400, SinkRefusedError),
        (429, SinkUnavailableError),
        (503, SinkUnavailableError),
    ],
)
async def test_failures(
    address: str, receiver: Receiver, status: int, error: type[Exception]
) -> None:
    receiver.status = status
    async with WebhookSink(address, token="secret") as sink:
        with pytest.raises(error):
            await sink.write([sample_reading()])


async def test_by_url(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_TOKEN", "secret")
    async with open_sink(f"webhook:{address}?batch=10") as sink:
        await sink.check()


@pytest.mark.parametrize("url", ["webhook:", "webhook:ftp://x", "webhook:http://x?batch=0"])
def test_bad_urls(url: str) -> None:
    with pytest.raises(SinkOptionsError):
        open_sink(url)


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("line", [b"%s", b"HTTP/1.1 s3cret-token: %s"])
async def test_an_answer_that_repeats_the_token(status: int, line: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"rejected": [{"index": 0, "reason": "no to s3cret-token"}]}'
        head = b"HTTP/1.1 %d Oh\r\nContent-Type: application/json" % status
        writer.write(b"%s\r\nConnection: close\r\n\r\n%s" % (line % head, body))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, WebhookSink(url, token="s3cret-token") as sink:
        try:
            output = repr(await sink.write([sample_reading()]))
        except SinkError as error:
            output = f"{error} {error.__cause__!r} {error.__context__!r}"
    assert "s3cret" not in output


@pytest.mark.parametrize(
    "body", ["[]", '{"rejected": [{"index": 7}]}', '{"rejected": 7}', "[" * 100_000]
)
async def test_an_answer_that_is_not_as_agreed(body: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/", answer)
    async with TestServer(app) as server, WebhookSink(str(server.make_url("/"))) as sink:
        with pytest.raises(SinkUnavailableError, match="did not answer as agreed"):
            await sink.write([sample_reading()])

"""A server that responds like Timestream, after a delay, and checks nothing."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import attrs
from aiohttp import web

from .background import Certificate, background

DATABASE, TABLE = "mydb", "meters"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIABENCH",
    "AWS_SECRET_ACCESS_KEY": "of-nobody",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@attrs.frozen
class RemoteTimestream:
    """The server, as its clients know it."""

    url: str
    pipe: Connection = attrs.field(repr=False)

    def records(self) -> list[int]:
        """How many records each request held, since the last time this was called."""
        self.pipe.send("records")
        counts: list[int] = self.pipe.recv()
        return counts


@contextmanager
def remote_timestream(
    latency: float = 0.0, tls: Certificate | None = None
) -> Iterator[RemoteTimestream]:
    """Start the server; every response is delayed by `latency` seconds."""
    with background(_serve, latency, tls) as pipe:
        yield RemoteTimestream(pipe.recv(), pipe)


def _serve(pipe: Connection, latency: float, tls: Certificate | None) -> None:
    asyncio.run(_serve_requests(pipe, latency, tls))


async def _serve_requests(pipe: Connection, latency: float, tls: Certificate | None) -> None:
    counts: list[int] = []

    async def write_records(request: web.Request) -> web.Response:
        if not request.headers["X-Amz-Target"].endswith(".WriteRecords"):
            return web.Response(status=400)
        count = len(json.loads(await request.read())["Records"])
        counts.append(count)
        await asyncio.sleep(latency)
        ingested = {"Total": count, "MemoryStore": count, "MagneticStore": 0}
        body = json.dumps({"RecordsIngested": ingested})
        return web.Response(text=body, content_type="application/x-amz-json-1.0")

    app = web.Application(client_max_size=10 * 2**20)
    app.router.add_post("/", write_records)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    context = tls.context() if tls else None
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    scheme = "https" if tls else "http"
    pipe.send("{}://{}:{}".format(scheme, *runner.addresses[0]))
    while True:
        try:
            await asyncio.to_thread(pipe.recv)
        except EOFError:
            break
        pipe.send(counts.copy())
        counts.clear()
    await runner.cleanup()

"""Without an explicit endpoint, requests go to the endpoint that AWS names.

A proxy on the loopback interface leads to the stand-in whatever host is asked for.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from sinks.timestream.stand_in import Error, Timestream
from sst_cloud.errors import SinkRefusedError, SinkUnavailableError
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.timestream import TimestreamSink


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for hosts of AWS, which the client is told to trust."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = [
        "ingest.timestream.eu-central-1.amazonaws.com",
        "ingest-cell1.timestream.eu-central-1.amazonaws.com",
    ]
    authority.issue_cert(*names).configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    return context


@pytest.fixture
async def aws(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Timestream]:
    """The stand-in, in the place of AWS."""
    tasks: set[asyncio.Task[None]] = set()
    async with Timestream(tls=tls) as service:

        async def connect(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
            request = await client.readuntil(b"\r\n\r\n")
            assert request.startswith(b"CONNECT ")
            server, to_server = await asyncio.open_connection("127.0.0.1", service.port)
            to_client.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for source, target in ((client, to_server), (server, to_client)):
                task = asyncio.create_task(_pump(source, target))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        proxy = await asyncio.start_server(connect, "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "")
        service.add_table(magnetic_writes=True)
        yield service
        proxy.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while block := await source.read(1 << 16):
            target.write(block)
            await target.drain()
    target.close()


async def test_endpoint_is_discovered_from_the_service(
    aws: Timestream, timestream: Timestream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is requested once; an endpoint in the environment is ignored."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", timestream.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_TIMESTREAM_WRITE", timestream.url)
    async with TimestreamSink("mydb", "meters") as sink:
        for n in range(2):
            assert (await sink.write([sample_reading(point_id=str(n))])).accepted == 1
    assert [(request.operation, request.host.partition(".")[0]) for request in aws.requests] == [
        ("DescribeEndpoints", "ingest"),
        ("WriteRecords", "ingest-cell1"),
        ("WriteRecords", "ingest-cell1"),
    ]
    assert timestream.requests == []


async def test_explicit_endpoint_skips_discovery(timestream: Timestream, table: object) -> None:
    async with TimestreamSink("mydb", "meters", endpoint_url=timestream.url) as sink:
        await sink.write([sample_reading()])
    assert [request.operation for request in timestream.requests] == ["WriteRecords"]


async def test_forbidden_discovery_is_refused(aws: Timestream) -> None:
    aws.denied = ("DescribeEndpoints",)
    async with TimestreamSink("mydb", "meters") as sink:
        with pytest.raises(SinkRefusedError, match=r"timestream:DescribeEndpoints on \*"):
            await sink.check()


async def test_failed_discovery_is_a_temporary_error(aws: Timestream) -> None:
    aws.inject(Error("ThrottlingException", 429), "DescribeEndpoints")
    async with TimestreamSink("mydb", "meters") as sink:
        with pytest.raises(SinkUnavailableError):
            await sink.check()

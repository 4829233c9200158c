"""The Timestream sink: records per request, and processor time beside a bare client."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from time import process_time
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig

from sst_cloud import Reading
from sst_cloud_sinks.timestream import TimestreamSink

from .measure import Benchmark, Figure, alternate
from .sqlite import readings
from .timestream import CREDENTIALS, DATABASE, TABLE, RemoteTimestream, remote_timestream

ROWS = 100_000
CPU_LIMIT = 1.25
FILL = 99
AT_ONCE = 8


class _Recorder:
    """A client that only records its requests."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    async def write_records(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        return {"RecordsIngested": {"Total": len(request["Records"])}}


def measure(runs: int) -> Sequence[Figure]:
    """The same requests, built and sent by the sink, or only sent by a bare client."""
    os.environ.update(CREDENTIALS)
    batch = readings(ROWS)
    recorder = _Recorder()
    asyncio.run(TimestreamSink(DATABASE, TABLE, location="home", client=recorder).write(batch))
    with remote_timestream() as service:
        asyncio.run(_through_sink(service, batch[:1000]))
        service.records()
        asyncio.run(_through_sink(service, batch))
        counts = service.records()
        pairs = alternate(
            lambda: asyncio.run(_through_sink(service, batch)),
            lambda: asyncio.run(_through_client(service, recorder.requests)),
            runs,
        )
    if sum(counts) != ROWS:
        raise RuntimeError(f"{sum(counts)} records arrived, not {ROWS}")
    fill = sum(counts) / len(counts)
    return [
        Figure("Timestream, a request", fill, FILL, f"{len(counts)} requests", at_least=True),
        pairs.figure("Timestream, processor", CPU_LIMIT, "took", "bare client"),
    ]


async def _through_sink(service: RemoteTimestream, batch: Sequence[Reading]) -> float:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(service))
        sink = TimestreamSink(DATABASE, TABLE, location="home", client=client, concurrency=AT_ONCE)
        started = process_time()
        report = await sink.write(batch)
        seconds = process_time() - started
    if report.accepted != len(batch):
        raise RuntimeError(f"{report.accepted} readings were accepted, not {len(batch)}")
    return seconds


async def _through_client(service: RemoteTimestream, requests: Sequence[dict[str, Any]]) -> float:
    remaining = iter(requests)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(service))

        async def send_requests() -> None:
            for request in remaining:
                await client.write_records(**request)

        started = process_time()
        await asyncio.gather(*(send_requests() for _ in range(AT_ONCE)))
        return process_time() - started


def _client(service: RemoteTimestream) -> Any:
    config = AioConfig(max_pool_connections=AT_ONCE)
    return aioboto3.Session().client("timestream-write", endpoint_url=service.url, config=config)


BATCHES = Benchmark("timestream", 3, measure)

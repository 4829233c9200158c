"""Time of a poll, beside the minimum that its round trips allow."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import ceil

from sst_cloud import SSTCloud, TokenAuth

from .cloud import ReceivedRequests, RemoteCloud, remote_cloud
from .measure import Benchmark, Figure, Pairs, timed

ROUND_TRIP = 0.05
AT_ONCE = 8
COUNTERS_LIMIT = 1.15
SNAPSHOT_LIMIT = 1.3

Read = Callable[[SSTCloud], Awaitable[object]]


def counters(runs: int) -> Sequence[Figure]:
    """One house's counters: the houses, then the counters."""
    with remote_cloud(houses=1, devices=1, latency=ROUND_TRIP) as cloud:
        cold = asyncio.run(_cold(cloud, _read_counters, runs))
        warm = asyncio.run(_warm(cloud, _read_counters, runs))
        requests = len(_requests_of(cloud, _read_counters).paths)
    minimum = [2 * ROUND_TRIP] * runs
    return [
        Pairs(cold, minimum).figure("one house, cold", COUNTERS_LIMIT, "took", "two round trips"),
        Pairs(warm, minimum).figure("one house, warm", COUNTERS_LIMIT, "took", "two round trips"),
        Figure("one house, requests", requests, 2, "houses, then counters"),
    ]


def snapshot(runs: int) -> Sequence[Figure]:
    """Ten houses with three modules each: devices, counters and radio sensors."""
    with remote_cloud(houses=10, devices=3, latency=ROUND_TRIP) as cloud:
        received = _requests_of(cloud, SSTCloud.snapshot)
        cold = asyncio.run(_cold(cloud, SSTCloud.snapshot, runs))
        warm = asyncio.run(_warm(cloud, SSTCloud.snapshot, runs))
        max_concurrency = cloud.received().most_at_once
    round_trips = _min_round_trips(received)
    minimum = [round_trips * ROUND_TRIP] * runs
    base = f"{round_trips} round trips"
    detail = f"{len(received.paths)} requests each"
    return [
        Pairs(cold, minimum).figure("ten houses, cold", SNAPSHOT_LIMIT, "took", base),
        Pairs(warm, minimum).figure("ten houses, warm", SNAPSHOT_LIMIT, "took", base),
        Figure("ten houses, at once", max_concurrency, AT_ONCE, detail),
    ]


def _requests_of(cloud: RemoteCloud, read: Read) -> ReceivedRequests:
    """The requests of one read."""
    cloud.received()
    asyncio.run(_read_with_new_client(cloud, read))
    return cloud.received()


def _min_round_trips(received: ReceivedRequests) -> int:
    """The minimum: first the list of houses, then all else concurrently."""
    if received.paths[0] != "/houses/" or received.paths.count("/houses/") != 1:
        raise RuntimeError(f"the minimum assumes another order of requests: {received.paths[:3]}")
    return 1 + ceil((len(received.paths) - 1) / AT_ONCE)


def _client(cloud: RemoteCloud) -> SSTCloud:
    return SSTCloud(TokenAuth(cloud.token), base_url=cloud.url)


async def _read_counters(client: SSTCloud) -> None:
    for house in await client.houses():
        await client.counters(house.id)


async def _read_with_new_client(cloud: RemoteCloud, read: Read) -> None:
    async with _client(cloud) as client:
        await read(client)


async def _cold(cloud: RemoteCloud, read: Read, runs: int) -> list[float]:
    """Seconds with a new client each time: create, connect, read, close."""
    await _read_with_new_client(cloud, read)
    return [await timed(_read_with_new_client(cloud, read)) for _ in range(runs)]


async def _warm(cloud: RemoteCloud, read: Read, runs: int) -> list[float]:
    """Seconds with one client whose connections are open."""
    async with _client(cloud) as client:
        await read(client)
        return [await timed(read(client)) for _ in range(runs)]


COUNTERS = Benchmark("counters", 15, counters)
SNAPSHOT = Benchmark("snapshot", 15, snapshot)

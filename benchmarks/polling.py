"""What a poll costs beside the least that the chain of its answers allows."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import ceil

from sst_cloud import SSTCloud, TokenAuth

from .cloud import RemoteCloud, Seen, remote_cloud
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
        requests = len(_asked(cloud, _read_counters).paths)
    least = [2 * ROUND_TRIP] * runs
    return [
        Pairs(cold, least).figure("one house, cold", COUNTERS_LIMIT, "took", "two round trips"),
        Pairs(warm, least).figure("one house, warm", COUNTERS_LIMIT, "took", "two round trips"),
        Figure("one house, requests", requests, 2, "houses, then counters"),
    ]


def snapshot(runs: int) -> Sequence[Figure]:
    """Ten houses with three modules each: devices, counters and radio sensors."""
    with remote_cloud(houses=10, devices=3, latency=ROUND_TRIP) as cloud:
        seen = _asked(cloud, SSTCloud.snapshot)
        cold = asyncio.run(_cold(cloud, SSTCloud.snapshot, runs))
        warm = asyncio.run(_warm(cloud, SSTCloud.snapshot, runs))
        at_once = cloud.seen().most_at_once
    trips = _least_trips(seen)
    least = [trips * ROUND_TRIP] * runs
    base = f"{trips} round trips"
    asked = f"{len(seen.paths)} requests each"
    return [
        Pairs(cold, least).figure("ten houses, cold", SNAPSHOT_LIMIT, "took", base),
        Pairs(warm, least).figure("ten houses, warm", SNAPSHOT_LIMIT, "took", base),
        Figure("ten houses, at once", at_once, AT_ONCE, asked),
    ]


def _asked(cloud: RemoteCloud, read: Read) -> Seen:
    """What one read asks the cloud."""
    cloud.seen()
    asyncio.run(_new(cloud, read))
    return cloud.seen()


def _least_trips(seen: Seen) -> int:
    """Everything depends on the list of houses; that sensors depend on devices, too, only adds."""
    if seen.paths[0] != "/houses/" or seen.paths.count("/houses/") != 1:
        raise RuntimeError(f"the least time is reckoned for another order: {seen.paths[:3]}")
    return 1 + ceil((len(seen.paths) - 1) / AT_ONCE)


def _client(cloud: RemoteCloud) -> SSTCloud:
    return SSTCloud(TokenAuth(cloud.token), base_url=cloud.url)


async def _read_counters(client: SSTCloud) -> None:
    for house in await client.houses():
        await client.counters(house.id)


async def _new(cloud: RemoteCloud, read: Read) -> None:
    async with _client(cloud) as client:
        await read(client)


async def _cold(cloud: RemoteCloud, read: Read, runs: int) -> list[float]:
    """Seconds with a new client each time: making it, connecting, reading, closing."""
    await _new(cloud, read)
    return [await timed(_new(cloud, read)) for _ in range(runs)]


async def _warm(cloud: RemoteCloud, read: Read, runs: int) -> list[float]:
    """Seconds with one client whose connections are open."""
    async with _client(cloud) as client:
        await read(client)
        return [await timed(read(client)) for _ in range(runs)]


COUNTERS = Benchmark("counters", 15, counters)
SNAPSHOT = Benchmark("snapshot", 15, snapshot)

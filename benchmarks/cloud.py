"""A fake cloud in a process of its own, so that its work does not count as the client's."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import attrs

from sst_cloud.testing import FakeAccount, FakeCloud, FakeCounter, FakeDevice, FakeHouse, Latency

from .background import Certificate, background


@attrs.frozen
class ReceivedRequests:
    """The requests that the cloud received since it was last asked."""

    paths: tuple[str, ...]
    most_at_once: int


@attrs.frozen
class RemoteCloud:
    """The fake cloud, as its clients know it."""

    url: str
    token: str = attrs.field(repr=False)
    pipe: Connection = attrs.field(repr=False)

    def received(self) -> ReceivedRequests:
        """The requests since this was last called."""
        self.pipe.send("received")
        requests: ReceivedRequests = self.pipe.recv()
        return requests


@contextmanager
def remote_cloud(
    houses: int, devices: int, latency: float, tls: Certificate | None = None
) -> Iterator[RemoteCloud]:
    """Start a cloud of so many houses, each with so many modules of two meters.

    Every response is delayed by `latency` seconds.
    """
    with background(_serve, houses, devices, latency, tls) as pipe:
        url, token = pipe.recv()
        yield RemoteCloud(url, token, pipe)


def account(houses: int, devices: int) -> FakeAccount:
    """An account of so many houses, each with so many modules of two meters."""
    return FakeAccount(
        houses=[
            FakeHouse(
                name=f"House {house}",
                devices=[
                    FakeDevice(counters=[FakeCounter(), FakeCounter(hot=True)])
                    for _ in range(devices)
                ],
            )
            for house in range(1, houses + 1)
        ]
    )


def _serve(
    pipe: Connection, houses: int, devices: int, latency: float, tls: Certificate | None
) -> None:
    asyncio.run(_serve_requests(pipe, account(houses, devices), latency, tls))


async def _serve_requests(
    pipe: Connection, account: FakeAccount, latency: float, tls: Certificate | None
) -> None:
    async with FakeCloud([account], tls=tls.context() if tls else None) as cloud:
        cloud.inject(Latency(latency))
        pipe.send((cloud.url, cloud.token))
        while True:
            try:
                await asyncio.to_thread(pipe.recv)
            except EOFError:
                return
            paths = tuple(request.path for request in cloud.requests)
            pipe.send(ReceivedRequests(paths, cloud.most_at_once))
            cloud.requests.clear()
            cloud.most_at_once = 0

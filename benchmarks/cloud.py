"""A fake cloud in a process of its own, so that its work does not count as the client's."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import attrs

from sst_cloud.testing import FakeAccount, FakeCloud, FakeCounter, FakeDevice, FakeHouse, Latency

from .background import Certificate, background


@attrs.frozen
class Seen:
    """What the cloud was asked since it was last told to forget."""

    paths: tuple[str, ...]
    most_at_once: int


@attrs.frozen
class RemoteCloud:
    """The fake cloud as seen from here."""

    url: str
    token: str = attrs.field(repr=False)
    pipe: Connection = attrs.field(repr=False)

    def seen(self) -> Seen:
        """What was asked since the last time this was called."""
        self.pipe.send("seen")
        seen: Seen = self.pipe.recv()
        return seen


@contextmanager
def remote_cloud(
    houses: int, devices: int, latency: float, tls: Certificate | None = None
) -> Iterator[RemoteCloud]:
    """Start a cloud of so many houses, each with so many modules of two meters.

    Every answer comes `latency` seconds late.
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
    asyncio.run(_answer(pipe, account(houses, devices), latency, tls))


async def _answer(
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
            pipe.send(Seen(tuple(seen.path for seen in cloud.requests), cloud.most_at_once))
            cloud.requests.clear()
            cloud.most_at_once = 0

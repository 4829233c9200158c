"""Supervision of a running collector: systemd, metrics and health check."""

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import attrs
import pytest

from sst_cloud import ManualClock, ServiceUnavailableError, SSTCloudError
from sst_cloud.collector import Collector, Poll
from sst_cloud.collector.supervision import Supervisor
from sst_cloud.collector.systemd import Notifier

from .parts import MemorySink, Meter

AWAY = ServiceUnavailableError(503, "away", "/houses/")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The receiving end of the notification socket of systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        channel.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "3600000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        yield channel


def messages_from(channel: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(channel.recv(4096).decode())
        except BlockingIOError:
            return messages


async def test_systemd_receives_ready_status_and_stopping(
    systemd: socket.socket, clock: ManualClock, tmp_path: Path
) -> None:
    supervisor = Supervisor(clock=clock)
    collector = Collector(
        Meter(clock, None, AWAY),
        {"memory": MemorySink()},
        tmp_path / "state",
        clock=clock,
        random=lambda: 0.0,
        on_poll=supervisor.record,
    )
    async with collector, supervisor.supervise(collector):
        await collector.run(3)
    assert messages_from(systemd) == [
        "READY=1",
        "WATCHDOG=1",
        "STATUS=1 reading at 2026-01-01T00:00:00Z",
        "STATUS=Poll failed at 2026-01-01T00:20:00Z: /houses/: away (HTTP 503)",
        "STATUS=1 reading at 2026-01-01T00:40:00Z",
        "STOPPING=1",
    ]


async def test_watchdog_is_not_fed_when_polls_stop(
    systemd: socket.socket,
    clock: ManualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For example because a disk hangs: systemd then restarts the service."""
    monkeypatch.setenv("WATCHDOG_USEC", "1")  # as often as the event loop turns
    seconds = [0.0]
    supervisor = Supervisor(clock=clock, monotonic=lambda: seconds[0])
    collector = Collector(
        Meter(clock), {}, tmp_path / "state", clock=clock, on_poll=supervisor.record
    )

    async def fed(after: float) -> bool:
        seconds[0] += after
        messages_from(systemd)
        for _ in range(100):
            await asyncio.sleep(0)
        return messages_from(systemd).count("WATCHDOG=1") > 1

    async with collector, supervisor.supervise(collector):
        assert await fed(after=0)
        await collector.run(1)
        assert await fed(after=44 * 60)
        assert not await fed(after=2 * 60)
        await collector.run(2)
        assert await fed(after=44 * 60)


async def test_stopping_is_sent_to_systemd_after_an_error(
    systemd: socket.socket, clock: ManualClock, tmp_path: Path
) -> None:
    collector = Collector(Meter(clock, AWAY), {}, tmp_path / "state", clock=clock)
    with pytest.raises(ServiceUnavailableError):
        async with collector, Supervisor(clock=clock).supervise(collector):
            await collector.run(1)
    assert messages_from(systemd)[-1] == "STOPPING=1"


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_metrics_and_health_are_served_while_collecting(
    clock: ManualClock, tmp_path: Path, unused_tcp_port: int, systemd: socket.socket
) -> None:
    supervisor = Supervisor(clock=clock)
    polls: list[Poll] = []

    def saw(poll: Poll) -> None:
        polls.append(poll)
        supervisor.record(poll)

    source = Meter(clock, litres=41)
    collector = Collector(source, {"memory": MemorySink()}, tmp_path, clock=clock, on_poll=saw)
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with collector, supervisor.supervise(collector, ("127.0.0.1", unused_tcp_port)):
        await collector.run(1)
        status, text = await get(f"{url}/metrics")
        assert status == 200
        assert 'sst_cloud_sink_delivered_total{sink="memory",stream="readings"} 1.0' in text
        assert 'point_id="3"' in text
        assert "} 42.0" in text
        assert await get(f"{url}/health") == (200, '{"status": "ok"}')
        supervisor.record(attrs.evolve(polls[0], committed=False))
        status, text = await get(f"{url}/health")
        assert (status, json.loads(text)["reason"]) == (
            503,
            "the outbox cannot be written: see the log",
        )
        assert messages_from(systemd)[-1] == (
            "STATUS=The outbox could not be written at 2026-01-01T00:00:00Z"
        )
        supervisor.record(polls[0])
        clock.advance(timedelta(hours=1))
        assert (await get(f"{url}/health"))[0] == 503
        assert (await get(f"{url}/nonsense"))[0] == 404
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(f"{url}/health")


async def test_port_in_use_is_an_error_and_never_ready(
    clock: ManualClock, tmp_path: Path, unused_tcp_port: int, systemd: socket.socket
) -> None:
    collector = Collector(Meter(clock), {}, tmp_path, clock=clock)
    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        async with collector:
            with pytest.raises(SSTCloudError, match="cannot be used for metrics"):
                async with Supervisor(clock=clock).supervise(
                    collector, ("127.0.0.1", unused_tcp_port)
                ):
                    await collector.run(1)
    assert messages_from(systemd) == [], "a service that cannot do what it shall is never ready"


def test_supervisor_works_without_systemd() -> None:
    Supervisor(notifier=Notifier()).record(Poll(ManualClock().now()))

"""The notifications to systemd, over a real datagram socket."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sst_cloud import ManualClock
from sst_cloud.collector.systemd import Notifier


class Systemd:
    """The receiving end of the socket."""

    def __init__(self, address: str) -> None:
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.channel.setblocking(False)
        self.channel.bind(address)

    def received(self) -> list[str]:
        """The messages received since the last call."""
        messages = []
        while True:
            try:
                messages.append(self.channel.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def systemd(path: str) -> Iterator[Systemd]:
    other = Systemd(path)
    yield other
    other.channel.close()


def test_service_sends_ready_status_and_stopping(systemd: Systemd, path: str) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": path})
    notifier.ready()
    notifier.status("37 readings\nto sqlite:дом\udcff.db")
    notifier.stopping()
    assert systemd.received() == ["READY=1", "STATUS=37 readings to sqlite:дом?.db", "STOPPING=1"]


def test_abstract_socket_is_supported() -> None:
    name = f"sst-cloud-test-{os.getpid()}"
    other = Systemd(f"\0{name}")
    Notifier.from_environment({"NOTIFY_SOCKET": f"@{name}"}).ready()
    assert other.received() == ["READY=1"]
    other.channel.close()


async def test_watchdog_is_fed_twice_per_interval(systemd: Systemd, path: str) -> None:
    waits: list[float] = []

    class FourTurns(ManualClock):
        async def sleep(self, seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 4:
                raise asyncio.CancelledError

    environ = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
    with pytest.raises(asyncio.CancelledError):
        await Notifier.from_environment(environ).keep_alive(clock=FourTurns())
    assert waits == [30] * 4
    assert systemd.received() == ["WATCHDOG=1"] * 4


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"},
    ],
    ids=str,
)
async def test_no_watchdog_messages_without_a_valid_interval(
    systemd: Systemd, path: str, environ: dict[str, str]
) -> None:
    await Notifier.from_environment({"NOTIFY_SOCKET": path, **environ}).keep_alive()
    assert systemd.received() == []


async def test_notifier_without_systemd_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    notifier = Notifier.from_environment()
    notifier.ready()
    notifier.stopping()
    await notifier.keep_alive()


def test_missing_systemd_socket_is_only_logged(path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "sst_cloud")
    Notifier(path).status("secret or not")
    assert "cannot send STATUS to systemd" in caplog.text
    assert "secret" not in caplog.text

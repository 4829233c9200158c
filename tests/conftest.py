"""Shared by all tests: no network but loopback, a fake cloud, a client of it, a shim."""

import inspect
import ipaddress
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aioresponses.core
import hypothesis
import pytest

import sst_cloud
import sst_cloud_sinks
from sst_cloud import ManualClock, PasswordAuth, SSTCloud
from sst_cloud.testing import FakeCloud

hypothesis.settings.register_profile("thorough", deadline=None)  # machines are shared
hypothesis.settings.register_profile("brief", deadline=None, max_examples=15)
hypothesis.settings.load_profile("thorough")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options for the length of the stress tests and the package under test."""
    parser.addoption("--kill-rounds", type=int, default=200, help="kill -9 so often")
    parser.addoption("--hostile-answers", type=int, default=1500, help="met by a client")
    parser.addoption("--seed", type=int, help="of what is random; one that a failed test printed")
    parser.addoption("--installed", action="store_true", help="test the installed package")


def pytest_configure(config: pytest.Config) -> None:
    """Make sure that the intended package is tested."""
    for marker in (
        "not_quick: starts programs, or waits; left out of `make quick`, as what is slow is, too",
        "slow: takes long; started first, and without coverage, which other tests provide",
        "source: tests only the source tree; not repeated against an installed wheel",
    ):
        config.addinivalue_line("markers", marker)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that starts the tests in the background makes them and their children ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--installed"):
        for package in (sst_cloud, sst_cloud_sinks):
            if not Path(package.__path__[0]).is_relative_to(sys.prefix):
                raise pytest.UsageError(f"--installed, but this is source: {package.__path__[0]}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start the slow tests first, so that nothing waits for them at the end."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker("no_cover")
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if config.getoption("--installed"):
        again = [item for item in items if item.get_closest_marker("source") is None]
        config.hook.pytest_deselected(items=[item for item in items if item not in again])
        items[:] = again


def _shim_aioresponses() -> None:
    """aioresponses 0.7.9 does not give aiohttp 3.14 the stream_writer it asks for."""
    core: Any = aioresponses.core
    original = core.ClientResponse
    if "stream_writer" not in inspect.signature(original.__init__).parameters:
        return

    class ClientResponse(original):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.setdefault("stream_writer", type("Writer", (), {"output_size": 0})())
            super().__init__(*args, **kwargs)

    core.ClientResponse = ClientResponse


_shim_aioresponses()


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection that would leave this machine fails the test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if not ipaddress.ip_address(host).is_loopback:
                raise AssertionError(f"a test wanted to connect to {host}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests do not see the settings of whoever runs them."""
    for name in [name for name in os.environ if name.startswith(("SST_CLOUD_", "SST_CLOUT_"))]:
        monkeypatch.delenv(name)
    for name in ("STATE_DIRECTORY", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ".local" / "state"))
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A new random seed for each test, printed when it fails; or the one of --seed."""
    seed: int = request.config.getoption("--seed") or secrets.randbelow(2**32)
    sys.stdout.write(f"seed {seed}\n")
    return seed


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for third-party packages."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
async def fake() -> AsyncIterator[FakeCloud]:
    """A cloud with one account, two houses, four devices and five counters."""
    async with FakeCloud(clock=ManualClock()) as cloud:
        yield cloud


@pytest.fixture
def clock() -> ManualClock:
    """The client's clock: waiting takes no time."""
    return ManualClock()


@pytest.fixture
async def client(fake: FakeCloud, clock: ManualClock) -> AsyncIterator[SSTCloud]:
    """A client that logs in to the fake cloud with e-mail and password."""
    auth = PasswordAuth(fake.email, fake.password)
    async with SSTCloud(auth, base_url=fake.url, clock=clock, random=lambda: 0.5) as cloud:
        yield cloud

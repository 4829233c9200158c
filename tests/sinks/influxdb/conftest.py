"""Servers for the InfluxDB sink: two real ones, and one that can fail on demand."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sinks.influxdb.servers import InfluxDB1, VictoriaMetrics
from sinks.influxdb.stand_in import StandIn


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFLUXDB_TOKEN", raising=False)
    monkeypatch.delenv("INFLUXDB_PASSWORD", raising=False)


@pytest.fixture(scope="session")
def influxdb1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxDB1]:
    """InfluxDB 1.6 with users, one for all tests."""
    with InfluxDB1.start(tmp_path_factory.mktemp("influxdb")) as server:
        yield server


@pytest.fixture
def database(influxdb1: InfluxDB1, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own."""
    name = f"db {abs(hash(request.node.nodeid))}"
    influxdb1.query(f'CREATE DATABASE "{name}"')
    yield name
    influxdb1.query(f'DROP DATABASE "{name}"')


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[VictoriaMetrics]:
    """VictoriaMetrics has no databases, so each test has its own server."""
    with VictoriaMetrics.start(tmp_path) as server:
        yield server


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    """A server that answers as configured, and records its requests."""
    async with StandIn() as server:
        yield server

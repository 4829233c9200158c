"""A stand-in for Timestream, and sinks that use it."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

import aioboto3
import pytest
from aiobotocore.config import AioConfig

from sinks.timestream.stand_in import Timestream
from sinks.timestream.store import Table
from sst_cloud_sinks.timestream import TimestreamSink


class MakeSink(Protocol):
    def __call__(self, **options: Any) -> TimestreamSink: ...


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Invented credentials, and no AWS settings of the developer."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
async def timestream() -> AsyncIterator[Timestream]:
    async with Timestream() as service:
        yield service


@pytest.fixture
def table(timestream: Timestream) -> Table:
    """The table mydb/meters, which takes readings of any age."""
    return timestream.add_table(magnetic_writes=True)


@pytest.fixture(scope="session")
def session() -> Any:
    """One session for all tests: it caches the description of the service."""
    return aioboto3.Session("AKIATEST", "secret-test", region_name="eu-central-1")


@pytest.fixture
async def clients(session: Any, timestream: Timestream) -> AsyncIterator[dict[str, Any]]:
    """Clients without retries, so that tests need not wait for them."""
    config = AioConfig(retries={"total_max_attempts": 1}, read_timeout=5)
    options = {"config": config, "endpoint_url": timestream.url}
    async with (
        session.client("timestream-write", **options) as write,
        session.client("timestream-query", **options) as query,
    ):
        yield {"client": write, "query_client": query}


@pytest.fixture
def make_sink(clients: dict[str, Any]) -> MakeSink:
    return lambda **options: TimestreamSink("mydb", "meters", **clients | options)


@pytest.fixture
async def sink(make_sink: MakeSink, table: Table) -> AsyncIterator[TimestreamSink]:
    async with make_sink() as sink:
        yield sink

"""What a collector does with odd sources, and what it notes about each."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sst_cloud import (
    BadCredentialsError,
    FirstAnswering,
    ManualClock,
    SourceError,
    SSTCloudError,
)
from sst_cloud.collector import Collector
from sst_cloud.outbox import read_status

from .parts import Always, Listener, MemorySink, Meter, SettableClock, Threads, collected

START = datetime(2026, 3, 1, 12, 7, 11, tzinfo=UTC)
REFUSED = BadCredentialsError(400, "no", "/auth/login/")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    with Threads.counted():
        yield


@pytest.fixture
def clock() -> ManualClock:
    return SettableClock(START)


async def test_status_has_no_secrets_of_the_source(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Meter(clock, None, SSTCloudError("https://me:s3cret@host/ is odd"))
    source.name = "http://me:s3cret@host/"
    sink = Listener()
    await collected(source, {"m": MemorySink()}, tmp_path, 2 + 1, handlers={"h": sink})
    status = read_status(tmp_path)
    assert [each.name for each in status.sources] == ["http://***@host/"]
    assert status.failed_polls == 1
    assert b"s3cret" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert "s3cret" not in caplog.text


async def test_source_that_cancels_its_own_work_does_not_stop_the_collector(
    clock: ManualClock, tmp_path: Path
) -> None:
    sink = MemorySink()
    source = Meter(clock, None, asyncio.CancelledError())  # type: ignore[arg-type]
    await collected(source, {"m": sink}, tmp_path, 3)
    assert sink.values == [1, 2]


async def test_source_with_a_wrong_password_is_asked_once_an_hour_beside_another(
    clock: ManualClock, tmp_path: Path
) -> None:
    """Whatever is wrong with the other, it is polled all the time."""
    refused, odd = Meter(clock), Meter(clock, None)
    refused.errors, odd.errors = Always(REFUSED), [None, *[SourceError("odd")] * 30]  # type: ignore[assignment]
    refused.name = "Cloud"
    source: Any = FirstAnswering([refused, odd], clock=clock)
    collector = Collector(source, {}, tmp_path, clock=clock, random=lambda: 0.0)
    async with collector:
        await collector.run(32)
    assert len(odd.poll_times) == 32
    waits = [b - a for a, b in pairwise(refused.poll_times)]
    assert len(waits) == 10
    assert min(waits) >= timedelta(hours=1)


async def test_outbox_without_the_status_of_sources_is_continued(
    clock: ManualClock, tmp_path: Path
) -> None:
    """It is from an earlier version, or that part is damaged."""
    await collected(Meter(clock), {"m": MemorySink()}, tmp_path, 1)
    for change in (
        "DELETE FROM notes WHERE key = 'sources'",
        """UPDATE notes SET sum = NULL, value =
        '[3, ["x"], ["a", 5, null, null], ["b", "b", "b", 1]]' WHERE key = 'sources'""",
    ):
        with closing(sqlite3.connect(tmp_path / "outbox.db")) as database, database:
            assert database.execute(change).rowcount == 1
        assert read_status(tmp_path).sources == ()
        await collected(Meter(clock), {"m": MemorySink()}, tmp_path, 1)
        (source,) = read_status(tmp_path).sources
        assert (source.name, source.error) == ("the test source", None)

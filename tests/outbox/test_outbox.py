"""The outbox's bounds, and files that are not what they should be."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.parts import mounted
from sst_cloud import ManualClock, Reading
from sst_cloud.errors import OutboxError
from sst_cloud.outbox import Limits, Start, read_status
from sst_cloud.outbox.entries import Commit
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.outbox.status import Stream
from sst_cloud.testing.sink_contract import sample_reading

READINGS = Stream.READINGS


def readings(count: int, first: int = 0) -> Sequence[Reading]:
    return [sample_reading(value=value) for value in range(first, first + count)]


async def test_too_old_entries_are_dropped_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    limits = Limits(age=timedelta(days=30))
    async with Outbox(tmp_path, limits=limits, clock=clock) as outbox:
        await outbox.register("away", READINGS)
        await outbox.append(Commit(readings(3)))
        clock.advance(timedelta(days=31))
        await outbox.append(Commit(readings(2, 3)))
        await outbox.tidy()
        assert len((await outbox.batch("away", READINGS, 10)).items) == 5
        clock.advance(timedelta(days=1))
        await outbox.tidy()
        batch = await outbox.batch("away", READINGS, 10)
    assert [reading.value for reading in batch.items] == [3, 4]
    assert read_status(tmp_path).sinks[0].dropped == 3
    assert "dropped 3 readings that away had not received" in caplog.text


async def test_many_too_old_entries_are_dropped_together(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Outbox(tmp_path, limits=Limits(age=timedelta(days=30)), clock=clock) as outbox:
        await outbox.register("away", READINGS)
        await outbox.append(Commit(readings(12_000)))
        for days in (31, 1):
            clock.advance(timedelta(days=days))
            await outbox.tidy()
        status = await outbox.status()
    assert (status.sinks[0].dropped, status.sinks[0].waiting) == (12_000, 0)


@pytest.mark.parametrize("hours", [0, 1, 30])
async def test_clock_temporarily_ahead_drops_nothing(tmp_path: Path, hours: int) -> None:
    """A collector is started for each poll; `hours` is the time since the last cleanup."""
    clock, age = ManualClock(), timedelta(days=365)

    async def poll(value: int) -> list[float]:
        async with Outbox(tmp_path, clock=clock) as outbox:
            await outbox.register("away", READINGS)
            await outbox.append(Commit(readings(1, value)))
            await outbox.tidy()
            batch = await outbox.batch("away", READINGS, 10)
            return [reading.value for reading in batch.items]

    await poll(0)
    clock.advance(timedelta(hours=hours))
    await poll(1)
    clock.advance(age * 2)
    await poll(2)
    clock.advance(timedelta(minutes=20))
    await poll(3)
    clock.advance(-age * 2)
    await poll(4)
    clock.advance(timedelta(hours=25))
    assert await poll(5) == [0, 1, 2, 3, 4, 5]


async def test_too_old_entries_are_dropped_although_the_clock_was_ahead(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Outbox(tmp_path, limits=Limits(age=timedelta(days=30)), clock=clock) as outbox:
        await outbox.register("away", READINGS)
        await outbox.append(Commit(readings(3)))
        for days in (3650, -3650, 31, 1):
            clock.advance(timedelta(days=days))
            await outbox.tidy()
        status = await outbox.status()
    assert status.sinks[0].dropped == 3


async def test_late_delivered_readings_are_not_counted_as_dropped(tmp_path: Path) -> None:
    """A slow sink held a batch for so long that the outbox has dropped it meanwhile."""
    async with Outbox(tmp_path, limits=Limits(size=200_000)) as outbox:
        await outbox.register("slow", READINGS)
        await outbox.append(Commit(readings(100)))
        batch = await outbox.batch("slow", READINGS, 100)
        await outbox.append(Commit(readings(1_500, 100)))
        await outbox.tidy()
        dropped = (await outbox.status()).sinks[0].dropped
        assert dropped > 100
        await outbox.mark_delivered("slow", READINGS, batch.upto, accepted=100)
        (sink,) = (await outbox.status()).sinks
    assert (sink.delivered, sink.dropped) == (100, dropped - 100)
    assert sink.delivered + sink.dropped + sink.waiting == 1_600


async def test_committed_entries_are_in_the_main_file_after_every_poll(tmp_path: Path) -> None:
    """And not only in its log, which a user may delete as rubbish."""
    async with Outbox(tmp_path) as outbox:
        await outbox.register("away", READINGS)
        await outbox.append(Commit(readings(3)))
        await outbox.tidy()
        copy = tmp_path / "copy"
        copy.mkdir()
        (copy / "outbox.db").write_bytes((tmp_path / "outbox.db").read_bytes())
        status = read_status(copy)
    assert (status.readings, status.sinks[0].waiting) == (3, 3)


async def test_every_commit_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 is FULL: with less, a power cut may lose acknowledged data."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def note(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        opened.append(connect(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", note)
    async with Outbox(tmp_path) as outbox:
        await outbox.append(Commit(readings(1)))
        _lock, _new, database, *_ = opened
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_full_outbox_drops_the_oldest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Outbox(tmp_path, limits=Limits(size=200_000)) as outbox:
        await outbox.register("away", READINGS)
        for first in range(0, 4_000, 500):
            await outbox.append(Commit(readings(500, first)))
            await outbox.tidy()
        batch = await outbox.batch("away", READINGS, 10_000)
        status = await outbox.status()
    values = [int(reading.value) for reading in batch.items]
    assert values == list(range(values[0], 4_000))
    assert status.sinks[0].dropped == values[0] > 0
    assert status.size <= 200_000
    assert "the outbox is full" in caplog.text


async def test_delivered_entries_are_kept_for_a_while(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Outbox(tmp_path, limits=Limits(keep=timedelta(days=7)), clock=clock) as outbox:
        await outbox.register("one", READINGS)
        await outbox.append(Commit(readings(4)))
        await outbox.mark_delivered("one", READINGS, 4, accepted=4)
        clock.advance(timedelta(days=6))
        await outbox.tidy()
        await outbox.register("two", READINGS, Start.BEGINNING)
        assert len((await outbox.batch("two", READINGS, 10)).items) == 4
        await outbox.mark_delivered("two", READINGS, 4, accepted=4)
        clock.advance(timedelta(days=2))
        await outbox.tidy()
        await outbox.register("three", READINGS, Start.BEGINNING)
        assert not (await outbox.batch("three", READINGS, 10)).items
        assert [sink.dropped for sink in (await outbox.status()).sinks] == [0, 0, 0]


async def test_entries_with_a_future_time_are_not_kept_too_long(tmp_path: Path) -> None:
    """Neither are the entries after them."""
    clock = ManualClock()
    async with Outbox(tmp_path, limits=Limits(keep=timedelta(days=7)), clock=clock) as outbox:
        for name in ("well", "away"):
            await outbox.register(name, READINGS)
        clock.advance(timedelta(days=3650))
        await outbox.append(Commit(readings(1)))
        clock.advance(timedelta(days=-3650))
        await outbox.append(Commit(readings(3, 1)))
        await outbox.mark_delivered("well", READINGS, 4, accepted=4)
        clock.advance(timedelta(days=8))
        await outbox.tidy()
        assert len((await outbox.batch("away", READINGS, 10)).items) == 4
        await outbox.mark_delivered("away", READINGS, 4, accepted=4)
        await outbox.tidy()
        await outbox.register("new", READINGS, Start.BEGINNING)
        assert not (await outbox.batch("new", READINGS, 10)).items


async def test_entries_dropped_while_a_sink_was_removed_are_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    async with Outbox(tmp_path, clock=clock) as outbox:
        await outbox.register("left out", READINGS)
    async with Outbox(tmp_path, clock=clock) as outbox:
        await outbox.append(Commit(readings(3)))
        clock.advance(timedelta(days=8))
        await outbox.append(Commit(readings(2, 3)))
        await outbox.tidy()
        await outbox.register("left out", READINGS)
        assert len((await outbox.batch("left out", READINGS, 10)).items) == 2
    assert read_status(tmp_path).sinks[0].dropped == 3
    assert "dropped 3 readings that left out had not received" in caplog.text


async def test_unreadable_entry_is_skipped_without_blocking(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Outbox(tmp_path) as outbox:
        await outbox.register("one", READINGS)
        await outbox.append(Commit(readings(3)))
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database, database:
        database.execute("UPDATE readings SET record = '[1, 2]' WHERE seq = 2")
    async with Outbox(tmp_path) as outbox:
        await outbox.register("one", READINGS)
        batch = await outbox.batch("one", READINGS, 10)
    assert ([reading.value for reading in batch.items], batch.upto) == ([0, 2], 3)
    assert batch.unreadable == 1
    assert "skipped entry 2 of the outbox" in caplog.text


async def test_outbox_of_another_version_is_refused(tmp_path: Path) -> None:
    async with Outbox(tmp_path) as outbox:
        await outbox.register("one", READINGS)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database, database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(OutboxError, match="made by another version of sst-cloud"):
        async with Outbox(tmp_path):
            pytest.fail("it was opened")


async def test_status_before_the_first_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutboxError, match="there is no outbox in "):
        read_status(tmp_path)
    (tmp_path / "outbox.db").write_bytes(b"something else, and long enough to be told apart" * 50)
    with pytest.raises(OutboxError, match="cannot be read"):
        read_status(tmp_path)


async def test_file_shrinks_after_a_long_queue_is_delivered(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Outbox(tmp_path, clock=clock) as outbox:
        await outbox.register("was away", READINGS)
        await outbox.append(Commit(readings(20_000)))
        full = (await outbox.status()).size
        await outbox.mark_delivered("was away", READINGS, 20_000, accepted=20_000)
        clock.advance(timedelta(days=8))
        await outbox.tidy()
    assert (tmp_path / "outbox.db").stat().st_size < full / 50


@pytest.fixture
def backup(tmp_path: Path) -> Iterator[Path]:
    """A folder with an outbox, where nothing may be written."""
    folder = tmp_path / "backup"

    async def make() -> None:
        async with Outbox(folder) as outbox:
            await outbox.append(Commit(readings(3)))

    asyncio.run(make())
    with mounted(folder, "--bind", "-o", "ro", str(folder)):
        yield folder


def test_unused_outbox_can_be_read_from_a_read_only_folder(
    backup: Path,
) -> None:
    assert read_status(backup).readings == 3


async def test_unopenable_outbox_error_names_the_right_user(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").mkdir()
    with pytest.raises(OutboxError, match="as the user that the collector runs as"):
        read_status(tmp_path)


@pytest.mark.parametrize("content", ["garbage", "not a database, and long enough to see it" * 50])
async def test_foreign_file_in_place_of_the_lock_is_reported(tmp_path: Path, content: str) -> None:
    (tmp_path / "collector.lock").write_text(content)
    with pytest.raises(
        OutboxError, match=r"collector.lock is not a lock file of sst-cloud; remove it"
    ):
        async with Outbox(tmp_path):
            pytest.fail("it was opened")

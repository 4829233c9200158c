"""The outbox's bounds, and files that are not what they should be."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from sst_cloud import ManualClock, Reading
from sst_cloud.collector import Limits, Start, read_status
from sst_cloud.collector.outbox import Entry, Outbox
from sst_cloud.collector.queries import Stream
from sst_cloud.errors import OutboxError
from sst_cloud.testing.sink_contract import sample_reading

READINGS = Stream.READINGS


def readings(count: int, first: int = 0) -> Sequence[Reading]:
    return [sample_reading(value=value) for value in range(first, first + count)]


async def test_what_is_too_old_is_dropped_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    limits = Limits(age=timedelta(days=30))
    async with Outbox(tmp_path, limits=limits, clock=clock) as outbox:
        await outbox.join("away", READINGS)
        await outbox.append(Entry(readings(3)))
        clock.advance(timedelta(days=31))
        await outbox.append(Entry(readings(2, 3)))
        await outbox.tidy()
        batch = await outbox.batch("away", READINGS, 10)
    assert [reading.value for reading in batch.items] == [3, 4]
    assert read_status(tmp_path).sinks[0].dropped == 3
    assert "3 readings that away had not received were dropped" in caplog.text


async def test_a_full_outbox_drops_the_oldest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Outbox(tmp_path, limits=Limits(size=200_000)) as outbox:
        await outbox.join("away", READINGS)
        for first in range(0, 4_000, 500):
            await outbox.append(Entry(readings(500, first)))
            await outbox.tidy()
        batch = await outbox.batch("away", READINGS, 10_000)
        status = await outbox.status()
    values = [int(reading.value) for reading in batch.items]
    assert values == list(range(values[0], 4_000))
    assert status.sinks[0].dropped == values[0] > 0
    assert status.size <= 200_000
    assert "the outbox is full" in caplog.text


async def test_what_everybody_has_had_is_kept_for_a_while(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Outbox(tmp_path, limits=Limits(keep=timedelta(days=7)), clock=clock) as outbox:
        await outbox.join("one", READINGS)
        await outbox.append(Entry(readings(4)))
        await outbox.deliver("one", READINGS, 4, accepted=4)
        clock.advance(timedelta(days=6))
        await outbox.tidy()
        await outbox.join("two", READINGS, Start.BEGINNING)
        assert len((await outbox.batch("two", READINGS, 10)).items) == 4
        await outbox.deliver("two", READINGS, 4, accepted=4)
        clock.advance(timedelta(days=2))
        await outbox.tidy()
        await outbox.join("three", READINGS, Start.BEGINNING)
        assert not (await outbox.batch("three", READINGS, 10)).items
        assert [sink.dropped for sink in (await outbox.status()).sinks] == [0, 0, 0]


async def test_entries_of_a_clock_that_was_ahead_are_not_kept_until_then(tmp_path: Path) -> None:
    """Nor is all that came after them."""
    clock = ManualClock()
    async with Outbox(tmp_path, limits=Limits(keep=timedelta(days=7)), clock=clock) as outbox:
        for name in ("well", "away"):
            await outbox.join(name, READINGS)
        clock.advance(timedelta(days=3650))
        await outbox.append(Entry(readings(1)))
        clock.advance(timedelta(days=-3650))
        await outbox.append(Entry(readings(3, 1)))
        await outbox.deliver("well", READINGS, 4, accepted=4)
        clock.advance(timedelta(days=8))
        await outbox.tidy()
        assert len((await outbox.batch("away", READINGS, 10)).items) == 4
        await outbox.deliver("away", READINGS, 4, accepted=4)
        await outbox.tidy()
        await outbox.join("new", READINGS, Start.BEGINNING)
        assert not (await outbox.batch("new", READINGS, 10)).items


async def test_what_a_sink_missed_while_it_was_left_out_is_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    async with Outbox(tmp_path, clock=clock) as outbox:
        await outbox.join("left out", READINGS)
    async with Outbox(tmp_path, clock=clock) as outbox:
        await outbox.append(Entry(readings(3)))
        clock.advance(timedelta(days=8))
        await outbox.append(Entry(readings(2, 3)))
        await outbox.tidy()
        await outbox.join("left out", READINGS)
        assert len((await outbox.batch("left out", READINGS, 10)).items) == 2
    assert read_status(tmp_path).sinks[0].dropped == 3
    assert "3 readings that left out had not received were dropped" in caplog.text


async def test_an_entry_that_cannot_be_read_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Outbox(tmp_path) as outbox:
        await outbox.join("one", READINGS)
        await outbox.append(Entry(readings(3)))
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database, database:
        database.execute("UPDATE readings SET record = '[1, 2]' WHERE seq = 2")
    async with Outbox(tmp_path) as outbox:
        await outbox.join("one", READINGS)
        batch = await outbox.batch("one", READINGS, 10)
    assert ([reading.value for reading in batch.items], batch.upto) == ([0, 2], 3)
    assert batch.unreadable == 1
    assert "entry 2 of the outbox cannot be read" in caplog.text


async def test_an_outbox_of_another_version_is_left_alone(tmp_path: Path) -> None:
    async with Outbox(tmp_path) as outbox:
        await outbox.join("one", READINGS)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database, database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(OutboxError, match="made by another version of sst-cloud"):
        async with Outbox(tmp_path):
            pytest.fail("it was opened")


async def test_there_is_nothing_to_look_at_before_the_first_run(tmp_path: Path) -> None:
    with pytest.raises(OutboxError, match="has `sst-cloud collect` run"):
        read_status(tmp_path)
    (tmp_path / "outbox.db").write_bytes(b"something else, and long enough to be told apart" * 50)
    with pytest.raises(OutboxError, match="cannot be read"):
        read_status(tmp_path)


async def test_the_file_shrinks_when_a_long_queue_has_been_delivered(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Outbox(tmp_path, clock=clock) as outbox:
        await outbox.join("was away", READINGS)
        await outbox.append(Entry(readings(20_000)))
        full = (await outbox.status()).size
        await outbox.deliver("was away", READINGS, 20_000, accepted=20_000)
        clock.advance(timedelta(days=8))
        await outbox.tidy()
    assert (tmp_path / "outbox.db").stat().st_size < full / 50

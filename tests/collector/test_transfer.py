"""From any store into any sink, as a program does it; the command is in `tests/cli`."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sst_cloud import ManualClock, Reading, Rejection, WriteReport
from sst_cloud.collector.transfer import TransferResult, transfer
from sst_cloud.errors import SinkRefusedError, SinkUnavailableError
from sst_cloud.testing.sink_contract import START, sample_reading, sample_readings
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink
from sst_cloud_sinks.stdout import StdoutSink


def minutes(count: int) -> list[Reading]:
    return [sample_reading(time=START + n * timedelta(minutes=1), value=n) for n in range(count)]


async def rows_of(path: Path) -> list[Reading]:
    return [reading async for reading in CsvSink(path).rows()]


async def each(readings: Sequence[Reading]) -> AsyncIterator[Reading]:
    for reading in readings:
        yield reading


class Failing(CsvSink):
    """Raises the errors it is given, one per write; None is a write that works."""

    def __init__(self, path: Path, *errors: Exception | None) -> None:
        super().__init__(path)
        self.errors = list(errors)

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        if self.errors and (error := self.errors.pop(0)):
            raise error
        return await super().write(readings)


AWAY = SinkUnavailableError("the store is away")


async def test_a_database_becomes_a_csv_file_and_a_database_again(tmp_path: Path) -> None:
    readings = [*sample_readings(), *minutes(4500)]
    async with (
        SqliteSink(tmp_path / "home.db") as database,
        CsvSink(tmp_path / "copy.csv") as file,
        SqliteSink(tmp_path / "copy.db") as copy,
    ):
        assert (await transfer(each(readings), database)).stored_count == len(readings)
        assert (await transfer(database, file)).stored_count == len(readings)
        assert (await transfer(file, copy)).stored_count == len(readings)
        assert set(await rows_of(tmp_path / "copy.csv")) == set(readings)
        again = await transfer(copy, file)
        assert (again.stored_count, again.already_stored_count) == (0, len(readings))


async def test_progress_is_reported_after_every_write(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def on_progress(result: TransferResult) -> None:
        seen.append((result.read_count, result.stored_count))

    async with CsvSink(tmp_path / "copy.csv") as sink:
        await transfer(each(minutes(4500)), sink, on_progress=on_progress)
    assert seen == [(2000, 2000), (4000, 4000), (4500, 4500)]


async def test_unavailable_sink_is_retried(tmp_path: Path) -> None:
    clock = ManualClock()
    sink = Failing(tmp_path / "copy.csv", None, *[AWAY] * 4)
    began = clock.now()
    result = await transfer(each(minutes(2500)), sink, clock=clock)
    assert result.stored_count == 2500
    assert clock.now() - began == timedelta(seconds=15)
    assert await rows_of(tmp_path / "copy.csv") == minutes(2500)


@pytest.mark.parametrize(
    "errors", [[AWAY] * 5, [SinkRefusedError("no more")], [RuntimeError("a bug")]], ids=repr
)
async def test_a_failed_transfer_goes_on_where_it_stopped(
    tmp_path: Path, errors: list[Exception]
) -> None:
    """What was stored is known, and is not stored again."""
    readings, result = minutes(4500), TransferResult()
    sink = Failing(tmp_path / "copy.csv", None, *errors)
    with pytest.raises(type(errors[0])):
        await transfer(each(readings), sink, result=result, clock=ManualClock())
    assert (result.read_count, result.stored_count) == (4000, 2000)
    rest = await transfer(each(readings), sink)
    assert (rest.already_stored_count, rest.stored_count) == (2000, 2500)
    assert await rows_of(tmp_path / "copy.csv") == readings


async def test_rows_that_are_not_readings_are_counted(tmp_path: Path) -> None:
    store = CsvSink(tmp_path / "store.csv")
    await store.write(minutes(3))
    with (tmp_path / "store.csv").open("a", encoding="utf-8") as file:
        file.write("nonsense\r\n" * 30)
    result = await transfer(store, CsvSink(tmp_path / "copy.csv"))
    assert (result.read_count, result.unreadable_count) == (3, 30)
    assert len(result.unreadable_rows) == 20
    assert result.unreadable_rows[0].startswith("line 5: ")


@pytest.mark.parametrize("kind", [CsvSink, SqliteSink])
async def test_missing_store_is_an_error(tmp_path: Path, kind: Any) -> None:
    async with kind(tmp_path / "nowhere") as store:
        with pytest.raises(SinkRefusedError, match="does not exist"):
            await transfer(store, CsvSink(tmp_path / "copy.csv"))
    assert list(tmp_path.iterdir()) == []


async def test_sink_that_keeps_nothing_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(SinkRefusedError, match="cannot be read back"):
        await transfer(StdoutSink(), CsvSink(tmp_path / "copy.csv"))


async def test_nothing_is_read_for_a_sink_that_cannot_be_written(tmp_path: Path) -> None:
    read = []

    async def store() -> AsyncIterator[Reading]:
        read.append("a reading")
        yield sample_reading()

    with pytest.raises(SinkRefusedError):
        await transfer(store(), CsvSink(tmp_path / "no" / "folder.csv"))
    assert read == []


class Picky(CsvSink):
    """Rejects everything, each reading for a reason of its own."""

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        reasons = (chr(ord("a") + int(reading.value) % 30) for reading in readings)
        return WriteReport(
            rejected=tuple(map(Rejection, readings, (f"{reason} 17" for reason in reasons)))
        )


async def test_reasons_of_rejections_are_counted(tmp_path: Path) -> None:
    """No more than can be read; the rest are other reasons."""
    result = await transfer(each(minutes(60)), Picky(tmp_path / "copy.csv"))
    assert (result.stored_count, result.rejected_count) == (0, 60)
    assert len(result.reasons) == 21
    assert result.reasons[0] == (20, "other reasons")
    assert {count for count, _ in result.reasons[1:]} == {2}
    assert (2, "a 17") in result.reasons

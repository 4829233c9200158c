"""Dead letters written to their sink again, as a program does it; the command is in `tests/cli`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from sst_cloud import Quality, Quantity, Reading, Rejection, WriteReport
from sst_cloud.errors import SinkUnavailableError
from sst_cloud.outbox import DeadLetters, ReplayResult, replay
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.sqlite import SqliteSink

NOW = datetime(2026, 3, 1, 12, 20, tzinfo=UTC)
COLD = sample_reading()
FLOOR = sample_reading(quantity=Quantity.FLOOR_TEMPERATURE, value=21.5, name="Floor", water=None)


@pytest.fixture
def letters(tmp_path: Path) -> DeadLetters:
    """Two for the sink `here`, and one for another."""
    letters = DeadLetters(tmp_path)
    letters.add("here", [Rejection(COLD, "too old")], NOW)
    letters.add("elsewhere", [Rejection(COLD, "too old")], NOW)
    letters.add("here", [Rejection(FLOOR, "too odd")], NOW)
    return letters


async def test_accepted_letters_are_removed(letters: DeadLetters, tmp_path: Path) -> None:
    async with SqliteSink(tmp_path / "home.db") as sink:
        assert await replay(letters, "here", sink) == ReplayResult(delivered=2)
        assert set(await sink.latest()) == {COLD, FLOOR}
        assert [letter.sink for letter in letters.read()] == ["elsewhere"]
        assert await replay(letters, "here", sink) == ReplayResult()


class Cold(SqliteSink):
    """Rejects temperatures."""

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        rejected = [reading for reading in readings if reading.quantity is not Quantity.VOLUME]
        report = await super().write([reading for reading in readings if reading not in rejected])
        return WriteReport(
            report.accepted, tuple(Rejection(reading, "too warm") for reading in rejected)
        )


async def test_letters_rejected_again_stay(letters: DeadLetters, tmp_path: Path) -> None:
    letters.add("here", [Rejection(attrs.evolve(FLOOR, point_id="other"), "too odd")], NOW)
    async with Cold(tmp_path / "home.db") as sink:
        result = await replay(letters, "here", sink)
    assert result == ReplayResult(delivered=1, rejected=2, reasons=["too warm"])
    assert [letter.reason for letter in letters.read()] == ["too old", "too odd", "too odd"]


class Dying(SqliteSink):
    """Takes one batch."""

    batches = 0

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        self.batches += 1
        if self.batches > 1:
            raise SinkUnavailableError("the store is away")
        return await super().write(readings)


async def test_deliveries_before_a_failure_are_counted(tmp_path: Path) -> None:
    letters, result = DeadLetters(tmp_path), ReplayResult()
    readings = [attrs.evolve(COLD, point_id=str(number)) for number in range(2500)]
    letters.add("here", [Rejection(reading, "too old") for reading in readings], NOW)
    async with Dying(tmp_path / "home.db") as sink:
        with pytest.raises(SinkUnavailableError):
            await replay(letters, "here", sink, result=result)
    assert result == ReplayResult(delivered=2000)
    assert [letter.reading for letter in letters.read()] == readings[2000:]


async def test_suspect_reading_does_not_replace_a_good_one(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    suspect = attrs.evolve(COLD, quality=Quality.SUSPECT)
    letters.add("here", [Rejection(suspect, "too old")], NOW)
    async with SqliteSink(tmp_path / "home.db") as sink:
        await sink.write([COLD])
        assert await replay(letters, "here", sink) == ReplayResult(delivered=1)
        assert list(await sink.latest()) == [COLD]
    assert letters.read() == []


def test_invalid_line_is_logged_once(
    letters: DeadLetters, caplog: pytest.LogCaptureFixture
) -> None:
    with letters.path.open("a") as file:
        file.write('{"torn": \n')
    for _ in range(2):
        assert len(letters.read()) == 3
    assert caplog.text.count("skipped a line that is not a dead letter") == 1

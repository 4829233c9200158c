"""A collector as a program, run in this process; what hangs is in `test_stop.py`."""

import asyncio
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from collector.parts import Meter
from sst_cloud import ManualClock, SSTCloudError
from sst_cloud.collector import Collector, Poll, Supervisor
from sst_cloud.collector.shutdown import ForcedExit, run_until_signal
from sst_cloud.outbox import read_status
from sst_cloud_sinks.csv import CsvSink


@pytest.fixture
def forced_exit() -> Iterator[ForcedExit]:
    with ForcedExit() as forced_exit:
        yield forced_exit


def rows(file: Path) -> int:
    return len(file.read_text().splitlines()) - 1


async def test_collector_ends_after_its_polls(tmp_path: Path, forced_exit: ForcedExit) -> None:
    file, clock = tmp_path / "home.csv", ManualClock()
    sinks = {"home": CsvSink(file)}
    collector = Collector(Meter(clock), sinks, tmp_path / "state", clock=clock)
    await run_until_signal(collector, Supervisor(clock=clock), forced_exit, polls=2)
    assert rows(file) == 2
    assert (forced_exit.status, forced_exit.message) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="signals")
async def test_signal_ends_a_collector(tmp_path: Path, forced_exit: ForcedExit) -> None:
    clock = ManualClock()

    def on_poll(_: Poll) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    collector = Collector(
        Meter(clock),
        {"home": CsvSink(tmp_path / "home.csv")},
        tmp_path / "state",
        every=timedelta(days=1),
        clock=clock,
        on_poll=on_poll,
    )
    async with asyncio.timeout(10):
        await run_until_signal(collector, Supervisor(clock=clock), forced_exit)
    (sink,) = read_status(tmp_path / "state").sinks  # it may not have been asked yet
    assert sink.delivered + sink.waiting == 1
    assert forced_exit.status == 0


async def test_error_is_the_one_that_a_forced_exit_reports(
    tmp_path: Path, forced_exit: ForcedExit
) -> None:
    clock = ManualClock()
    source = Meter(clock, SSTCloudError("the account is gone"))
    collector = Collector(source, {}, tmp_path / "state", clock=clock)
    with pytest.raises(SSTCloudError, match="the account is gone"):
        await run_until_signal(collector, Supervisor(clock=clock), forced_exit, polls=1)
    assert (forced_exit.status, forced_exit.message) == (1, "Error: the account is gone")


async def test_undelivered_readings_of_a_sink_are_reported(
    tmp_path: Path, forced_exit: ForcedExit, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    sinks = {"nowhere": CsvSink(tmp_path / "no" / "folder.csv")}
    collector = Collector(Meter(clock), sinks, tmp_path / "state", clock=clock)
    await run_until_signal(collector, Supervisor(clock=clock), forced_exit, polls=1)
    assert "nowhere: undelivered readings are kept for the next run." in caplog.text
    assert forced_exit.status == 1
    assert "does not exist" in forced_exit.message

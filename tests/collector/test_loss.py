"""Shutdown with uncommitted readings: they are kept if possible, else it is a failure."""

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from aiohttp import web

from collector.parts import MemorySink, Meter, SettableClock, Threads, fill, mounted
from collector.running import PATIENCE, collector
from sst_cloud import ManualClock, NotFoundError
from sst_cloud.collector import Collector
from sst_cloud.errors import OutboxError
from sst_cloud.outbox import read_status
from sst_cloud.testing import FakeCloud, Hang
from sst_cloud.testing.fake.faults import Handler

pytestmark = pytest.mark.not_quick

SIGNALS = pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
IN_MEMORY = "readings are held in memory"
LOCKED = """
import asyncio
from sst_cloud.cli import main
from sst_cloud.collector import shutdown
from sst_cloud.collector.commit_buffer import CommitBuffer
from sst_cloud.outbox import database

save = CommitBuffer.save

async def patiently(self, notes):
    set_wait = "PRAGMA busy_timeout = 10000"
    await self._outbox._in_thread(lambda: self._outbox._file._database.execute(set_wait))
    print("ending", file=sys.stderr, flush=True)
    await save(self, notes)

import sys
CommitBuffer.save = patiently
database._BUSY_TIMEOUT = 0.1
shutdown._EXIT_TIMEOUT = {leave_after}
main()
"""
"""A program that waits briefly for a lock before shutdown, and the usual time during it."""
SHORT, LONG = LOCKED.format(leave_after=0.5), LOCKED.format(leave_after=4.5)


@attrs.define
class Locked:
    """A fault of the cloud: at its first request, the outbox is locked."""

    state: Path
    database: sqlite3.Connection | None = None

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.database is None:
            self.database = sqlite3.connect(self.state / "outbox.db", isolation_level=None)
            self.database.execute("BEGIN IMMEDIATE")
        return await handler(request)

    def release(self) -> None:
        assert self.database is not None
        self.database.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def lock(fake: FakeCloud, state: Path) -> Iterator[Locked]:
    lock = Locked(state)
    fake.inject(lock)
    yield lock
    lock.release()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", "size=1m", "none"):
        yield folder


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    with Threads.counted():
        yield SettableClock(datetime(2026, 3, 1, 12, 7, 11, tzinfo=UTC))


def last_line(log: str) -> str:
    return log.splitlines()[-1]


@SIGNALS
async def test_outbox_locked_beyond_shutdown_is_reported_as_loss(
    fake: FakeCloud, state: Path, tmp_path: Path, lock: Locked, sign: signal.Signals
) -> None:
    sinks = [f"sqlite:{tmp_path / 'home.db'}"]
    async with collector(fake, state, sinks, how=("-c", SHORT)) as running:
        await running.logs(IN_MEMORY)
        log = await running.end(sign, 1)
    assert last_line(log).startswith("Error: 52 readings and 4 events are lost: ")
    assert last_line(log).endswith("database is locked")
    assert log.count("lost") == 1


@SIGNALS
async def test_outbox_unlocked_during_shutdown_loses_nothing(
    fake: FakeCloud, state: Path, tmp_path: Path, lock: Locked, sign: signal.Signals
) -> None:
    sinks = [f"sqlite:{tmp_path / 'home.db'}"]
    async with collector(fake, state, sinks, how=("-c", LONG)) as running:
        await running.logs(IN_MEMORY)
        running.process.send_signal(sign)
        await running.logs("ending")
        lock.release()
        async with asyncio.timeout(PATIENCE):
            log = await running.log()
            assert await running.process.wait() == 0
    assert "no readings were lost in the meantime" in log
    assert read_status(state).readings == 52


async def test_second_stop_signal_with_a_locked_outbox_reports_loss(
    fake: FakeCloud, state: Path, tmp_path: Path, lock: Locked
) -> None:
    sinks = [f"sqlite:{tmp_path / 'home.db'}"]
    async with collector(fake, state, sinks, how=("-c", SHORT)) as running:
        await running.logs(IN_MEMORY)
        running.process.terminate()
        await running.logs("ending")
        log = await running.end(signal.SIGTERM, 1)
    assert last_line(log).startswith("Error: 52 readings and 4 events are lost: ")


@pytest.mark.parametrize("options", [("--once",), ("--polls", "2", "--every", "1s")])
async def test_outbox_locked_until_the_last_poll_reports_loss(
    fake: FakeCloud, state: Path, tmp_path: Path, lock: Locked, options: tuple[str, ...]
) -> None:
    sinks = [f"sqlite:{tmp_path / 'home.db'}"]
    async with collector(fake, state, sinks, *options, how=("-c", SHORT)) as running:
        async with asyncio.timeout(PATIENCE):
            log = await running.log()
            assert await running.process.wait() == 1
    number = 52 if options == ("--once",) else 104
    assert f"Error: {number} readings and 4 events are lost: " in log


async def test_stop_during_a_poll_reports_loss_of_an_earlier_poll(
    fake: FakeCloud, state: Path, tmp_path: Path, lock: Locked
) -> None:
    sinks = [f"sqlite:{tmp_path / 'home.db'}"]
    async with collector(fake, state, sinks, "--every", "1s", how=("-c", SHORT)) as running:
        await running.logs(IN_MEMORY)
        fake.clear_faults()
        fake.inject(Hang())
        request_count = len(fake.requests)
        async with asyncio.timeout(PATIENCE):
            while len(fake.requests) == request_count:  # noqa: ASYNC110  it comes from another process
                await asyncio.sleep(0.01)
        log = await running.end(signal.SIGTERM, 1)
    assert " are lost: " in last_line(log)


async def test_full_disk_at_shutdown_is_reported_as_loss(
    fake: FakeCloud, small_disk: Path, tmp_path: Path
) -> None:
    sinks, state = [f"sqlite:{tmp_path / 'home.db'}"], small_disk / "state"
    async with collector(fake, state, sinks, "--every", "1s") as running:
        await running.until(lambda status: status.polls > 0)
        fill(small_disk)
        await running.logs(IN_MEMORY)
        log = await running.end(signal.SIGTERM, 1)
    assert " are lost: " in last_line(log)
    assert last_line(log).endswith("database or disk is full")


async def test_disk_space_freed_before_shutdown_prevents_loss(
    fake: FakeCloud, small_disk: Path, tmp_path: Path
) -> None:
    sinks, state = [f"sqlite:{tmp_path / 'home.db'}"], small_disk / "state"
    async with collector(fake, state, sinks, "--every", "1s") as running:
        await running.until(lambda status: status.polls > 0)
        ballast = fill(small_disk)
        await running.logs(IN_MEMORY)
        ballast.unlink()
        await running.end(signal.SIGTERM)


@pytest.mark.parametrize("error", [NotFoundError(404, "gone", "/houses"), RuntimeError("a bug")])
async def test_loss_is_raised_and_another_error_is_logged(
    clock: ManualClock, small_disk: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    source = Meter(clock, *[None] * 19, error)
    state = small_disk / "state"

    def before_answer() -> None:
        if len(source.poll_times) == 5:
            fill(small_disk)

    source.before_answer = before_answer
    collecting = Collector(source, {"m": MemorySink()}, state, clock=clock)
    with pytest.raises(OutboxError, match=r"^1\d readings are lost: .* full$") as caught:
        await _run_polls(collecting, 20)
    cause = caught.value.__cause__
    assert error in (cause, cause and cause.__cause__)  # a bug of the source is its error
    assert f"ended by an error: {cause}" in caplog.text
    assert str(collecting.loss) == str(caught.value)


async def test_no_loss_if_everything_is_committed(clock: ManualClock, tmp_path: Path) -> None:
    collecting = Collector(Meter(clock), {}, tmp_path, clock=clock)
    await _run_polls(collecting, 3)
    assert collecting.loss is None


async def test_events_lost_to_full_disk_and_memory_are_logged(
    clock: ManualClock,
    small_disk: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sst_cloud.collector.commit_buffer._MAX_HELD", 1)
    source = Meter(clock, litres=9_000)

    def before_answer() -> None:
        if len(source.poll_times) == 5:
            fill(small_disk)
        source.litres = {16: 0, 19: 900_000}.get(len(source.poll_times), source.litres)

    source.before_answer = before_answer
    collecting = Collector(source, {}, small_disk / "state", clock=clock)
    with pytest.raises(OutboxError, match=r"^\d+ readings and 3 events are lost: .* full$"):
        await _run_polls(collecting, 20)
    assert "1 events are lost: the disk is full, and so is the memory" in caplog.text


async def _run_polls(collecting: Collector, polls: int) -> None:
    async with collecting:
        await collecting.run(polls)

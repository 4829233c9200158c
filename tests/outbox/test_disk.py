"""Full disks, damaged, foreign and removed files: nothing acknowledged is lost."""

import asyncio
import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.parts import (
    Listener,
    MemorySink,
    Meter,
    SettableClock,
    Threads,
    collected,
    fill,
    mounted,
)
from sst_cloud import ManualClock, Reading, SinkUnavailableError, WriteReport
from sst_cloud.collector import Collector, Poll
from sst_cloud.errors import OutboxError
from sst_cloud.outbox import Start, read_status
from sst_cloud.outbox.entries import Commit
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.outbox.status import Stream
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.sqlite import SqliteSink

pytestmark = pytest.mark.not_quick

POLLS = 30
FULL = "cannot be used"
BUSY = SinkUnavailableError("busy")
ROOM_AGAIN = "can be written again"


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    with Threads.counted():
        yield


@pytest.fixture
def clock() -> ManualClock:
    return SettableClock(datetime(2026, 3, 1, 12, 7, 11, tzinfo=UTC))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", "size=1m", "none"):
        yield folder


class Polls:
    """Runs an action at the end of a given poll, and records all polls."""

    def __init__(self, **actions: Callable[[], object]) -> None:
        self.actions = {int(name.removeprefix("after_")): act for name, act in actions.items()}
        self.polls: list[Poll] = []

    def __call__(self, poll: Poll) -> None:
        self.polls.append(poll)
        self.actions.get(len(self.polls), lambda: None)()

    @property
    def committed(self) -> list[bool]:
        return [poll.committed for poll in self.polls]


async def run_polls(collector: Collector, polls: int) -> None:
    async with collector:
        await collector.run(polls)


async def test_full_disk_loses_nothing_and_is_logged_once(
    clock: ManualClock, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, sink = Meter(clock), MemorySink()
    polls = Polls(after_5=lambda: fill(small_disk), after_20=(small_disk / "ballast").unlink)
    await collected(source, {"m": sink}, small_disk / "state", POLLS, on_poll=polls)
    assert len(source.poll_times) == POLLS
    assert set(polls.committed[:5]) == {True}
    assert False in polls.committed[5:20]
    assert set(polls.committed[20:]) == {True}
    assert sorted(set(sink.values)) == list(range(1, POLLS + 1))
    assert caplog.text.count("are held in memory") == 1
    assert caplog.text.count(ROOM_AGAIN) == 1
    assert "no readings were lost in the meantime" in caplog.text


async def test_full_disk_at_startup_is_a_clear_error(clock: ManualClock, small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(OutboxError, match=r"the disk with .* is full: free some space"):
        await collected(Meter(clock), {}, small_disk, 1)


async def test_readings_in_memory_are_committed_at_exit_if_space_was_freed(
    clock: ManualClock, small_disk: Path
) -> None:
    """Like a user who sees the error: free some space, and restart the service."""
    source, polls = Meter(clock), Polls(after_5=lambda: fill(small_disk))
    async with Collector(source, {}, small_disk / "state", clock=clock, on_poll=polls) as collector:
        with pytest.raises(OutboxError, match="full"):
            await collector.run(POLLS)
        (small_disk / "ballast").unlink()
    assert False in polls.committed
    sink = MemorySink()
    await collected(source, {"m": sink}, small_disk / "state", 1, start=Start.BEGINNING)
    assert sink.values == list(range(1, POLLS + 2))


async def test_stop_with_a_full_disk_keeps_committed_readings(
    clock: ManualClock, small_disk: Path
) -> None:
    source, dead, polls = Meter(clock), MemorySink(), Polls(after_5=lambda: fill(small_disk))
    with pytest.raises(OutboxError, match="full"):
        await collected(source, {}, small_disk / "state", POLLS, on_poll=polls)
    (small_disk / "ballast").unlink()
    await collected(source, {"m": dead}, small_disk / "state", 1, start=Start.BEGINNING)
    assert set(range(1, 1 + sum(polls.committed))) <= set(dead.values)


async def test_stop_during_a_commit_loses_no_readings_in_memory(
    clock: ManualClock, small_disk: Path
) -> None:
    """The commit waits behind a reader of the status."""
    state = small_disk / "state"

    async def stop() -> None:
        with closing(sqlite3.connect(state / "outbox.db", isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            asking = asyncio.create_task(collector.status())
            while Threads.at_work < 2:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0)
            collector.stop()
            for _ in range(20):
                await asyncio.sleep(0)
            database.execute("COMMIT")
        await asking

    def before_answer() -> None:
        if len(source.poll_times) == 8:
            stopping.append(asyncio.create_task(stop()))

    stopping: list[asyncio.Task[None]] = []
    source = Meter(clock)
    source.before_answer = before_answer
    polls = Polls(after_3=lambda: fill(small_disk), after_7=(small_disk / "ballast").unlink)
    async with Collector(source, {}, state, clock=clock, on_poll=polls) as collector:
        await collector.run()
    await asyncio.gather(*stopping)
    assert False in polls.committed
    assert len(polls.polls) == 7
    assert read_status(state).readings == 8


async def test_alarms_are_sent_once_while_the_disk_is_full(
    clock: ManualClock, small_disk: Path
) -> None:
    source, handler, event_counts = Meter(clock, litres=9_000), Listener(), list[int]()

    def note(poll: Poll) -> None:
        polls(poll)
        event_counts.append(len(handler.received))

    def before_answer() -> None:
        if len(source.poll_times) == 16:
            source.litres = 0

    source.before_answer = before_answer
    polls = Polls(after_5=lambda: fill(small_disk), after_20=(small_disk / "ballast").unlink)
    state = small_disk / "state"
    await collected(source, {}, state, POLLS, handlers={"h": handler}, on_poll=note)
    assert polls.committed[14:20] == [False] * 6
    assert [event.kind for event in handler.received] == ["counter_suspect", "counter_replaced"]
    assert event_counts[19] == 2
    assert read_status(state).sinks[0].waiting == 0


async def test_alarms_already_sent_are_not_repeated_with_a_failed_one(
    clock: ManualClock, small_disk: Path
) -> None:
    """The disk has room again; the next alarm is written with those, and its first try fails."""
    source, handler = Meter(clock, litres=9_000), Listener(None, None, BUSY)

    def before_answer() -> None:
        source.litres = {16: 0, 21: 900_000}.get(len(source.poll_times), source.litres)

    source.before_answer = before_answer
    polls = Polls(after_5=lambda: fill(small_disk), after_20=(small_disk / "ballast").unlink)
    state = small_disk / "state"
    await collected(source, {}, state, POLLS, handlers={"h": handler}, on_poll=polls)
    assert handler.writes > 3
    assert [(event.kind, event.over) for event in handler.received] == [
        ("counter_suspect", False),
        ("counter_replaced", False),
        ("counter_suspect", False),
        ("counter_replaced", False),
    ]


async def test_handler_recovers_at_the_second_try_despite_a_full_disk(
    clock: ManualClock, small_disk: Path
) -> None:
    source, handler = Meter(clock, litres=9_000), Listener(BUSY)
    errors: list[int] = []

    def before_answer() -> None:
        if len(source.poll_times) == 16:
            source.litres = 0

    def note(poll: Poll) -> None:
        polls(poll)
        errors.append(len(collector.errors))

    source.before_answer = before_answer
    polls = Polls(after_5=lambda: fill(small_disk))
    collector = Collector(
        source, {}, small_disk / "state", handlers={"h": handler}, clock=clock, on_poll=note
    )
    with pytest.raises(OutboxError, match=r"[0-9]+ readings and 2 events are lost: .*full"):
        await run_polls(collector, 18)
    assert not polls.committed[16]
    assert handler.received[0].kind == "counter_suspect"
    assert errors[16] == 0


async def test_readings_lost_to_full_disk_and_memory_are_counted(
    clock: ManualClock,
    small_disk: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sst_cloud.collector.commit_buffer._MAX_HELD", 5)
    polls = Polls(after_2=lambda: fill(small_disk), after_28=(small_disk / "ballast").unlink)
    state = small_disk / "state"
    await collected(Meter(clock), {}, state, POLLS, on_poll=polls)
    status = read_status(state)
    assert status.lost > 5
    assert status.readings + status.lost == POLLS
    assert f"written again; {status.lost} readings were lost in the meantime" in caplog.text
    assert (
        "1 readings are lost: the disk is full, and so is the memory reserved for them"
        in caplog.text
    )


def test_file_size_limit_loses_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path / "state")],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    results = json.loads(done.stdout)
    assert results["committed"][0]
    assert results["committed"][-1]
    assert False in results["committed"]
    assert results["stored"] == list(range(1, len(results["committed"]) + 1))


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(50_000))


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def middle(path: Path) -> None:
    """Change bytes in every page but the first."""
    with path.open("r+b") as file:
        for start in range(4096, path.stat().st_size, 4096):
            file.seek(start)
            file.write(os.urandom(200))


def nothing_but_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize(
    ("damage", "salvaged"), [(garbage, 0), (half, 30), (middle, 30), (nothing_but_zeros, 0)]
)
async def test_damaged_outbox_is_set_aside_and_collection_continues(
    clock: ManualClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
    salvaged: int,
) -> None:
    source, sink = Meter(clock), MemorySink()
    await collected(source, {"m": sink}, tmp_path, POLLS)
    damage(tmp_path / "outbox.db")
    before = (tmp_path / "outbox.db").read_bytes()
    await collected(source, {"m": sink}, tmp_path, 3)
    assert sorted(set(sink.values)) == list(range(1, POLLS + 4))
    (aside,) = tmp_path.glob("outbox.db.damaged-*")
    assert aside.read_bytes() == before
    assert "is damaged" in caplog.text
    assert aside.name in caplog.text
    assert f"could be read of it: {salvaged} readings" in caplog.text
    assert read_status(tmp_path).readings == salvaged + 3


@pytest.mark.parametrize("damage", [garbage, half, middle, nothing_but_zeros])
async def test_outbox_damaged_while_in_use_is_set_aside(
    clock: ManualClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    """The log is written back first, so that the damage is in the file that is read."""
    path = tmp_path / "outbox.db"

    def strike() -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(path)

    source, sink, polls = Meter(clock), MemorySink(), Polls(after_10=strike)
    await collected(source, {"m": sink}, tmp_path, POLLS, on_poll=polls)
    assert set(polls.committed) == {True}
    assert sink.values == list(range(1, POLLS + 1))
    assert "is damaged" in caplog.text
    assert len(list(tmp_path.glob("outbox.db.damaged-*Z"))) == 1
    (status,) = read_status(tmp_path).sinks
    assert (status.waiting, status.rejected, status.dropped) == (0, 0, 0)


async def test_damaged_outbox_is_replaced_when_disk_space_allows(
    clock: ManualClock, small_disk: Path
) -> None:
    """Until then, readings are kept in memory, and the damaged outbox is unchanged."""
    state = small_disk / "state"
    entry = Commit([sample_reading(value=value) for value in range(1, 1_001)])
    async with Outbox(state, clock=clock) as outbox:
        await outbox.register("m", Stream.READINGS)
        await outbox.append(entry)
        await outbox.tidy()
        ballast = fill(small_disk)
        middle(state / "outbox.db")
        for _ in range(2):
            with pytest.raises(OutboxError, match="full"):
                await outbox.append(entry)
            assert {file.name for file in state.glob("outbox.db*")} <= {
                *("outbox.db", "outbox.db-wal", "outbox.db-shm")
            }
        ballast.unlink()
        await outbox.append(entry)
        batch = await outbox.batch("m", Stream.READINGS, 3_000)
    assert len(batch.items) + batch.unreadable == 2_000
    assert [reading.value for reading in batch.items[-1_000:]] == list(range(1, 1_001))


async def test_outbox_removed_while_in_use_is_created_again(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def remove() -> None:
        for file in tmp_path.glob("outbox.db*"):
            file.unlink()

    source, sink, polls = Meter(clock), MemorySink(), Polls(after_10=remove)
    await collected(source, {"m": sink}, tmp_path, POLLS, on_poll=polls)
    assert set(polls.committed) == {True}
    assert set(sink.values) >= {*range(1, 10), *range(11, POLLS + 1)}
    assert "was removed or replaced, with " in caplog.text
    assert " in it; starting a new one" in caplog.text


async def test_delivery_running_when_the_outbox_was_removed_moves_no_new_position(
    clock: ManualClock, tmp_path: Path
) -> None:
    """Its position refers to a file that is gone."""

    class Removing(MemorySink):
        async def write(self, readings: Sequence[Reading]) -> WriteReport:
            if self.writes == 10:
                for file in tmp_path.glob("outbox.db*"):
                    file.unlink()
            return await super().write(readings)

    sink = Removing()
    await collected(Meter(clock), {"m": sink}, tmp_path, POLLS)
    assert sink.values == list(range(1, POLLS + 1))
    assert read_status(tmp_path).sinks[0].waiting == 0


async def test_outbox_created_again_after_a_delay_keeps_its_sinks(
    clock: ManualClock, tmp_path: Path
) -> None:
    path = tmp_path / "outbox.db"

    def obstruct() -> None:
        for file in tmp_path.glob("outbox.db*"):
            file.unlink()
        path.mkdir()

    source, sink = Meter(clock), MemorySink()
    polls = Polls(after_10=obstruct, after_15=path.rmdir)
    await collected(source, {"m": sink}, tmp_path, POLLS, on_poll=polls)
    assert polls.committed == [True] * 10 + [False] * 5 + [True] * 15
    assert set(sink.values) >= {*range(1, 10), *range(11, POLLS + 1)}


async def test_outbox_replaced_while_in_use_is_used_from_then_on(
    clock: ManualClock, tmp_path: Path
) -> None:
    """Anything written to a deleted file would be lost."""
    state, other = tmp_path / "state", tmp_path / "other"
    await collected(Meter(clock), {}, other, 2)

    def replace() -> None:
        for file in state.glob("outbox.db*"):
            file.unlink()
        shutil.copy(other / "outbox.db", state)

    source, sink, polls = Meter(clock), MemorySink(), Polls(after_10=replace)
    await collected(source, {"m": sink}, state, POLLS, on_poll=polls)
    assert set(polls.committed) == {True}
    assert set(sink.values) >= {*range(1, 10), *range(11, POLLS + 1)}
    assert read_status(state).readings == 2 + POLLS - 10


async def test_folder_removed_while_in_use_is_created_again(
    clock: ManualClock, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    source, sink, polls = Meter(clock), MemorySink(), Polls(after_10=lambda: shutil.rmtree(state))
    await collected(source, {"m": sink}, state, POLLS, on_poll=polls)
    assert set(polls.committed) == {True}
    assert set(sink.values) >= {*range(1, 10), *range(11, POLLS + 1)}


@pytest.mark.parametrize("name", ["outbox.db", "collector.lock"])
async def test_file_of_another_program_is_refused_and_unchanged(
    clock: ManualClock, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE photos (name)")
        database.commit()
    before = path.read_bytes()
    if name == "outbox.db":
        with pytest.raises(OutboxError, match="not an outbox of sst-cloud; choose another folder"):
            await collected(Meter(clock), {"m": MemorySink()}, tmp_path, 1)
    else:
        await collected(Meter(clock), {"m": MemorySink()}, tmp_path, 1)
    assert path.read_bytes() == before


async def test_outbox_of_another_version_is_refused_and_unchanged(
    clock: ManualClock, tmp_path: Path
) -> None:
    await collected(Meter(clock), {}, tmp_path, 1)
    path = tmp_path / "outbox.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(OutboxError, match="another version of sst-cloud"):
        await collected(Meter(clock), {}, tmp_path, 1)
    assert path.read_bytes() == before


async def test_second_collector_on_a_folder_is_refused_until_the_first_is_killed(
    tmp_path: Path,
) -> None:
    first = subprocess.Popen(  # noqa: ASYNC220  it is only ever waited for at its end
        [sys.executable, __file__, "--hold", str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert first.stdout is not None
    with first:
        assert first.stdout.readline() == b"open\n"
        for _ in range(2):
            with pytest.raises(OutboxError, match=r"another collector is using "):
                await Outbox(tmp_path).__aenter__()
        first.send_signal(signal.SIGKILL)
    async with Outbox(tmp_path) as third:
        assert (await third.status()).readings == 1


# What the processes do.


async def _hold(folder: Path) -> None:
    async with Outbox(folder) as outbox:
        await outbox.append(Commit([sample_reading()]))
        sys.stdout.write("open\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


async def _may_not_grow(folder: Path) -> None:
    """Poll while a limit on the file size is set and removed."""
    import resource  # noqa: PLC0415  not on all systems

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit() -> None:
        # Not what the log has taken: it may begin again at its beginning, and do with that.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, no_limit[1]))

    clock = SettableClock(datetime(2026, 3, 1, tzinfo=UTC))
    polls = Polls(
        after_5=limit, after_15=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)
    )
    path = folder.parent / "home.db"
    with Threads.counted():
        async with Collector(
            Meter(clock),
            {"s": SqliteSink(path)},
            folder,
            clock=clock,
            every=timedelta(minutes=20),
            on_poll=polls,
        ) as collector:
            await collector.run(POLLS)
    with closing(sqlite3.connect(path)) as database:
        stored = [v for (v,) in database.execute("SELECT value FROM readings ORDER BY time")]
    json.dump({"committed": polls.committed, "stored": stored}, sys.stdout)


if __name__ == "__main__":
    logging.disable()
    *how, where = sys.argv[1:]
    asyncio.run((_hold if how else _may_not_grow)(Path(where)))

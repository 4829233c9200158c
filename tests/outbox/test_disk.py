"""The disk: full, damaged, somebody else's, taken away. Nothing acknowledged is lost."""

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

from collector.parts import Listener, Memory, Meter, Settable, Threads, collected, fill, mounted
from sst_cloud import ManualClock, Reading, SinkUnavailableError, WriteReport
from sst_cloud.collector import Collector, Poll
from sst_cloud.errors import OutboxError
from sst_cloud.outbox import Start, read_status
from sst_cloud.outbox.entries import Entry
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.outbox.status import Stream
from sst_cloud.testing.sink_contract import sample_reading
from sst_cloud_sinks.sqlite import SqliteSink

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
    return Settable(datetime(2026, 3, 1, 12, 7, 11, tzinfo=UTC))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", "size=1m", "none"):
        yield folder


class Polls:
    """What is done at the end of which poll, and what came of all of them."""

    def __init__(self, **actions: Callable[[], object]) -> None:
        self.actions = {int(name.removeprefix("after_")): act for name, act in actions.items()}
        self.seen: list[Poll] = []

    def __call__(self, poll: Poll) -> None:
        self.seen.append(poll)
        self.actions.get(len(self.seen), lambda: None)()

    @property
    def committed(self) -> list[bool]:
        return [poll.committed for poll in self.seen]


async def ended(collector: Collector, polls: int) -> None:
    async with collector:
        await collector.run(polls)


async def test_full_disk_loses_nothing_and_is_told_once(
    clock: ManualClock, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, sink = Meter(clock), Memory()
    polls = Polls(after_5=lambda: fill(small_disk), after_20=(small_disk / "ballast").unlink)
    await collected(source, {"m": sink}, small_disk / "state", POLLS, on_poll=polls)
    assert len(source.asked) == POLLS
    assert set(polls.committed[:5]) == {True}
    assert False in polls.committed[5:20]
    assert set(polls.committed[20:]) == {True}
    assert sorted(set(sink.values)) == list(range(1, POLLS + 1))
    assert caplog.text.count("are held in memory") == 1
    assert caplog.text.count(ROOM_AGAIN) == 1
    assert "no readings were lost in the meantime" in caplog.text


async def test_full_disk_is_named_where_the_collector_cannot_even_begin(
    clock: ManualClock, small_disk: Path
) -> None:
    fill(small_disk)
    with pytest.raises(OutboxError, match=r"the disk with .* is full: free some space"):
        await collected(Meter(clock), {}, small_disk, 1)


async def test_what_is_held_in_memory_is_committed_at_the_end_if_there_is_room_by_then(
    clock: ManualClock, small_disk: Path
) -> None:
    """As somebody does who is told of the full disk: make room, and start the service anew."""
    source, polls = Meter(clock), Polls(after_5=lambda: fill(small_disk))
    async with Collector(source, {}, small_disk / "state", clock=clock, on_poll=polls) as collector:
        with pytest.raises(OutboxError, match="full"):
            await collector.run(POLLS)
        (small_disk / "ballast").unlink()
    assert False in polls.committed
    sink = Memory()
    await collected(source, {"m": sink}, small_disk / "state", 1, start=Start.BEGINNING)
    assert sink.values == list(range(1, POLLS + 2))


async def test_collector_that_is_stopped_while_the_disk_is_full_keeps_what_was_committed(
    clock: ManualClock, small_disk: Path
) -> None:
    source, dead, polls = Meter(clock), Memory(), Polls(after_5=lambda: fill(small_disk))
    with pytest.raises(OutboxError, match="full"):
        await collected(source, {}, small_disk / "state", POLLS, on_poll=polls)
    (small_disk / "ballast").unlink()
    await collected(source, {"m": dead}, small_disk / "state", 1, start=Start.BEGINNING)
    assert set(range(1, 1 + sum(polls.committed))) <= set(dead.values)


async def test_stop_amid_a_commit_loses_nothing_that_was_held(
    clock: ManualClock, small_disk: Path
) -> None:
    """The commit waits for its turn, behind somebody who asks for the status."""
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

    def asked() -> None:
        if len(source.asked) == 8:
            stopping.append(asyncio.create_task(stop()))

    stopping: list[asyncio.Task[None]] = []
    source = Meter(clock)
    source.on_asked = asked
    polls = Polls(after_3=lambda: fill(small_disk), after_7=(small_disk / "ballast").unlink)
    async with Collector(source, {}, state, clock=clock, on_poll=polls) as collector:
        await collector.run()
    await asyncio.gather(*stopping)
    assert False in polls.committed
    assert len(polls.seen) == 7
    assert read_status(state).readings == 8


async def test_alarms_do_not_wait_for_room_on_the_disk_and_ring_once(
    clock: ManualClock, small_disk: Path
) -> None:
    source, handler, heard = Meter(clock, litres=9_000), Listener(), list[int]()

    def note(poll: Poll) -> None:
        polls(poll)
        heard.append(len(handler.heard))

    def asked() -> None:
        if len(source.asked) == 16:
            source.litres = 0

    source.on_asked = asked
    polls = Polls(after_5=lambda: fill(small_disk), after_20=(small_disk / "ballast").unlink)
    state = small_disk / "state"
    await collected(source, {}, state, POLLS, handlers={"h": handler}, on_poll=note)
    assert polls.committed[14:20] == [False] * 6
    assert [event.kind for event in handler.heard] == ["counter_suspect", "counter_replaced"]
    assert heard[19] == 2
    assert read_status(state).sinks[0].waiting == 0


async def test_alarms_that_rang_already_do_not_ring_again_with_one_that_fails(
    clock: ManualClock, small_disk: Path
) -> None:
    """The disk has room again; the next alarm is written with those, and its first try fails."""
    source, handler = Meter(clock, litres=9_000), Listener(None, None, BUSY)

    def asked() -> None:
        source.litres = {16: 0, 21: 900_000}.get(len(source.asked), source.litres)

    source.on_asked = asked
    polls = Polls(after_5=lambda: fill(small_disk), after_20=(small_disk / "ballast").unlink)
    state = small_disk / "state"
    await collected(source, {}, state, POLLS, handlers={"h": handler}, on_poll=polls)
    assert handler.writes > 3
    assert [(event.kind, event.over) for event in handler.heard] == [
        ("counter_suspect", False),
        ("counter_replaced", False),
        ("counter_suspect", False),
        ("counter_replaced", False),
    ]


async def test_handler_that_takes_an_alarm_at_the_second_try_is_well_though_the_disk_is_full(
    clock: ManualClock, small_disk: Path
) -> None:
    source, handler = Meter(clock, litres=9_000), Listener(BUSY)
    errors: list[int] = []

    def asked() -> None:
        if len(source.asked) == 16:
            source.litres = 0

    def note(poll: Poll) -> None:
        polls(poll)
        errors.append(len(collector.errors))

    source.on_asked = asked
    polls = Polls(after_5=lambda: fill(small_disk))
    collector = Collector(
        source, {}, small_disk / "state", handlers={"h": handler}, clock=clock, on_poll=note
    )
    with pytest.raises(OutboxError, match=r"[0-9]+ readings and 2 events are lost: .*full"):
        await ended(collector, 18)
    assert not polls.committed[16]
    assert handler.heard[0].kind == "counter_suspect"
    assert errors[16] == 0


async def test_what_neither_disk_nor_memory_can_hold_is_counted(
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


def test_file_that_may_not_grow_loses_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path / "state")],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found = json.loads(done.stdout)
    assert found["committed"][0]
    assert found["committed"][-1]
    assert False in found["committed"]
    assert found["stored"] == list(range(1, len(found["committed"]) + 1))


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(50_000))


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def middle(path: Path) -> None:
    """Other bytes in every page but the first."""
    with path.open("r+b") as file:
        for start in range(4096, path.stat().st_size, 4096):
            file.seek(start)
            file.write(os.urandom(200))


def nothing_but_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize(
    ("damage", "salvaged"), [(garbage, 0), (half, 30), (middle, 30), (nothing_but_zeros, 0)]
)
async def test_damaged_outbox_is_set_aside_and_collection_goes_on(
    clock: ManualClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
    salvaged: int,
) -> None:
    source, sink = Meter(clock), Memory()
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
async def test_outbox_that_is_damaged_while_it_is_used_is_set_aside(
    clock: ManualClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    """The log is written back first, so that what is damaged is the file that is read."""
    path = tmp_path / "outbox.db"

    def strike() -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(path)

    source, sink, polls = Meter(clock), Memory(), Polls(after_10=strike)
    await collected(source, {"m": sink}, tmp_path, POLLS, on_poll=polls)
    assert set(polls.committed) == {True}
    assert sink.values == list(range(1, POLLS + 1))
    assert "is damaged" in caplog.text
    assert len(list(tmp_path.glob("outbox.db.damaged-*Z"))) == 1
    (status,) = read_status(tmp_path).sinks
    assert (status.waiting, status.rejected, status.dropped) == (0, 0, 0)


async def test_damaged_outbox_is_replaced_when_there_is_room_for_a_new_one(
    clock: ManualClock, small_disk: Path
) -> None:
    """Until then, what is read is held in memory, and the damaged one stays as it is."""
    state = small_disk / "state"
    entry = Entry([sample_reading(value=value) for value in range(1, 1_001)])
    async with Outbox(state, clock=clock) as outbox:
        await outbox.join("m", Stream.READINGS)
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


async def test_outbox_that_is_removed_while_it_is_used_is_begun_anew(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def remove() -> None:
        for file in tmp_path.glob("outbox.db*"):
            file.unlink()

    source, sink, polls = Meter(clock), Memory(), Polls(after_10=remove)
    await collected(source, {"m": sink}, tmp_path, POLLS, on_poll=polls)
    assert set(polls.committed) == {True}
    assert set(sink.values) >= {*range(1, 10), *range(11, POLLS + 1)}
    assert "was removed or replaced, with " in caplog.text
    assert " in it; starting a new one" in caplog.text


async def test_what_was_on_its_way_when_the_outbox_went_moves_no_place_in_the_new_one(
    clock: ManualClock, tmp_path: Path
) -> None:
    """Its number counts in a file that is gone."""

    class Removing(Memory):
        async def write(self, readings: Sequence[Reading]) -> WriteReport:
            if self.writes == 10:
                for file in tmp_path.glob("outbox.db*"):
                    file.unlink()
            return await super().write(readings)

    sink = Removing()
    await collected(Meter(clock), {"m": sink}, tmp_path, POLLS)
    assert sink.values == list(range(1, POLLS + 1))
    assert read_status(tmp_path).sinks[0].waiting == 0


async def test_outbox_that_cannot_be_begun_anew_at_once_still_knows_its_sinks(
    clock: ManualClock, tmp_path: Path
) -> None:
    path = tmp_path / "outbox.db"

    def obstruct() -> None:
        for file in tmp_path.glob("outbox.db*"):
            file.unlink()
        path.mkdir()

    source, sink = Meter(clock), Memory()
    polls = Polls(after_10=obstruct, after_15=path.rmdir)
    await collected(source, {"m": sink}, tmp_path, POLLS, on_poll=polls)
    assert polls.committed == [True] * 10 + [False] * 5 + [True] * 15
    assert set(sink.values) >= {*range(1, 10), *range(11, POLLS + 1)}


async def test_outbox_that_is_replaced_while_it_is_used_is_the_outbox_from_then_on(
    clock: ManualClock, tmp_path: Path
) -> None:
    """What is written to a file that has no name any more would be lost."""
    state, other = tmp_path / "state", tmp_path / "other"
    await collected(Meter(clock), {}, other, 2)

    def replace() -> None:
        for file in state.glob("outbox.db*"):
            file.unlink()
        shutil.copy(other / "outbox.db", state)

    source, sink, polls = Meter(clock), Memory(), Polls(after_10=replace)
    await collected(source, {"m": sink}, state, POLLS, on_poll=polls)
    assert set(polls.committed) == {True}
    assert set(sink.values) >= {*range(1, 10), *range(11, POLLS + 1)}
    assert read_status(state).readings == 2 + POLLS - 10


async def test_folder_that_is_removed_while_it_is_used_is_made_anew(
    clock: ManualClock, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    source, sink, polls = Meter(clock), Memory(), Polls(after_10=lambda: shutil.rmtree(state))
    await collected(source, {"m": sink}, state, POLLS, on_poll=polls)
    assert set(polls.committed) == {True}
    assert set(sink.values) >= {*range(1, 10), *range(11, POLLS + 1)}


@pytest.mark.parametrize("name", ["outbox.db", "collector.lock"])
async def test_other_programs_file_is_refused_and_not_touched(
    clock: ManualClock, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE photos (name)")
        database.commit()
    before = path.read_bytes()
    if name == "outbox.db":
        with pytest.raises(OutboxError, match="not an outbox of sst-cloud; choose another folder"):
            await collected(Meter(clock), {"m": Memory()}, tmp_path, 1)
    else:
        await collected(Meter(clock), {"m": Memory()}, tmp_path, 1)
    assert path.read_bytes() == before


async def test_outbox_of_another_version_is_refused_and_not_touched(
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
        await outbox.append(Entry([sample_reading()]))
        sys.stdout.write("open\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


async def _may_not_grow(folder: Path) -> None:
    """Poll with a limit on the size of files that comes and goes."""
    import resource  # noqa: PLC0415  not on all systems

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit() -> None:
        # Not what the log has taken: it may begin again at its beginning, and do with that.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, no_limit[1]))

    clock = Settable(datetime(2026, 3, 1, tzinfo=UTC))
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

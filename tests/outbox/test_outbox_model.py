"""The outbox against a model of it: two lists and cursors into them."""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Coroutine
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from collector.memory import MEMORY
from sst_cloud import ManualClock, Reading
from sst_cloud.monitoring import Event, EventKind
from sst_cloud.outbox import DeliveryState, Limits, SinkStatus, Start
from sst_cloud.outbox.entries import Batch, Commit
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.outbox.status import Stream
from sst_cloud.testing.sink_contract import sample_reading

pytestmark = [pytest.mark.slow, pytest.mark.source]

T = TypeVar("T")

NAMES = ("sqlite:a.db", "csv:b.csv")
STREAMS = st.sampled_from([Stream.READINGS, Stream.READINGS, Stream.EVENTS])
START = datetime(2026, 1, 1, tzinfo=UTC)


@attrs.define
class Consumer:
    """What a consumer of the model has received."""

    cursor: int
    joined: bool = True
    delivered: int = 0
    rejected: int = 0
    dropped: int = 0
    state: DeliveryState = DeliveryState.DELIVERING
    error: str | None = None


@attrs.define
class Row:
    """One stream of the model. Numbers begin with 1; the first `gone` of them are deleted."""

    items: list[tuple[int, Any]] = attrs.field(factory=list)
    """The time when it was added, in seconds, and the item."""
    gone: int = 0
    consumers: dict[str, Consumer] = attrs.field(factory=dict)
    too_old: tuple[int, int] | None = None
    """Since which time, in seconds, and up to which number all entries have been too old."""

    def waiting(self, name: str, most: int) -> list[Any]:
        cursor = self.consumers[name].cursor
        return [item for _, item in self.items[cursor : cursor + most]]

    def joined(self) -> list[Consumer]:
        return [consumer for consumer in self.consumers.values() if consumer.joined]

    def forget(self, gone: int) -> None:
        """Drop entries up to this total number, delivered or not."""
        self.gone = gone
        for consumer in self.joined():
            consumer.dropped += max(0, gone - consumer.cursor)
            consumer.cursor = max(gone, consumer.cursor)


class OutboxMachine(RuleBasedStateMachine):
    """All operations on an outbox, in any order."""

    limits = Limits(age=timedelta(hours=20), keep=timedelta(hours=2))
    drops_by_size = False
    at_once = 1

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.home = Path(tempfile.mkdtemp(prefix="outbox-", dir=MEMORY))
        self.folders = (self.home / str(number) for number in count())
        self.folder = next(self.folders)
        self.clock = ManualClock(START)
        self.numbers = count()
        self.rows = {stream: Row() for stream in Stream}
        self.notes: dict[str, str] = {}
        self.held: tuple[Stream, str, Batch[Any]] | None = None

    def teardown(self) -> None:
        self.run(self.outbox.__aexit__(None, None, None))
        self.runner.close()
        shutil.rmtree(self.home)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize(joining=st.sets(st.sampled_from(NAMES)))
    def begin(self, joining: set[str]) -> None:
        self.outbox = self.run(self._opened())
        for name in joining:
            for stream in Stream:
                self._join(stream, name, Start.NOW)

    async def _opened(self) -> Outbox:
        return await Outbox(self.folder, limits=self.limits, clock=self.clock).__aenter__()

    # What a poll does.

    @rule(readings=st.integers(0, 40), events=st.integers(0, 3), note=st.none() | st.text())
    def append(self, readings: int, events: int, note: str | None) -> None:
        entry = self._entry(readings, events, note)
        self.run(self.outbox.append(entry))
        self._appended(entry)

    @rule(hours=st.sampled_from([-200, -26, 1, 26, 200]))
    def time_passes_or_is_set(self, hours: int) -> None:
        self.clock.advance(timedelta(hours=hours))

    @rule(hours=st.sampled_from([0, 3, 26]))
    def tidy(self, hours: int) -> None:
        self.clock.advance(timedelta(hours=hours))
        self.run(self.outbox.tidy())
        if self.drops_by_size:
            self._drop_what_was_dropped()
        else:
            self._drop_what_is_old()

    # What couriers do.

    @rule(
        stream=STREAMS,
        name=st.sampled_from(NAMES),
        most=st.integers(1, 50),
        kept=st.just(1.0) | st.floats(0, 1),
        rejected=st.floats(0, 1),
    )
    def deliver(self, stream: Stream, name: str, most: int, kept: float, rejected: float) -> None:
        """Deliver a batch or its beginning, with some items rejected permanently."""
        if not self._is_joined(stream, name) or (self.held and self.held[:2] == (stream, name)):
            return
        batch = self.run(self.outbox.batch(name, stream, most))
        self._check_batch(stream, name, batch, most)
        delivered = int(kept * len(batch.items))
        self._deliver(stream, name, batch, delivered, int(rejected * delivered))

    @rule(stream=STREAMS, name=st.sampled_from(NAMES))
    def begin_to_deliver(self, stream: Stream, name: str) -> None:
        """The sink is slow; other operations happen meanwhile."""
        if self._is_joined(stream, name):
            batch = self.run(self.outbox.batch(name, stream, 50))
            self._check_batch(stream, name, batch, 50)
            self.held = stream, name, batch

    @precondition(lambda self: self.held is not None)
    @rule()
    def end_of_delivery(self) -> None:
        assert self.held is not None
        stream, name, batch = self.held
        self.held = None
        if self._is_joined(stream, name):
            self._deliver(stream, name, batch, len(batch.items), 0)

    @rule(
        stream=STREAMS,
        name=st.sampled_from(NAMES),
        state=st.sampled_from([DeliveryState.RETRYING, DeliveryState.PAUSED]),
        error=st.text(min_size=1, max_size=9),
    )
    def fail(self, stream: Stream, name: str, state: DeliveryState, error: str) -> None:
        if not self._is_joined(stream, name):
            return
        next_try = self.clock.now() + timedelta(minutes=5)
        self.run(self.outbox.record_failure(name, stream, state, error, next_try))
        consumer = self.rows[stream].consumers[name]
        consumer.state, consumer.error = state, error

    # What comes and goes.

    @rule(stream=STREAMS, name=st.sampled_from(NAMES), start=st.sampled_from(Start))
    def join(self, stream: Stream, name: str, start: Start) -> None:
        self._join(stream, name, start)

    @rule(staying=st.sets(st.sampled_from(NAMES)))
    def end_and_start_again_with_other_sinks(self, staying: set[str]) -> None:
        self.run(self.outbox.__aexit__(None, None, None))
        self._open_again(staying)

    @rule(staying=st.sets(st.sampled_from(NAMES)))
    def crash(self, staying: set[str]) -> None:
        """The power fails: only what is on the disk is left."""
        self._leave_behind(self._image())
        self._open_again(staying)

    @rule(
        readings=st.integers(1, 40), part=st.floats(0, 1), staying=st.sets(st.sampled_from(NAMES))
    )
    def crash_while_appending(self, readings: int, part: float, staying: set[str]) -> None:
        """Only a part of the commit is on the disk: the entry is there entirely or not at all."""
        entry = self._entry(readings, 1, "crashed")
        before = self._image()
        self.run(self.outbox.append(entry))
        after = self._image()
        log, longer = (folder / "outbox.db-wal" for folder in (before, after))
        written, so_far = longer.read_bytes(), log.stat().st_size if log.exists() else 0
        if so_far <= len(written) and written.startswith(log.read_bytes() if so_far else b""):
            end = so_far + round(part * (len(written) - so_far))
            longer.write_bytes(written[:end])
        with closing(sqlite3.connect(after / "outbox.db")) as database:
            newest = _number(database, "SELECT max(seq) FROM sqlite_sequence WHERE name='readings'")
        count_before = len(self.rows[Stream.READINGS].items)
        assert newest in (count_before, count_before + len(entry.readings))
        if newest != count_before:
            self._appended(entry)
        self._leave_behind(after)
        self._open_again(staying)

    # What must hold at all times.

    @invariant()
    def status_is_right(self) -> None:
        if not hasattr(self, "outbox"):
            return
        status = self.run(self.outbox.status())
        readings = self.rows[Stream.READINGS]
        assert status.readings == len(readings.items)
        statuses = {(sink.stream, sink.name): sink for sink in status.sinks}
        assert len(statuses) == len(status.sinks)
        assert set(statuses) == {
            (stream, name) for stream, row in self.rows.items() for name in row.consumers
        }
        for stream, row in self.rows.items():
            for name, consumer in row.consumers.items():
                self._check_status(statuses[stream, name], row, consumer)

    @invariant()
    def notes_are_the_last(self) -> None:
        if hasattr(self, "outbox"):
            assert self.run(self.outbox.notes()) == self.notes

    @invariant()
    def file_is_sound(self) -> None:
        if not hasattr(self, "outbox"):
            return
        with closing(sqlite3.connect(self.folder / "outbox.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            for stream, row in self.rows.items():
                numbers = [seq for (seq,) in database.execute(f"SELECT seq FROM {stream}")]
                assert numbers == list(range(row.gone + 1, len(row.items) + 1))

    # How.

    def _entry(self, readings: int, events: int, note: str | None) -> Commit:
        now = self.clock.now()
        return Commit(
            [self._reading() for _ in range(readings * self.at_once)],
            [
                Event(time=now, kind=EventKind.LEAK, message=f"number {next(self.numbers)}")
                for _ in range(events)
            ],
            {} if note is None else {"note": note, "number": str(next(self.numbers))},
        )

    def _reading(self) -> Reading:
        return sample_reading(time=self.clock.now(), value=next(self.numbers))

    def _appended(self, entry: Commit) -> None:
        added = int(self.clock.now().timestamp())
        self.rows[Stream.READINGS].items += [(added, reading) for reading in entry.readings]
        self.rows[Stream.EVENTS].items += [(added, event) for event in entry.events]
        self.notes |= entry.notes

    def _is_joined(self, stream: Stream, name: str) -> bool:
        consumer = self.rows[stream].consumers.get(name)
        return consumer is not None and consumer.joined

    def _check_batch(self, stream: Stream, name: str, batch: Batch[Any], most: int) -> None:
        row = self.rows[stream]
        assert list(batch.items) == row.waiting(name, most)
        assert batch.unreadable == 0
        assert batch.upto == (row.consumers[name].cursor + len(batch.items) if batch.items else 0)

    def _deliver(
        self, stream: Stream, name: str, batch: Batch[Any], number: int, rejected: int
    ) -> None:
        consumer = self.rows[stream].consumers[name]
        upto = batch.upto - len(batch.items) + number
        accepted = number - rejected
        self.run(
            self.outbox.mark_delivered(name, stream, upto, accepted=accepted, rejected=rejected)
        )
        dropped_on_its_way = max(0, min(consumer.cursor, upto) - (upto - number))
        consumer.dropped -= dropped_on_its_way
        consumer.cursor = max(consumer.cursor, upto)
        consumer.delivered += accepted
        consumer.rejected += rejected
        consumer.state, consumer.error = DeliveryState.DELIVERING, None

    def _join(self, stream: Stream, name: str, start: Start) -> None:
        self.run(self.outbox.register(name, stream, start))
        row = self.rows[stream]
        consumer = row.consumers.get(name)
        if consumer is None:
            newest = len(row.items)
            row.consumers[name] = Consumer(newest if start is Start.NOW else row.gone)
        else:
            consumer.joined, consumer.state = True, DeliveryState.DELIVERING
            row.forget(row.gone)

    def _open_again(self, staying: set[str]) -> None:
        self.held = None
        self.outbox = self.run(self._opened())
        for stream, row in self.rows.items():
            for name, consumer in row.consumers.items():
                consumer.joined = False
                if name in staying:
                    self._join(stream, name, Start.NOW)

    def _image(self) -> Path:
        """What a crash at this moment would leave: the file and its log, and nothing else."""
        image = next(self.folders)
        image.mkdir()
        for file in self.folder.glob("outbox.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, image)
        return image

    def _leave_behind(self, image: Path) -> None:
        self.run(self.outbox.__aexit__(None, None, None))
        self.folder = image

    def _drop_what_is_old(self) -> None:
        now = int(self.clock.now().timestamp())
        for row in self.rows.values():
            had = min((consumer.cursor for consumer in row.joined()), default=len(row.items))
            gone, before = row.gone, -1
            while before < gone < len(row.items):
                before, too_old = gone, self._too_old(row, now)
                for number, (added, _) in enumerate(row.items[gone:], start=gone + 1):
                    far = abs(added - now) > self.limits.keep.total_seconds()
                    if number > too_old and not (far and number <= had):
                        break
                    gone = number
                row.forget(gone)

    def _too_old(self, row: Row, now: int) -> int:
        """The number up to which all have been too old for a day, as a clock may be ahead."""
        upto = row.gone
        while upto < len(row.items) and row.items[upto][0] < now - self.limits.age.total_seconds():
            upto += 1
        if row.too_old is None or now < row.too_old[0]:
            row.too_old = now, upto
            return 0
        since, until = row.too_old
        if now < since + 86_400:
            return 0
        if min(upto, until) <= row.gone:
            row.too_old = now, upto
            return 0
        return min(upto, until)

    def _drop_what_was_dropped(self) -> None:
        """The size of an entry depends on SQLite, so the number dropped is read from the file."""
        status = self.run(self.outbox.status())
        assert status.size <= self.limits.size
        with closing(sqlite3.connect(self.folder / "outbox.db")) as database:
            for stream, row in self.rows.items():
                left = _number(database, f"SELECT count(*) FROM {stream}")
                assert len(row.items) - left >= row.gone
                row.forget(len(row.items) - left)

    def _check_status(self, status: SinkStatus, row: Row, consumer: Consumer) -> None:
        assert status.waiting == len(row.items) - consumer.cursor
        assert status.delivered == consumer.delivered
        assert status.rejected == consumer.rejected
        assert status.dropped == consumer.dropped
        assert status.state == (consumer.state if consumer.joined else DeliveryState.REMOVED)
        assert status.error == consumer.error
        waiting = row.items[max(consumer.cursor, row.gone) :]
        oldest = datetime.fromtimestamp(waiting[0][0], UTC) if waiting else None
        assert status.oldest == oldest


class SmallOutboxMachine(OutboxMachine):
    """An outbox that is soon full."""

    limits = Limits(size=60_000, age=timedelta(days=3000), keep=timedelta(days=3000))
    drops_by_size = True
    at_once = 5


def test_outbox_behaves_like_a_list_with_cursors() -> None:
    run_state_machine_as_test(
        OutboxMachine, settings=settings(max_examples=80, stateful_step_count=40)
    )


def test_full_outbox_drops_and_counts_the_oldest() -> None:
    run_state_machine_as_test(
        SmallOutboxMachine, settings=settings(max_examples=25, stateful_step_count=40)
    )


def _number(database: sqlite3.Connection, sql: str) -> int:
    (number,) = database.execute(sql).fetchone()
    return int(number or 0)

"""Collectors that are killed repeatedly, in a separate program.

Everything is imported once; then each round forks a collector and kills it at a random moment.
"""

import asyncio
import json
import logging
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import attrgetter
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self

import attrs

from collector.killing import end_of, fork, kill, write_down
from sources import OpenSource
from sst_cloud import (
    Counter,
    House,
    PasswordAuth,
    Quantity,
    Reading,
    Rejection,
    Sink,
    SinkRefusedError,
    SinkUnavailableError,
    Snapshot,
    Source,
    SSTCloud,
    WriteReport,
)
from sst_cloud.collector import Collector, Poll
from sst_cloud.extraction import readings_from
from sst_cloud.monitoring import Event
from sst_cloud.outbox import Limits, Start
from sst_cloud.outbox.consumer import Consumer
from sst_cloud.readings import format_time
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink

READ, ACKNOWLEDGED, DELIVERED_EVENTS, DELIVERED, MOVES = (
    f"{name}.jsonl" for name in ("read", "acknowledged", "told", "delivered", "moves")
)
LOG: Final = "log.txt"
STATE: Final = "state"
SINKS: Final = ("one.db", "two.db", "three.csv")
REJECTING: Final = "two.db"
LIVE: Final = "one.db"
"""The store that is moved and copied during the test."""
EVERY: Final = timedelta(minutes=1)
LITRES_PER_MINUTE: Final = 7
METERS: Final = range(1, 7)

_ANY_NUMBER_OF_YEARS: Final = timedelta(days=40_000)


@attrs.frozen(kw_only=True)
class Plan:
    """The parameters of a run, passed from the test as JSON."""

    folder: str
    seed: int
    rounds: int
    """0 for a last collector, which runs until everything is delivered."""
    longest: float
    """Maximum seconds that a collector works before it is killed."""
    speed: float
    started: float
    """Start of the fast clock's year, on the monotonic clock of the machine."""
    cloud: tuple[str, str, str] | None = None
    """URL, e-mail, password; None: meters without a cloud."""
    moves: bool = False
    """Whether a store is moved and copied meanwhile."""


@attrs.frozen
class FastClock:
    """A clock that runs many times faster than real time, the same in all processes."""

    started: float
    speed: float

    def now(self) -> datetime:
        passed = (time.monotonic() - self.started) * self.speed
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=passed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)


@attrs.frozen
class Meters(OpenSource):
    """A source without a network: six meters, one of them with glitches."""

    clock: FastClock

    async def snapshot(self) -> Snapshot:
        now = self.clock.now()
        minutes = int(now.timestamp()) // 60
        total = minutes * LITRES_PER_MINUTE
        return Snapshot(
            time=now,
            houses=(House(id=1, name="Flat", timezone="Europe/Moscow"),),
            counters=tuple(
                Counter(
                    id=number,
                    house_id=1,
                    device_id=2,
                    value_l=0 if number == METERS[0] and minutes % 17 == 0 else total,
                )
                for number in METERS
            ),
        )


@attrs.frozen
class RecordingSource(OpenSource):
    """A source that records its readings in a file before it returns them."""

    source: Source
    path: Path

    async def snapshot(self) -> Snapshot:
        snapshot = await self.source.snapshot()
        write_down(self.path, records(readings_from(snapshot)))
        return snapshot


@attrs.define
class Unreliable:
    """A sink that fails every fifth time: before it has stored anything, or after."""

    sink: Consumer
    random: Random
    moody: bool = True
    """Whether the sink fails; that of the last collector does not."""
    rejects: bool = False
    delivered: Path | None = None
    """The file that records what was stored."""

    async def __aenter__(self) -> Self:
        await self.sink.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.sink.__aexit__(exc_type, exc, traceback)

    async def check(self) -> None:
        return None

    async def write(self, items: Sequence[Any]) -> WriteReport:
        chance = self.random.random() if self.moody else 1.0
        if chance < 0.09:
            raise SinkUnavailableError("not now")
        if chance < 0.11:
            raise SinkRefusedError("not you")
        bad = tuple(
            Rejection(item, "never") for item in items if self.rejects and is_rejected(item)
        )
        taken = [item for item in items if not (self.rejects and is_rejected(item))]
        report = await self.sink.write(taken)
        if self.delivered is not None:
            write_down(self.delivered, records(taken))
        if chance < 0.2:
            raise SinkUnavailableError("stored, but who knows")
        return WriteReport(report.accepted, bad)


@attrs.frozen
class EventRecorder:
    """An event handler that records events in a file."""

    path: Path

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def write(self, events: Sequence[Event]) -> WriteReport:
        write_down(self.path, [event.message for event in events])
        return WriteReport(len(events))


@attrs.define
class Mover:
    """Moves or copies a store in use now and then, as users do at the turn of the year."""

    folder: Path
    random: Random
    number: int = 0

    def move(self) -> None:
        """Move or copy at random, whatever the collector is doing with the store."""
        chance = self.random.random()
        if chance < 0.02 and (self.folder / LIVE).exists():
            self.number += 1
            (self._move_away if chance < 0.01 else self._copy)()

    def _move_away(self) -> None:
        move = self._now(f"moved-{self.number}.db")
        (self.folder / LIVE).rename(self.folder / move.name)
        write_down(self.folder / MOVES, attrs.asdict(move))

    def _copy(self) -> None:
        """Copy between two writes: during a write, the file is incomplete."""
        move = self._now(f"copied-{self.number}.db")
        version = self._version()
        shutil.copyfile(self.folder / LIVE, self.folder / move.name)
        if version and version == self._version():
            write_down(self.folder / MOVES, attrs.asdict(move))

    def _now(self, name: str) -> "Move":
        delivered = self.folder / DELIVERED
        return Move(
            name=name,
            delivered=delivered.stat().st_size if delivered.exists() else 0,
            orphans=len(list(self.folder.glob(f"{LIVE}-journal.orphan*"))),
        )

    def _version(self) -> bytes:
        """The file's change counter; empty during a write or after a killed one."""
        with (self.folder / LIVE).open("rb") as file:
            version = file.read(28)[24:]
        return b"" if (self.folder / f"{LIVE}-journal").exists() else version


@attrs.frozen
class Move:
    """A store that was moved or copied."""

    name: str
    delivered: int
    """The size of `DELIVERED` before."""
    orphans: int
    """How many journals had been set aside before: the next belongs to what was moved away now."""


def is_rejected(reading: Reading) -> bool:
    """Whether one of the sinks always rejects a reading."""
    return reading.quantity is Quantity.VOLUME and reading.time.minute % 5 == 0


def records(readings: Iterable[Reading]) -> list[list[Any]]:
    """Readings as lists of the key and the value."""
    fields = attrgetter("quantity.value", "house_id", "device_id", "point.value", "point_id")
    return [[*fields(reading), format_time(reading.time), reading.value] for reading in readings]


def main(plan: Plan) -> None:
    """Fork and kill; without rounds, deliver the remaining readings. Prints how the forks ended."""
    random = Random(plan.seed)
    folder = Path(plan.folder)
    logging.basicConfig(filename=folder / LOG, level=logging.WARNING)
    ends = {"killed": 0, "well": 0, "badly": 0}
    mover = Mover(folder, random) if plan.moves else None
    for number in range(plan.rounds):
        child = fork(partial(_run, plan, number), folder)
        ends[kill(child, random.uniform(0, plan.longest), mover.move if mover else bool)] += 1
    if not plan.rounds:
        ends[end_of(fork(partial(_run, plan, None), folder))] += 1
    json.dump(ends, sys.stdout)


def _run(plan: Plan, number: int | None) -> None:
    asyncio.run(_collect(plan, number))


async def _collect(plan: Plan, number: int | None) -> None:
    folder = Path(plan.folder)
    random = Random(f"{plan.seed}/{number}")
    clock = FastClock(plan.started, plan.speed)
    moody = number is not None

    def acknowledge(poll: Poll) -> None:
        if poll.committed:
            messages = [event.message for event in poll.events]
            write_down(
                folder / ACKNOWLEDGED, {"readings": records(poll.readings), "events": messages}
            )

    async with AsyncExitStack() as stack:
        source: Source = Meters(clock)
        if plan.cloud:
            url, *credentials = plan.cloud
            cloud = SSTCloud(
                PasswordAuth(*credentials), base_url=url, clock=clock, random=random.random
            )
            source = await stack.enter_async_context(cloud)
        collector = Collector(
            RecordingSource(source, folder / READ),
            {
                name: Unreliable(
                    _sink(folder / name),
                    random,
                    moody,
                    rejects=name == REJECTING,
                    delivered=folder / DELIVERED if plan.moves and name == LIVE else None,
                )
                for name in SINKS
            },
            folder / STATE,
            handlers={"told": Unreliable(EventRecorder(folder / DELIVERED_EVENTS), random, moody)},
            every=EVERY,
            start=Start.BEGINNING,
            limits=Limits(age=_ANY_NUMBER_OF_YEARS),
            clock=clock,
            random=random.random,
            on_poll=acknowledge,
        )
        async with collector:
            await collector.run(None if moody else 1)


def _sink(path: Path) -> Sink:
    return CsvSink(path) if path.suffix == ".csv" else SqliteSink(path)


if __name__ == "__main__":
    main(Plan(**json.loads(sys.argv[1])))

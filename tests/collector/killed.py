"""Collectors that are killed again and again, in a program of their own.

Everything is imported once; then each round forks a collector and kills it at a random moment.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self

import attrs

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
from sst_cloud.collector import Collector, Event, Limits, Poll, Start
from sst_cloud.collector.consumer import Consumer
from sst_cloud.measurements import readings_from
from sst_cloud.readings import format_time
from sst_cloud_sinks.csv import CsvSink
from sst_cloud_sinks.sqlite import SqliteSink

READ, ACKNOWLEDGED, TOLD, STRANGE = "read.jsonl", "acknowledged.jsonl", "told.jsonl", "strange.txt"
LOG: Final = "log.txt"
STATE: Final = "state"
SINKS: Final = ("one.db", "two.db", "three.csv")
REJECTING: Final = "two.db"
EVERY: Final = timedelta(minutes=1)
LITRES_PER_MINUTE: Final = 7
METERS: Final = range(1, 7)

_ANY_NUMBER_OF_YEARS: Final = timedelta(days=40_000)


@attrs.frozen(kw_only=True)
class Plan:
    """What is done; made by the test, handed on as JSON."""

    folder: str
    seed: int
    rounds: int
    """0 for a last collector, which lives until all is delivered."""
    longest: float
    """Seconds that a collector works at the most before it is killed."""
    speed: float
    started: float
    """When the year of the fast clock began, on the machine's monotonic clock."""
    cloud: tuple[str, str, str] | None = None
    """URL, e-mail, password; None: meters without a cloud."""


@attrs.frozen
class FastClock:
    """Runs at many times the speed of time, alike in all processes of the machine."""

    started: float
    speed: float

    def now(self) -> datetime:
        passed = (time.monotonic() - self.started) * self.speed
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=passed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)


@attrs.frozen
class Meters:
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
class Witnessed:
    """A source that writes down what it has read before anybody sees it."""

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
    """The last collector's are not."""
    rejects: bool = False

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
        bad = tuple(Rejection(item, "never") for item in items if self.rejects and unwanted(item))
        taken = [item for item in items if not (self.rejects and unwanted(item))]
        report = await self.sink.write(taken)
        if chance < 0.2:
            raise SinkUnavailableError("stored, but who knows")
        return WriteReport(report.accepted, bad)


@attrs.frozen
class Told:
    """A handler of events that writes them down."""

    path: Path

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def write(self, events: Sequence[Event]) -> WriteReport:
        write_down(self.path, [event.message for event in events])
        return WriteReport(len(events))


def unwanted(reading: Reading) -> bool:
    """What one of the sinks will never take."""
    return reading.quantity is Quantity.VOLUME and reading.time.minute % 5 == 0


def records(readings: Iterable[Reading]) -> list[list[Any]]:
    """What matters of readings: the key, then the value."""
    fields = attrgetter("quantity.value", "house_id", "device_id", "point.value", "point_id")
    return [[*fields(reading), format_time(reading.time), reading.value] for reading in readings]


def write_down(path: Path, what: object) -> None:
    """Append a line. One that is torn by a kill has not been written, and spoils no other."""
    file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(file, f"\n{json.dumps(what)}\n".encode())
    os.close(file)


def written_down(path: Path) -> list[Any]:
    """What stands in a file, without what was torn."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def main(plan: Plan) -> None:
    """Fork and kill; or without any rounds, deliver what there is. Prints how they ended."""
    random = Random(plan.seed)
    ends = {"killed": 0, "well": 0, "badly": 0}
    for number in range(plan.rounds):
        child = _fork(plan, number)
        _wait_for(child, random.uniform(0, plan.longest))
        os.kill(child, signal.SIGKILL)
        ends[_end(child)] += 1
    if not plan.rounds:
        ends[_end(_fork(plan, None))] += 1
    json.dump(ends, sys.stdout)


def _wait_for(child: int, seconds: float) -> None:
    """Wait until a process has worked so long: a busy machine tells as much as an idle one."""
    work = Path(f"/proc/{child}/schedstat")
    deadline = time.monotonic() + 20 * seconds
    while time.monotonic() < deadline:
        if work.exists() and int(work.read_text().split()[0]) / 1e9 >= seconds:
            return
        time.sleep(0.0005)


def _end(child: int) -> str:
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed"
    return "badly" if os.WEXITSTATUS(status) else "well"


def _fork(plan: Plan, number: int | None) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        logging.basicConfig(filename=Path(plan.folder) / LOG, level=logging.WARNING)
        asyncio.run(_collect(plan, number))
        status = 0
    except BaseException:  # noqa: BLE001  whatever it is, the test has to see it
        write_down(Path(plan.folder) / STRANGE, traceback.format_exc())
    finally:
        os._exit(status)


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
            url, *who = plan.cloud
            cloud = SSTCloud(PasswordAuth(*who), base_url=url, clock=clock, random=random.random)
            source = await stack.enter_async_context(cloud)
        collector = Collector(
            Witnessed(source, folder / READ),
            {
                name: Unreliable(_sink(folder / name), random, moody, rejects=name == REJECTING)
                for name in SINKS
            },
            folder / STATE,
            handlers={"told": Unreliable(Told(folder / TOLD), random, moody)},
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

"""A month in a house with every kind of fault: the totals are exact to the litre."""

import asyncio
import selectors
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

import attrs
import pytest

from collector.memory import MEMORY
from sources import OpenSource
from sst_cloud import (
    Counter,
    House,
    Quality,
    Quantity,
    ServiceUnavailableError,
    SinkUnavailableError,
    Snapshot,
    WriteReport,
)
from sst_cloud.collector import Collector, Poll
from sst_cloud.metering.usage import usage
from sst_cloud.readings import Reading
from sst_cloud.testing import FakeCounter
from sst_cloud_sinks.sqlite import SqliteSink

pytestmark = [pytest.mark.slow, pytest.mark.source]

DAYS: Final = 30
MOSCOW: Final = ZoneInfo("Europe/Moscow")
FIRST: Final = datetime(2026, 3, 1, tzinfo=MOSCOW)
BEGINNING: Final = FIRST.astimezone(UTC) - timedelta(minutes=50)
GLITCHES: Final = (0, 49_999_990, 84_510, 1)


class InstantSelector(selectors.DefaultSelector):
    """A selector that never waits: it advances the time instead."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits for somebody else"
        self.passed += timeout
        return super().select(0)


class InstantEventLoop(asyncio.SelectorEventLoop):
    """An event loop that uses this time, and runs thread calls immediately."""

    def __init__(self) -> None:
        self.skipping = InstantSelector()
        super().__init__(self.skipping)

    def time(self) -> float:
        return self.skipping.passed

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., object], *args: object
    ) -> asyncio.Future[object]:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  it is for whoever waits
            future.set_exception(error)
        return future


@attrs.define
class TrueClock:
    """The true time."""

    loop: InstantEventLoop
    slept: timedelta = timedelta(0)

    def now(self) -> datetime:
        return BEGINNING + self.slept + timedelta(seconds=self.loop.time())


@attrs.define
class MachineClock:
    """The clock of a machine, which is sometimes wrong."""

    true: TrueClock
    wrong_by: timedelta = timedelta(0)

    def now(self) -> datetime:
        return (self.true.now() + self.wrong_by).astimezone(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@attrs.define
class Household(OpenSource):
    """Two meters as the cloud shows them, and the faults of the meters and the machine."""

    true: TrueClock
    machine: MachineClock
    random: Random
    meters: tuple[FakeCounter, ...] = attrs.field(
        factory=lambda: (
            FakeCounter(name="Cold", id=1, start_l=118_240, daily_l=190),
            FakeCounter(name="Hot", id=2, start_l=84_510, daily_l=95, step_l=1, hot=True),
        )
    )
    replaced_at: datetime | None = None
    polls: int = 0

    async def snapshot(self) -> Snapshot:
        self.polls += 1
        now = self.true.now().astimezone(MOSCOW)
        self._befall(now)
        if now.day == 9 and 14 <= now.hour < 17:
            raise ServiceUnavailableError(503, "Technical works", "/houses/")
        if now.day != 5 and 10 <= now.hour < 22 and self.random.random() < 0.05:
            self.random.choice(self.meters).glitches.append(self.random.choice(GLITCHES))
        payloads = [meter.payload(self.true.now(), 2, timedelta(hours=3)) for meter in self.meters]
        return Snapshot(
            time=self.machine.now(),
            houses=(House(id=1, name="Flat", timezone="Europe/Moscow"),),
            counters=tuple(
                Counter(
                    id=payload["id"],
                    house_id=1,
                    device_id=2,
                    value_l=payload["value"],
                    step_l=payload["step"],
                    max_value=payload["max_value"],
                    previous_value_l=payload["prev_value"],
                )
                for payload in payloads
            ),
        )

    def _befall(self, now: datetime) -> None:
        cold = self.meters[0]
        if (
            now.day == 12 and now.hour >= 2 and self.replaced_at is None
        ):  # no water is used at this time
            self.replaced_at = now
            cold.start_l -= cold.value_l(now)
        # The clock is set forward by the summer time of another zone, or worse, and set back.
        self.machine.wrong_by = {
            (3, 11): timedelta(hours=1, minutes=7),
            (3, 12): timedelta(hours=1, minutes=7),
            (17, 9): timedelta(hours=5),
        }.get((now.day, now.hour), timedelta(0))
        if now.day == 21 and now.hour == 13:  # the machine sleeps
            self.true.slept += timedelta(hours=6)

    def used(self, meter: FakeCounter, day: date) -> int:
        """What a meter counted on a day."""
        start = datetime(day.year, day.month, day.day, tzinfo=MOSCOW)
        return meter.value_l(start + timedelta(days=1)) - meter.value_l(start)


class UnavailableForDaysSink(SqliteSink):
    """A sink that is unreachable from the 10th to the 16th."""

    def __init__(self, path: Path, true: TrueClock) -> None:
        super().__init__(path)
        self.true = true
        self.tried_in_vain = 0

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        if 10 <= self.true.now().astimezone(MOSCOW).day < 17:
            self.tried_in_vain += 1
            raise SinkUnavailableError("no route to host")
        return await super().write(readings)


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="month-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


def test_thirty_days_with_faults_are_exact_to_the_litre(folder: Path) -> None:
    with asyncio.Runner(loop_factory=InstantEventLoop) as runner:
        runner.run(thirty_days(folder))


async def thirty_days(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, InstantEventLoop)
    true, random = TrueClock(loop), Random(5)
    machine = MachineClock(true)
    household = Household(true, machine, random)
    always, away = (
        SqliteSink(folder / "always.db"),
        UnavailableForDaysSink(folder / "away.db", true),
    )

    def stop_at_the_end(_: Poll) -> None:
        if true.now() >= FIRST + timedelta(days=DAYS, hours=1):
            collector.stop()

    collector = Collector(
        household,
        {"always": always, "away": away},
        folder / "state",
        clock=machine,
        random=random.random,
        on_poll=stop_at_the_end,
    )
    async with collector:
        await collector.run()
        status = await collector.status()
    assert household.polls > 2000
    assert away.tried_in_vain > 1000
    assert [sink.waiting for sink in status.sinks] == [0, 0]
    assert status.failed_polls == 9

    for sink in (always, away):
        stored = [reading async for reading in sink.read(Quantity.VOLUME)]
        check(household, stored)


def check(household: Household, stored: list[Reading]) -> None:
    assert {reading.quality for reading in stored} == {Quality.GOOD, Quality.SUSPECT}
    days = usage(stored, "day", MOSCOW)
    breaks = [meter_break for day in days for meter_break in day.breaks]
    assert len(breaks) == 1
    meter_break = {(day.start.date(), day.point_id): round(day.litres) for day in days}
    for number in range(DAYS):
        day = FIRST.date() + timedelta(days=number)
        for meter in household.meters:
            assert meter_break[day, str(meter.id)] == household.used(meter, day), (day, meter.name)

"""A source of one meter, a sink in memory, and a clock that a test can set."""

import asyncio
import os
import sqlite3
import subprocess
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import strategies as st

from sources import OpenSource
from sst_cloud import (
    Counter,
    House,
    ManualClock,
    Reading,
    Rejection,
    Snapshot,
    SSTCloudError,
    Unreadable,
    WriteReport,
)
from sst_cloud.collector import Collector
from sst_cloud.monitoring import Event


class Meter(OpenSource):
    """A source of one meter; raises the errors it is given, one per poll."""

    def __init__(
        self,
        clock: ManualClock,
        *errors: Exception | None,
        litres: int = 0,
        max_value: int = 0,
        house: str = "Home",
        zone: str | None = "Europe/Moscow",
    ) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.poll_times: list[datetime] = []
        self.litres = litres
        self.max_value = max_value
        self.house = house
        self.zone = zone
        self.unreadable: tuple[Unreadable, ...] = ()
        self.before_answer: Callable[[], None] = lambda: None

    async def snapshot(self) -> Snapshot:
        self.poll_times.append(self.clock.now())
        self.before_answer()
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error
        self.litres += 1
        return Snapshot(
            time=self.clock.now(),
            houses=(House(id=1, name=self.house, timezone=self.zone, report_date=20),),
            counters=(
                Counter(
                    id=3,
                    house_id=1,
                    device_id=2,
                    value_l=self.litres,
                    max_value=self.max_value,
                ),
            ),
            unreadable=self.unreadable,
        )

    @property
    def times(self) -> list[str]:
        return [f"{moment:%H:%M:%S}" for moment in self.poll_times]


class MemorySink:
    """A sink that remembers; raises the errors it is given, one per write."""

    def __init__(self, *errors: BaseException | None, reject: int | None = None) -> None:
        self.errors = list(errors)
        self.reject = reject
        """The value that it rejects permanently."""
        self.stored: list[Reading] = []
        self.writes = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def check(self) -> None:
        return None

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        self.writes += 1
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error
        bad = [reading for reading in readings if reading.value == self.reject]
        self.stored += [reading for reading in readings if reading.value != self.reject]
        rejections = tuple(Rejection(reading, "odd") for reading in bad)
        return WriteReport(len(readings) - len(bad), rejections)

    @property
    def values(self) -> list[float]:
        return [reading.value for reading in self.stored]


class Listener(MemorySink):
    """The same for events."""

    def __init__(self, *errors: BaseException | None) -> None:
        super().__init__(*errors)
        self.received: list[Event] = []

    async def write(self, events: Sequence[Event]) -> WriteReport:  # type: ignore[override]
        await super().write([])
        self.received += events
        return WriteReport(len(events))


class Always(list[BaseException | None]):
    """Errors without end, for the `errors` of the others."""

    def __init__(self, error: SSTCloudError) -> None:
        super().__init__([error])

    def pop(self, _index: object = -1) -> BaseException | None:
        return self[0]


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


@st.composite
def damaged(draw: st.DrawFn, whole: Any) -> Any:
    """JSON in which one part, of any size, is replaced."""
    if not isinstance(whole, list | dict) or not whole or draw(st.integers(0, 3)) == 0:
        return draw(LEAVES)
    if isinstance(whole, list):
        place = draw(st.integers(0, len(whole) - 1))
        return [*whole[:place], draw(damaged(whole[place])), *whole[place + 1 :]]
    name = draw(st.sampled_from(sorted(whole)))
    return {**whole, name: draw(damaged(whole[name]))}


class Threads:
    """Counts the calls running in threads; see `counted`."""

    at_work = 0

    @classmethod
    @contextmanager
    def counted(cls) -> Iterator[None]:
        """Count them, in every event loop."""
        run = BaseEventLoop.run_in_executor

        def counting(*args: Any) -> asyncio.Future[Any]:
            cls.at_work += 1
            future = run(*args)
            future.add_done_callback(cls._done)
            return future

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BaseEventLoop, "run_in_executor", counting)
            yield

    @classmethod
    def _done(cls, _: object) -> None:
        cls.at_work -= 1


class SettableClock(ManualClock):
    """A clock that waits for threads and can be set: each call of `now` adds one of `jumps`."""

    def __init__(self, start: datetime, *jumps: timedelta) -> None:
        super().__init__(start)
        self.jumps = list(jumps)
        self._quiet = 0

    def _is_held(self) -> bool:
        """Whether a thread is running or its result is not processed yet."""
        self._quiet = 0 if Threads.at_work else self._quiet + 1
        if self._quiet < 50:
            return True
        self._quiet = 0
        return False

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if self.jumps:
            self.advance(self.jumps.pop(0))


async def collected(
    source: Meter, sinks: dict[str, MemorySink], folder: Path, polls: int, **options: object
) -> Collector:
    """Run a collector for this many polls and return it."""
    collector = Collector(source, sinks, folder, clock=source.clock, **options)  # type: ignore[arg-type]
    async with collector:
        await collector.run(polls)
    return collector


@contextmanager
def mounted(folder: Path, *how: str) -> Iterator[Path]:
    """A folder with a mounted file system; if mounting fails, the test is skipped except in CI."""
    done = subprocess.run(
        ["mount", *how, str(folder)], check=False, stderr=subprocess.PIPE, text=True
    )
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(f"only root may mount: {done.stderr}")
    assert done.returncode == 0, done.stderr
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk, including the space reserved by the outbox's log."""
    outbox = folder / "state" / "outbox.db"
    if outbox.exists():
        with closing(sqlite3.connect(outbox)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return ballast
    raise AssertionError("there was no end of room")

"""The plain loop: the grid, what passes and what does not, several sinks."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

import pytest

from sst_cloud import (
    BadCredentialsError,
    Counter,
    ManualClock,
    Reading,
    Rejection,
    ServiceUnavailableError,
    SinkRefusedError,
    SinkUnavailableError,
    Snapshot,
    SSTCloudError,
    Unreadable,
    WriteReport,
)
from sst_cloud.collector import Poll, collect, poll

AWAY = ServiceUnavailableError(503, "away", "/houses/")


class Meter:
    """A source of one meter; raises the errors it is given, one per poll."""

    def __init__(self, clock: ManualClock, *errors: SSTCloudError | None) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.asked: list[datetime] = []

    async def snapshot(self) -> Snapshot:
        self.asked.append(self.clock.now())
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error
        counter = Counter(id=3, house_id=1, device_id=2, value_l=len(self.asked))
        lost = Unreadable(kind="counter", id=4, reason="odd")
        return Snapshot(time=self.clock.now(), counters=(counter,), unreadable=(lost,))


class Memory:
    """A sink that remembers; raises the errors it is given, one per write."""

    def __init__(self, *errors: SSTCloudError | None, reject: bool = False) -> None:
        self.errors = list(errors)
        self.reject = reject
        self.stored: list[Reading] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def check(self) -> None:
        return None

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error
        if self.reject:
            return WriteReport(0, tuple(Rejection(reading, "never") for reading in readings))
        self.stored += readings
        return WriteReport(len(readings))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 1, 12, 7, 11, tzinfo=UTC))


async def test_polls_lie_on_a_grid_with_jitter(clock: ManualClock) -> None:
    source = Meter(clock)
    await collect(source, {"m": Memory()}, polls=4, clock=clock, random=lambda: 0.5)
    assert [f"{moment:%H:%M:%S}" for moment in source.asked] == [
        "12:07:11",
        "12:20:15",
        "12:40:15",
        "13:00:15",
    ]


async def test_jitter_is_small_beside_the_interval(clock: ManualClock) -> None:
    source = Meter(clock)
    every = timedelta(minutes=1)
    await collect(source, {}, every=every, polls=3, clock=clock, random=lambda: 1.0)
    assert [f"{moment:%M:%S}" for moment in source.asked] == ["07:11", "08:03", "09:03"]


async def test_readings_reach_every_sink(clock: ManualClock) -> None:
    one, two = Memory(), Memory()
    await collect(Meter(clock), {"one": one, "two": two}, polls=3, clock=clock)
    assert [reading.value for reading in one.stored] == [1, 2, 3]
    assert one.stored == two.stored


async def test_what_passes_is_tried_again(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Memory()
    await collect(Meter(clock, None, AWAY), {"m": sink}, polls=3, clock=clock)
    assert [reading.value for reading in sink.stored] == [1, 3]
    assert "the next poll will try again" in caplog.text


async def test_what_passes_comes_out_where_there_is_no_next_poll(clock: ManualClock) -> None:
    with pytest.raises(ServiceUnavailableError):
        await collect(Meter(clock, AWAY), {"m": Memory()}, polls=1, clock=clock)


async def test_what_does_not_pass_comes_out_at_once(clock: ManualClock) -> None:
    source = Meter(clock, BadCredentialsError(400, "no", "/auth/login/"))
    with pytest.raises(BadCredentialsError):
        await collect(source, {"m": Memory()}, clock=clock)
    assert len(source.asked) == 1


async def test_a_sink_that_fails_holds_up_no_other(clock: ManualClock) -> None:
    busy, fine = Memory(SinkUnavailableError("busy")), Memory()
    await collect(Meter(clock), {"busy": busy, "fine": fine}, polls=2, clock=clock)
    assert [reading.value for reading in busy.stored] == [2]
    assert [reading.value for reading in fine.stored] == [1, 2]


async def test_a_sink_that_refuses_ends_the_loop_after_the_others_have_written(
    clock: ManualClock,
) -> None:
    closed, fine = Memory(SinkRefusedError("no such table")), Memory()
    with pytest.raises(SinkRefusedError):
        await collect(Meter(clock), {"closed": closed, "fine": fine}, clock=clock)
    assert len(fine.stored) == 1


async def test_a_poll_tells_what_became_of_it(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Poll] = []
    sinks = {"strict": Memory(reject=True), "fine": Memory()}
    await collect(Meter(clock), sinks, polls=1, clock=clock, on_poll=seen.append)
    (done,) = seen
    assert done.deliveries["fine"].report.accepted == 1
    assert [rejection.reason for rejection in done.deliveries["strict"].report.rejected] == [
        "never"
    ]
    assert "strict rejected" in caplog.text
    assert "counter 4 cannot be read: odd" in caplog.text


async def test_one_poll_raises_what_the_source_raises(clock: ManualClock) -> None:
    with pytest.raises(ServiceUnavailableError):
        await poll(Meter(clock, AWAY), {})

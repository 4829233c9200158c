"""The collector: the time grid, errors, several sinks, and what is kept between runs."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from time import tzset
from typing import Any

import pytest

from sst_cloud import (
    BadCredentialsError,
    ManualClock,
    Quality,
    Reading,
    Rejection,
    ServiceUnavailableError,
    SinkClosedError,
    SinkRefusedError,
    SinkUnavailableError,
    Snapshot,
    SSTCloudError,
    Unreadable,
    WriteReport,
)
from sst_cloud.collector import Collector, Poll
from sst_cloud.monitoring import AlarmRules, Event, EventKind, ValidationRules
from sst_cloud.notify.base import CommandFailedError, EventRejection, EventReport, Handler
from sst_cloud.outbox import (
    DeadLetters,
    DeliveryState,
    SinkStatus,
    Start,
    known_houses,
    read_status,
)
from sst_cloud.outbox.entries import Commit
from sst_cloud.outbox.outbox import Outbox
from sst_cloud.testing.sink_contract import sample_reading

from .parts import Always, Listener, MemorySink, Meter, SettableClock, Threads, collected

START = datetime(2026, 3, 1, 12, 7, 11, tzinfo=UTC)
AWAY = ServiceUnavailableError(503, "away", "/houses/")
REFUSED = BadCredentialsError(400, "no", "/auth/login/")
BUSY = SinkUnavailableError("busy")
CLOSED = SinkClosedError("nobody reads it")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    with Threads.counted():
        yield


@pytest.fixture
def clock() -> ManualClock:
    return SettableClock(START)


async def test_polls_follow_a_time_grid_with_jitter(clock: ManualClock, tmp_path: Path) -> None:
    source = Meter(clock)
    await collected(source, {}, tmp_path, 4, random=lambda: 0.5)
    assert source.times == ["12:07:11", "12:20:15", "12:40:15", "13:00:15"]


async def test_jitter_is_small_compared_to_the_interval(clock: ManualClock, tmp_path: Path) -> None:
    source = Meter(clock)
    await collected(source, {}, tmp_path, 3, every=timedelta(minutes=1), random=lambda: 1.0)
    assert source.times == ["12:07:11", "12:08:03", "12:09:03"]


@pytest.mark.parametrize(
    ("jump", "then"),
    [
        (timedelta(hours=5, minutes=3), ["17:20:00", "17:40:00", "18:00:00"]),
        (timedelta(minutes=-31), ["11:40:00", "12:00:00", "12:20:00"]),
        (timedelta(days=-365), ["12:20:00", "12:40:00", "13:00:00"]),
        (timedelta(minutes=8), ["12:20:00", "12:40:00", "13:00:00"]),
    ],
)
async def test_clock_jump_continues_the_grid_without_a_burst(
    jump: timedelta, then: list[str], tmp_path: Path
) -> None:
    source = Meter(SettableClock(START, timedelta(0), jump))
    await collected(source, {}, tmp_path, 4, random=lambda: 0.0)
    assert source.times == ["12:07:11", *then]


async def test_slow_poll_continues_the_grid_without_a_burst(
    clock: ManualClock, tmp_path: Path
) -> None:
    source = Meter(clock)
    source.before_answer = lambda: (
        clock.advance(timedelta(minutes=50)) if len(source.poll_times) == 2 else None
    )
    await collected(source, {}, tmp_path, 4, random=lambda: 0.0)
    assert source.times == ["12:07:11", "12:20:00", "13:20:00", "13:40:00"]


async def test_readings_reach_every_sink(clock: ManualClock, tmp_path: Path) -> None:
    one, two = MemorySink(), MemorySink()
    await collected(Meter(clock), {"one": one, "two": two}, tmp_path, 3)
    assert one.values == [1, 2, 3]
    assert one.stored == two.stored


async def test_cloud_outage_and_recovery_are_each_logged_once(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink, source = MemorySink(), Meter(clock, None, AWAY, AWAY, AWAY)
    await collected(source, {"m": sink}, tmp_path, 6)
    assert sink.values == [1, 2, 3]
    assert caplog.text.count("cannot read the test source") == 1
    assert caplog.text.count("is responding again") == 1
    assert read_status(tmp_path).failed_polls == 3
    assert read_status(tmp_path).source_error is None


async def test_temporary_error_of_the_last_poll_is_raised(
    clock: ManualClock, tmp_path: Path
) -> None:
    with pytest.raises(ServiceUnavailableError):
        await collected(Meter(clock, AWAY), {"m": MemorySink()}, tmp_path, 1)


async def test_wrong_credentials_are_raised_if_no_poll_ever_succeeded(
    clock: ManualClock, tmp_path: Path
) -> None:
    with pytest.raises(BadCredentialsError):
        await collected(Meter(clock, REFUSED), {"m": MemorySink()}, tmp_path, 5)


async def test_wrong_credentials_pause_a_collector_that_worked_before(
    clock: ManualClock, tmp_path: Path
) -> None:
    """It does not try at every poll: that might lock the account."""
    await collected(Meter(clock), {}, tmp_path, 1)
    source = Meter(clock, REFUSED, REFUSED)
    await collected(source, {}, tmp_path, 8, random=lambda: 0.0)
    assert source.times == ["12:07:11", "13:20:00", "14:20:00"]


async def test_clock_set_back_does_not_prolong_the_credentials_pause(
    tmp_path: Path,
) -> None:
    clock = SettableClock(START)
    await collected(Meter(clock), {}, tmp_path, 1)
    source = Meter(clock, REFUSED)
    source.before_answer = lambda: (
        clock.jumps.append(timedelta(days=-365)) if len(source.poll_times) == 1 else None
    )
    await collected(source, {}, tmp_path, 8, random=lambda: 0.0)
    assert source.times[:2] == ["12:07:11", "12:20:00"]


async def test_unexpected_exception_does_not_stop_the_collector(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = MemorySink()
    await collected(Meter(clock, None, ZeroDivisionError("odd")), {"m": sink}, tmp_path, 3)
    assert sink.values == [1, 2]
    assert "ZeroDivisionError" in caplog.text


async def test_unusable_snapshot_does_not_stop_the_collector(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink, source = MemorySink(), Meter(clock)
    source.before_answer = lambda: setattr(
        source, "litres", 2**64 if len(source.poll_times) == 2 else 0
    )
    await collected(source, {"m": sink}, tmp_path, 3)
    assert sink.values == [1, 1]
    assert "unexpected error" in caplog.text


class UnspeakableError(SSTCloudError):
    """An error that cannot be converted to text."""

    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.not_quick
@pytest.mark.parametrize(
    "error",
    [
        SinkUnavailableError("no such file: \udcff"),
        SinkUnavailableError("busy", retry_after=float("9" * 400)),
        SinkUnavailableError("busy", retry_after=float("nan")),
        SinkUnavailableError("busy", retry_after=-5.0),
        SinkUnavailableError("busy", retry_after="3"),  # type: ignore[arg-type]
        SinkUnavailableError("busy", retry_after=timedelta(seconds=3)),  # type: ignore[arg-type]
        UnspeakableError(),
        SystemExit(0),
        GeneratorExit(),
        BaseExceptionGroup("several", [SystemExit(1)]),
        asyncio.CancelledError(),
    ],
    ids=lambda error: f"{type(error).__name__} {getattr(error, 'retry_after', '')}",
)
async def test_delivery_continues_after_any_sink_error(
    error: BaseException, clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # what is not UTF-8 cannot be reported by the test's process
    sink = MemorySink(error)
    await collected(Meter(clock), {"m": sink}, tmp_path, 75)
    assert sink.values == list(range(1, 76))


@pytest.mark.parametrize(
    "report",
    [
        None,
        WriteReport(0, None),  # type: ignore[arg-type]
        WriteReport(0, ("odd",)),  # type: ignore[arg-type]
        WriteReport(0, (Rejection(sample_reading(), "once"), Rejection(sample_reading(), "twice"))),
    ],
)
async def test_sink_with_an_invalid_report_is_logged_and_retried(
    report: WriteReport, clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(MemorySink):
        async def write(self, readings: Sequence[Reading]) -> WriteReport:
            valid_report = await super().write(readings)
            return report if self.writes == 1 else valid_report

    sink = Odd()
    await collected(Meter(clock), {"odd": sink}, tmp_path, 3)
    assert sink.values == [1, 1, 2, 3]
    assert caplog.text.count("odd: its write did not return a report") == 1


async def test_odd_rejection_reasons_become_dead_letters(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # what is not UTF-8 cannot be reported by the test's process

    class Odd(MemorySink):
        async def write(self, readings: Sequence[Reading]) -> WriteReport:
            reasons = [7, "half a character: \ud800"]
            return WriteReport(
                0,
                tuple(Rejection(r, reasons[int(r.value) % 2]) for r in readings),  # type: ignore[arg-type]
            )

    await collected(Meter(clock), {"odd": Odd()}, tmp_path, 2)
    letters = DeadLetters(tmp_path).read()
    assert [letter.reason for letter in letters] == ["half a character: ?", "7"]


async def test_accepted_readings_are_not_written_again_while_dead_letters_fail(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dead-letters.jsonl").mkdir()
    sink = MemorySink(reject=2)

    def mend(_: Poll) -> None:
        if len(source.poll_times) == 5:
            (tmp_path / "dead-letters.jsonl").rmdir()

    def look(_: Poll) -> None:
        if len(source.poll_times) == 4:
            statuses.append(read_status(tmp_path).sinks[0])
        mend(_)

    statuses: list[SinkStatus] = []
    source = Meter(clock)
    await collected(source, {"m": sink}, tmp_path, 8, on_poll=look)
    assert sink.values == [1, 3, 4, 5, 6, 7, 8]
    assert [letter.reading.value for letter in DeadLetters(tmp_path).read()] == [2]
    assert statuses[0].state is DeliveryState.RETRYING
    assert "dead-letters.jsonl cannot be used" in (statuses[0].error or "")


async def test_unencodable_text_does_not_stop_the_collector(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    sink = MemorySink()
    source = Meter(clock, None, ServiceUnavailableError(503, "\ud800", "/houses/"), house="\ud800")
    await collected(source, {"m": sink}, tmp_path, 3)
    assert sink.values == [1, 2]
    assert [house.name for house in known_houses(tmp_path)] == ["?"]


async def test_sink_receives_missed_readings_after_an_outage(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away, working = MemorySink(None, BUSY, BUSY, BUSY), MemorySink()
    await collected(Meter(clock), {"away": away, "well": working}, tmp_path, 9)
    assert away.values == working.values == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert caplog.text.count("away: busy") == 1
    assert caplog.text.count("away accepts readings again") == 1


async def test_undelivered_readings_are_kept_for_the_next_run(
    clock: ManualClock, tmp_path: Path
) -> None:
    away, working = MemorySink(), MemorySink()
    away.errors = Always(BUSY)
    source = Meter(clock)
    first = await collected(source, {"away": away, "well": working}, tmp_path, 3)
    assert first.errors == {"away": BUSY}
    (behind,) = [sink for sink in read_status(tmp_path).sinks if sink.name == "away"]
    assert (behind.waiting, behind.state, behind.error) == (3, DeliveryState.RETRYING, "busy")
    away.errors = []
    await collected(source, {"away": away, "well": working}, tmp_path, 1)
    assert away.values == working.values == [1, 2, 3, 4]


@pytest.mark.parametrize("error", [BUSY, SinkRefusedError("no such table")])
async def test_last_poll_does_not_wait_for_a_failed_sink(
    error: SSTCloudError, clock: ManualClock, tmp_path: Path
) -> None:
    """The sink was tried with the earlier readings while the cloud was being read."""
    sink = MemorySink()
    sink.errors = Always(error)
    await collected(Meter(clock), {"m": sink}, tmp_path, 1)

    class Slow(Meter):
        async def snapshot(self) -> Snapshot:
            while collector.errors == {}:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0)
            return await super().snapshot()

    start = clock.now()
    collector = Collector(Slow(clock, litres=1), {"m": sink}, tmp_path, clock=clock)
    async with collector:
        await collector.run(1)
        assert clock.now() == start
    assert collector.errors == {"m": error}
    assert read_status(tmp_path).sinks[0].waiting == 2


async def test_retry_waits_grow_and_follow_retry_after(clock: ManualClock, tmp_path: Path) -> None:
    tries: list[datetime] = []

    class Watched(MemorySink):
        async def write(self, readings: Sequence[Reading]) -> WriteReport:
            tries.append(clock.now())
            return await super().write(readings)

    patient = SinkUnavailableError("later", retry_after=1000.0)
    sink = Watched(*[BUSY] * 10, patient)
    async with Collector(
        Meter(clock),
        {"m": sink},
        tmp_path,
        clock=clock,
        random=lambda: 1.0,
        every=timedelta(days=1),
    ) as collector:
        await collector.run(2)
    waits = [(later - earlier).total_seconds() for earlier, later in zip(tries, tries[1:])]  # noqa: B905,RUF007
    assert waits[:11] == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 1000]


async def test_hanging_write_is_logged_and_does_not_block(
    clock: ManualClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sst_cloud.outbox.delivery.HANGING_AFTER", 0.0)
    end = asyncio.Event()

    class Endless(MemorySink):
        async def write(self, readings: Sequence[Reading]) -> WriteReport:
            await end.wait()
            return await super().write(readings)

    endless, working, source = Endless(), MemorySink(), Meter(clock)
    polls: list[Poll] = []

    def note(poll: Poll) -> None:
        polls.append(poll)
        if len(polls) == 4:
            end.set()

    await collected(source, {"endless": endless, "well": working}, tmp_path, 5, on_poll=note)
    assert endless.values == working.values == [1, 2, 3, 4, 5]
    assert endless.writes == 3
    assert "endless: a write has not finished" in caplog.text
    assert "endless accepts readings again" in caplog.text


async def test_last_poll_does_not_wait_for_a_hanging_write(
    clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sst_cloud.outbox.delivery.HANGING_AFTER", 0.0)
    monkeypatch.setattr("sst_cloud.collector.collector.GRACE", 0.0)

    class Endless(MemorySink):
        async def write(self, readings: Sequence[Reading]) -> WriteReport:
            await asyncio.Event().wait()
            return await super().write(readings)

    collector = await collected(Meter(clock), {"endless": Endless()}, tmp_path, 2)
    assert "has not finished" in str(collector.errors["endless"])
    assert read_status(tmp_path).sinks[0].waiting == 2


async def test_refusing_sink_is_paused_for_an_hour_and_logged_once(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strict, working = MemorySink(), MemorySink()
    strict.errors = Always(SinkRefusedError("no such table"))
    await collected(
        Meter(clock), {"strict": strict, "well": working}, tmp_path, 10, random=lambda: 0.0
    )
    assert len(working.stored) == 10
    assert strict.writes in (3, 4)  # in three hours
    assert caplog.text.count("no such table") == 1


async def test_retry_now_resumes_a_paused_sink(clock: ManualClock, tmp_path: Path) -> None:
    strict = MemorySink(SinkRefusedError("no such table"))
    source = Meter(clock)

    def tell(poll: Poll) -> None:
        if len(source.poll_times) == 2:
            collector.retry_now()

    collector = Collector(source, {"strict": strict}, tmp_path, clock=clock, on_poll=tell)
    async with collector:
        await collector.run(3)
    assert strict.values == [1, 2, 3]
    assert clock.now() - START < timedelta(hours=1)


async def test_collector_ends_once_all_its_sinks_are_closed(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Event handlers do not keep it going; what was not delivered is kept."""
    source, sink, other = Meter(clock), MemorySink(None, CLOSED), MemorySink(CLOSED)
    with pytest.raises(SinkClosedError, match="nobody reads"):
        await collected(source, {"a": sink, "b": other}, tmp_path, 9, handlers={"h": Listener()})
    assert (sink.values, other.values, len(source.times)) == ([1], [], 2)
    messages = [record.getMessage() for record in caplog.records if "nobody" in record.message]
    assert sorted(messages) == ["a: nobody reads it", "b: nobody reads it"]
    assert {status.name: status.waiting for status in read_status(tmp_path).sinks} == {
        "a": 1,
        "b": 2,
        "h": 0,
    }


async def test_collector_goes_on_for_a_sink_that_is_not_closed(
    clock: ManualClock, tmp_path: Path
) -> None:
    sink = MemorySink()
    await collected(Meter(clock), {"a": MemorySink(CLOSED), "b": sink}, tmp_path, 3)
    assert sink.values == [1, 2, 3]


async def test_rejected_reading_becomes_a_dead_letter_without_blocking(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strict, working = MemorySink(reject=2), MemorySink()
    await collected(Meter(clock), {"strict": strict, "well": working}, tmp_path, 3)
    assert (strict.values, working.values) == ([1, 3], [1, 2, 3])
    (letter,) = DeadLetters(tmp_path).read()
    assert (letter.sink, letter.reason, letter.reading.value) == ("strict", "odd", 2)
    assert "strict rejected 1 readings" in caplog.text


@pytest.mark.parametrize(("start", "first"), [(Start.NOW, [3]), (Start.BEGINNING, [1, 2, 3])])
async def test_new_sink_starts_where_configured(
    start: Start, first: list[int], clock: ManualClock, tmp_path: Path
) -> None:
    source, old, new = Meter(clock), MemorySink(), MemorySink()
    await collected(source, {"old": old}, tmp_path, 2)
    await collected(source, {"old": old, "new": new}, tmp_path, 1, start=start)
    assert old.values == [1, 2, 3]
    assert new.values == first


async def test_returning_sink_continues_at_its_old_position(
    clock: ManualClock, tmp_path: Path
) -> None:
    source, one, two = Meter(clock), MemorySink(), MemorySink()
    await collected(source, {"one": one, "two": two}, tmp_path, 1)
    await collected(source, {"one": one}, tmp_path, 1)
    gone = {sink.name: sink.state for sink in read_status(tmp_path).sinks}
    assert gone == {"one": DeliveryState.DELIVERING, "two": DeliveryState.REMOVED}
    await collected(source, {"one": one, "two": two}, tmp_path, 1)
    assert one.values == two.values == [1, 2, 3]


async def test_suspect_readings_of_a_new_meter_are_redelivered_when_confirmed(
    clock: ManualClock, tmp_path: Path
) -> None:
    source, sink = Meter(clock, litres=118_000), MemorySink()
    await collected(source, {"m": sink}, tmp_path, 2)
    source.litres = 0
    polls: list[Poll] = []
    await collected(source, {"m": sink}, tmp_path, 3, on_poll=polls.append)
    assert [reading.quality for reading in sink.stored] == [
        *[Quality.GOOD] * 2,
        *[Quality.SUSPECT] * 2,
        *[Quality.GOOD] * 3,
    ]
    assert sink.values == [118_001, 118_002, 1, 2, 1, 2, 3]
    assert {reading.key for reading in sink.stored[2:4]} == {
        reading.key for reading in sink.stored[4:6]
    }
    assert [poll.redelivered_count for poll in polls] == [0, 0, 2]


async def test_restart_neither_repeats_nor_loses_events(clock: ManualClock, tmp_path: Path) -> None:
    handler, silent = Listener(), Meter(clock, *[AWAY] * 30)
    await collected(Meter(clock), {}, tmp_path, 1, handlers={"h": handler})
    for _ in range(2):
        with suppress(ServiceUnavailableError):  # of the last poll
            await collected(silent, {}, tmp_path, 15, handlers={"h": handler})
    await collected(Meter(clock), {}, tmp_path, 1, handlers={"h": handler})
    assert [(event.kind, event.over) for event in handler.received] == [
        ("no_readings", False),
        ("no_readings", True),
    ]


async def test_validation_and_alarm_rules_are_applied(clock: ManualClock, tmp_path: Path) -> None:
    source, sink, handler = Meter(clock, litres=1_000), MemorySink(), Listener()
    rules = {
        "validation_rules": ValidationRules(max_flow=60_000, confirmations=0),
        "alarm_rules": AlarmRules(night=(time(12), time(18)), night_litres=10, max_flow=60_000),
    }

    def rise() -> None:
        source.litres += {2: 15_000, 3: -15_500}.get(len(source.poll_times), 0)

    source.before_answer = rise
    await collected(source, {"m": sink}, tmp_path, 4, handlers={"h": handler}, **rules)
    assert {reading.quality for reading in sink.stored} == {Quality.GOOD}
    assert [event.kind for event in handler.received] == ["night_use", "counter_replaced"]


async def test_maximum_of_a_counter_is_used_by_validation(
    clock: ManualClock, tmp_path: Path
) -> None:
    source, sink = Meter(clock, litres=99_990, max_value=100_000), MemorySink()
    source.before_answer = lambda: (
        setattr(source, "litres", source.litres % 100_000 + 9) if source.litres else None
    )
    await collected(source, {"m": sink}, tmp_path, 3)
    assert sink.values == [100_000, 10, 20]
    assert {reading.quality for reading in sink.stored} == {Quality.GOOD}


@pytest.fixture
def _in_vladivostok(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Vladivostok")
        tzset()
        yield
    tzset()


@pytest.mark.usefixtures("_in_vladivostok")
@pytest.mark.parametrize(
    ("zone", "begin", "reported"),
    [("Europe/Moscow", 22, True), ("Europe/Moscow", 16, False), (None, 16, True), (None, 2, False)],
)
async def test_night_uses_the_time_zone_of_the_house_or_machine(
    zone: str | None, begin: int, reported: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SettableClock(datetime(2026, 3, 1, begin, 10, tzinfo=UTC))
    source, handler = Meter(clock, zone=zone), Listener()
    source.before_answer = lambda: setattr(source, "litres", source.litres + 20)
    await collected(source, {}, tmp_path, 4, handlers={"h": handler})
    assert ["night_use"] * reported == [event.kind for event in handler.received]
    assert caplog.text.count("the time zone of house 1 is not known") == (zone is None)


async def test_events_are_delivered_to_handlers_and_logged(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, handler = Meter(clock, litres=118_000), Listener(BUSY)
    await collected(source, {}, tmp_path, 1, handlers={"h": handler})
    source.litres = 0
    await collected(source, {}, tmp_path, 3, handlers={"h": handler})
    assert [event.kind for event in handler.received] == ["counter_suspect", "counter_replaced"]
    logged = [record for record in caplog.records if hasattr(record, "event")]
    assert [record.event["kind"] for record in logged] == ["counter_suspect", "counter_replaced"]
    assert all(record.levelno == logging.WARNING for record in logged)


async def test_events_rejected_by_a_handler_are_logged(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Choosy(Listener):
        async def write(self, events: Sequence[Event]) -> EventReport:  # type: ignore[override]
            return EventReport(0, tuple(EventRejection(event, "no such hook") for event in events))

    source = Meter(clock, litres=118_000)
    await collected(source, {}, tmp_path, 1, handlers={"h": Choosy()})
    source.litres = 0
    await collected(source, {}, tmp_path, 1, handlers={"h": Choosy()})
    assert "h rejected 1 events, the first because: no such hook" in caplog.text
    assert not DeadLetters(tmp_path).read()
    (handler,) = read_status(tmp_path).sinks
    assert (handler.rejected, handler.waiting) == (1, 0)


async def test_one_failing_event_does_not_block_many_others(
    clock: ManualClock, tmp_path: Path
) -> None:
    class Picky(Handler):
        name = "picky"

        def __init__(self) -> None:
            super().__init__(clock)
            self.received = set[str]()

        async def check(self) -> None:
            return None

        async def send(self, content: Mapping[str, Any]) -> None:
            if content["message"] == "0":
                raise CommandFailedError("not this one")
            self.received.add(content["message"])

    events = [
        Event(time=clock.now(), kind=EventKind.LEAK, message=str(number), point_id=str(number))
        for number in range(100)
    ]
    async with Outbox(tmp_path, clock=clock) as outbox:
        await outbox.append(Commit(events=events))
    handler = Picky()
    await collected(
        Meter(clock), {}, tmp_path, 3, handlers={"picky": handler}, start=Start.BEGINNING
    )
    assert handler.received == {str(number) for number in range(1, 100)}


async def test_refusing_handler_is_retried_within_minutes(
    clock: ManualClock, tmp_path: Path
) -> None:
    source, handler = Meter(clock, litres=118_000), Listener(SinkRefusedError("gone"))
    await collected(source, {}, tmp_path, 1, handlers={"h": handler})
    source.litres = 0
    event_counts: list[int] = []
    await collected(
        source,
        {},
        tmp_path,
        3,
        handlers={"h": handler},
        on_poll=lambda _: event_counts.append(len(handler.received)),
    )
    assert event_counts[1] == 1


async def test_unreadable_counter_is_logged_once(
    clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Meter(clock)
    source.unreadable = (Unreadable(kind="counter", id=4, reason="odd"),)
    await collected(source, {}, tmp_path, 3)
    assert caplog.text.count("counter 4 cannot be read: odd") == 1


async def test_houses_and_status_can_be_read_by_other_programs(
    clock: ManualClock, tmp_path: Path
) -> None:
    assert known_houses(tmp_path) == ()
    await collected(Meter(clock), {"m": MemorySink()}, tmp_path, 2, random=lambda: 0.0)
    (house,) = known_houses(tmp_path)
    assert (house.id, house.name, house.timezone, house.report_date) == (
        1,
        "Home",
        "Europe/Moscow",
        20,
    )
    status = read_status(tmp_path)
    assert (status.polls, status.failed_polls, status.readings) == (2, 0, 2)
    assert status.last_success == datetime(2026, 3, 1, 12, 20, tzinfo=UTC)
    assert status.sinks[0].delivered == 2


async def test_stop_keeps_undelivered_readings(clock: ManualClock, tmp_path: Path) -> None:
    source, sink = Meter(clock), MemorySink()
    sink.errors = Always(BUSY)

    def stop(_: Poll) -> None:
        if len(source.poll_times) == 3:
            collector.stop()

    collector = Collector(source, {"m": sink}, tmp_path, clock=clock, on_poll=stop)
    async with collector:
        await collector.run()
    assert len(source.poll_times) == 3
    assert read_status(tmp_path).sinks[0].waiting == 3


async def test_stop_records_the_running_write_and_starts_no_other(
    clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sst_cloud.outbox.delivery.BATCH_SIZE", 2)
    under_way, end = asyncio.Event(), asyncio.Event()

    class Slow(MemorySink):
        async def write(self, readings: Sequence[Reading]) -> WriteReport:
            under_way.set()
            await end.wait()
            return await super().write(readings)

    away, slow = MemorySink(), Slow(reject=1)
    away.errors = Always(BUSY)
    await collected(Meter(clock), {"slow": away}, tmp_path, 3)
    async with Collector(Meter(clock), {"slow": slow}, tmp_path, clock=clock):
        await under_way.wait()
        asyncio.get_running_loop().call_later(0, end.set)
    (sink,) = read_status(tmp_path).sinks
    assert (slow.writes, slow.values) == (1, [2])
    assert (sink.delivered, sink.rejected, sink.waiting) == (1, 1, 1)
    assert len(DeadLetters(tmp_path).read()) == 1

"""The help for sinks: what is in a URL, batches, and the readings at fault in a refused batch."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from sst_cloud import (
    Reading,
    Rejection,
    SinkOptionsError,
    SinkRefusedError,
    SinkUnavailableError,
    WriteReport,
)
from sst_cloud.sink import Guarantee, Option, SinkURL, flag
from sst_cloud.testing import SinkContract
from sst_cloud.testing.sink_contract import SinkFactory, sample_reading
from sst_cloud_sinks.base import BaseSink, BatchRefusedError


class Store(BaseSink):
    """Keeps readings; refuses every batch with one named `bad`."""

    guarantee: ClassVar[Guarantee] = Guarantee.APPENDS
    batch_size = 10

    def __init__(self) -> None:
        self.batches: list[Sequence[Reading]] = []
        """As requested."""
        self.stored: list[Reading] = []
        self.checks = 0
        self.fault: Exception | None = None
        """What `check` finds."""
        self.running = self.most_at_once = 0

    async def check(self) -> None:
        self.checks += 1
        if self.fault:
            raise self.fault

    async def write_batch(self, readings: Sequence[Reading]) -> list[Rejection]:
        self.batches.append(readings)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            for _ in range(len(readings)):  # so that smaller batches overtake larger ones
                await asyncio.sleep(0)
            return self.store(readings)
        finally:
            self.running -= 1

    def store(self, readings: Sequence[Reading]) -> list[Rejection]:
        names = {reading.name for reading in readings}
        if "down" in names:
            raise SinkUnavailableError("it is down", retry_after=7)
        if "bad" in names:
            raise BatchRefusedError("one of them is bad")
        self.stored += [reading for reading in readings if reading.name != "late"]
        return [Rejection(reading, "too late") for reading in readings if reading.name == "late"]


def meters(count: int, **names: str) -> list[Reading]:
    """Readings of as many points; `_3="bad"` names the third."""
    return [
        sample_reading(point_id=str(number), name=names.get(f"_{number}", "good"))
        for number in range(count)
    ]


class TestContract(SinkContract):
    @pytest.fixture
    def make_sink(self) -> SinkFactory:
        self.store = Store()
        return lambda: self.store

    async def stored(self, make_sink: SinkFactory) -> Sequence[Reading]:
        return self.store.stored


class Account(BaseSink):
    """Has everything that a URL can hold."""

    guarantee: ClassVar[Guarantee] = Guarantee.FLEETING
    options: ClassVar[Sequence[Option]] = (Option("loud", "yes or no", flag),)

    def __init__(self, *target: Any, **keywords: Any) -> None:
        self.arguments = (target, keywords)

    async def check(self) -> None:
        return None


class File(Account):
    target: ClassVar[str] = "PATH"


class Host(Account):
    target: ClassVar[str] = "HOST/TABLE"
    secrets: ClassVar[Sequence[str]] = ("KEY", "UNSET")


SECRETS = {"KEY": "s3cret", "OTHER": "another"}


@pytest.mark.parametrize(
    ("kind", "url", "target", "keywords"),
    [
        (Account, "it:", (), {}),
        (Account, "it:?loud=yes", (), {"loud": True}),
        (File, "it:a%20b?loud=no", ("a b",), {"loud": False}),
        (Host, "it:h%2F/t", ("h%2F/t",), {"secrets": {"KEY": "s3cret"}}),
    ],
)
def test_arguments_are_those_of_the_url(
    kind: type[Account], url: str, target: tuple[str, ...], keywords: dict[str, Any]
) -> None:
    given, options = kind.from_url(SinkURL.parse(url, SECRETS)).arguments
    assert (tuple(map(str, given)), options) == (target, keywords)


@pytest.mark.parametrize(
    ("kind", "url", "message"),
    [
        (Account, "it:x", "the it sink takes no target"),
        (Account, "it:?loud=maybe", "option 'loud' of the it sink must be one of yes, no"),
        (Account, "it:?quiet=yes", "has no option 'quiet'"),
        (File, "it:", "the it sink needs a path: it:PATH"),
        (Host, "it:", "the it sink needs it:HOST/TABLE"),
    ],
)
def test_other_urls_are_refused(kind: type[Account], url: str, message: str) -> None:
    with pytest.raises(SinkOptionsError, match=message):
        kind.from_url(SinkURL.parse(url, SECRETS))


async def test_opens_and_closes() -> None:
    steps = []

    class Steps(Account):
        async def open(self) -> None:
            steps.append("open")

        async def close(self) -> None:
            steps.append("close")

    async with Steps() as sink:
        steps.append("used")
        with pytest.raises(NotImplementedError):
            await sink.write([sample_reading()])
    assert steps == ["open", "used", "close"]


async def test_batches_are_written_a_few_at_a_time() -> None:
    sink, readings = Store(), meters(35)
    sink.max_concurrency = 2
    assert await sink.write(readings) == WriteReport(accepted=35)
    assert [len(batch) for batch in sink.batches] == [10, 10, 10, 5]
    assert sink.most_at_once == 2
    assert sorted(sink.stored, key=readings.index) == readings


async def test_readings_with_the_same_key_are_written_in_their_order() -> None:
    sink = Store()
    sink.max_concurrency = 4
    readings = [sample_reading(value=number) for number in range(35)]
    await sink.write(readings)
    assert (sink.most_at_once, sink.stored) == (1, readings)


async def test_rejections_are_in_the_order_of_the_readings() -> None:
    sink = Store()
    sink.max_concurrency = 4
    readings = meters(34, _2="late", _8="bad", _13="late", _21="bad", _33="late")
    report = await sink.write(readings)
    assert [rejection.reading for rejection in report.rejected] == [
        readings[number] for number in (2, 8, 13, 21, 33)
    ]
    assert {rejection.reason for rejection in report.rejected} == {"too late", "one of them is bad"}
    assert report.accepted == len(sink.stored) == 29


async def test_a_bad_reading_costs_few_requests_and_one_check() -> None:
    sink = Store()
    sink.batch_size = 1000
    report = await sink.write(meters(1000, _700="bad"))
    assert (report.accepted, len(report.rejected)) == (999, 1)
    assert len(sink.stored) == len(set(sink.stored)) == 999
    assert len(sink.batches) < 25
    assert sink.checks == 1


async def test_a_store_at_fault_is_refused_before_its_readings_are() -> None:
    sink = Store()
    sink.fault = SinkRefusedError("no such table")
    with pytest.raises(SinkRefusedError, match="no such table"):
        await sink.write(meters(9, _3="bad"))
    assert len(sink.batches) == 1


@pytest.mark.parametrize(("count", "is_store_at_fault"), [(1, False), (9, False), (10, True)])
async def test_a_store_that_accepts_none_of_many_is_at_fault(
    count: int, *, is_store_at_fault: bool
) -> None:
    sink = Store()
    write = sink.write(meters(count, **{f"_{number}": "bad" for number in range(count)}))
    if is_store_at_fault:
        with pytest.raises(SinkRefusedError, match="none of 10 readings is accepted: one of"):
            await write
    else:
        assert len((await write).rejected) == count


async def test_an_error_of_one_batch_ends_the_write() -> None:
    sink = Store()
    sink.max_concurrency = 2
    with pytest.raises(SinkUnavailableError, match="it is down") as caught:
        await sink.write(meters(1000, _5="down", _15="bad"))
    assert caught.value.retry_after == 7
    assert len(sink.batches) < 5
    assert sink.running == 0


async def test_an_error_in_one_half_of_a_batch_is_raised_and_no_rejection() -> None:
    sink = Store()
    with pytest.raises(SinkUnavailableError):
        await sink.write(meters(10, _1="bad", _8="down"))


async def test_a_write_that_cancels_itself_is_not_taken_for_stored() -> None:
    class Cancelled(Store):
        def store(self, readings: Sequence[Reading]) -> list[Rejection]:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Cancelled().write([sample_reading()])


async def test_a_write_can_be_cancelled() -> None:
    sink = Store()
    sink.max_concurrency = 3
    later = sample_reading(time=sample_reading().time + timedelta(hours=1))
    task = asyncio.create_task(sink.write([*meters(50), later]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (sink.running, sink.stored) == (0, [])
    assert sink.batches

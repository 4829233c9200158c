"""Choosing houses, several sources as one, and what a snapshot says of its source."""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any, Self

import pytest

from sources import OpenSource
from sst_cloud import (
    AuthenticationError,
    Counter,
    FirstAnswering,
    House,
    ManualClock,
    NeptunSmart,
    RequestTimeoutError,
    SelectedHouses,
    Snapshot,
    Source,
    SourceError,
    SSTCloud,
    SSTCloudError,
    TokenAuth,
    TokenRejectedError,
    Unreadable,
)
from sst_cloud.source import name_of, opened, read_devices, read_houses, read_snapshot, refresh_of
from sst_cloud.testing import FakeCloud, SourceContract
from sst_cloud.testing.source_contract import SourceFactory

NOW = ManualClock().now()
TIMED_OUT = RequestTimeoutError("no response within 60 s")
ODD = SSTCloudError("odd")
REJECTED = TokenRejectedError(401, "Invalid token.", "/houses/")


class Home(OpenSource):
    """Two houses; raises the errors it is given, one per snapshot."""

    def __init__(self, name: str, *errors: Exception | None) -> None:
        self.name = name
        self.errors = list(errors)
        self.opened = self.closed = self.asked = 0
        self.open_errors: list[Exception] = []

    async def __aenter__(self) -> Self:
        if self.open_errors:
            raise self.open_errors.pop(0)
        self.opened += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed += 1

    async def snapshot(self) -> Snapshot:
        self.asked += 1
        if self.errors and (error := self.errors.pop(0)):
            raise error
        return Snapshot(
            time=NOW,
            houses=(House(id=1, name="Flat"), House(id=2, name="Dacha")),
            devices=(
                NeptunSmart(id=10, house_id=1, name="Bathroom", model="Neptun Smart"),
                NeptunSmart(id=20, house_id=2, name="Well", model="Neptun Smart"),
            ),
            counters=(
                Counter(id=11, house_id=1, device_id=10, value_l=5),
                Counter(id=21, house_id=2, device_id=20, value_l=7),
            ),
        )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class TestSSTCloud(SourceContract):
    may_send_commands = True

    @pytest.fixture
    def make_source(self, fake: FakeCloud) -> SourceFactory:
        return lambda: SSTCloud(TokenAuth(fake.token), base_url=fake.url, clock=fake.clock)

    @pytest.fixture
    def make_unreachable_source(self, unused_tcp_port: int, clock: ManualClock) -> SourceFactory:
        address = f"http://127.0.0.1:{unused_tcp_port}"
        return lambda: SSTCloud(TokenAuth("token"), base_url=address, clock=clock)


async def test_snapshot_says_where_it_comes_from() -> None:
    snapshot = await read_snapshot(Home("Home server"))
    assert (snapshot.source, snapshot.refresh) == ("Home server", timedelta(minutes=10))


class Unnamed(OpenSource):
    @property
    def name(self) -> str:  # type: ignore[override]
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (Home("http://me:s3cret@server/"), "http://***@server/"),
        (Home("a\nb\x1b[31m\t c"), "a b [31m c"),
        (Home("long " * 100_000), ("long " * 20)),
        (Home(" \n"), "Home"),
        (Home(None), "Home"),  # type: ignore[arg-type]
        (Unnamed(), "Unnamed"),
    ],
)
def test_name_is_short_printable_and_without_secrets(source: Source, name: str) -> None:
    assert name_of(source) == name
    assert SelectedHouses(source).name == name
    assert FirstAnswering([source]).names == (name,)


@pytest.mark.parametrize("refresh", [None, 3, timedelta(seconds=-1), timedelta.max])
async def test_impossible_refresh_interval_is_an_error(refresh: Any) -> None:
    source = Home("Home")
    source.refresh = refresh
    with pytest.raises(SourceError, match="a refresh interval must be a timedelta of 0 to 366"):
        await read_snapshot(source)
    with pytest.raises(SourceError, match="a refresh interval must be"):
        refresh_of(source)


class Answering(Home):
    """Gives any answer."""

    def __init__(self, answer: Any) -> None:
        super().__init__("Odd")
        self.answer = answer

    async def snapshot(self) -> Snapshot:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "Odd gave no Snapshot, but NoneType"),
        ({"houses": []}, "Odd gave no Snapshot, but dict"),
        (Snapshot(time=datetime(2026, 1, 1)), "a snapshot of Odd has a time without a time zone"),  # noqa: DTZ001
        (TimeoutError(), "TimeoutError: TimeoutError"),
        (KeyError("http://me:s3cret@server/"), "KeyError: 'http://***@server/'"),
        (ExceptionGroup("several", [KeyError("x")]), "ExceptionGroup: several (1 sub-exception)"),
        (asyncio.CancelledError(), "Odd cancelled its own work"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda it: it, SelectedHouses, lambda it: FirstAnswering([it])])
async def test_wrong_answer_is_an_error_that_says_so(wrap: Any, answer: Any, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        await read_snapshot(wrap(Answering(answer)))
    assert str(caught.value) == message


async def test_source_whose_reader_is_cancelled_is_cancelled() -> None:
    class Hanging(Home):
        async def snapshot(self) -> Snapshot:
            await asyncio.Event().wait()
            raise AssertionError

    for source in (Hanging("Home"), FirstAnswering([Hanging("Home")])):
        task = asyncio.create_task(read_snapshot(source))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_data_of_a_source_are_not_taken_for_methods() -> None:
    source: Any = Home("Home")
    source.houses, source.devices = [], {}
    assert (await SelectedHouses(source, ["Flat"]).snapshot()).houses == (House(id=1, name="Flat"),)
    assert len((await read_houses(source)).houses) == 2
    assert len((await read_devices(source))[1]) == 2


def test_no_sources_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one source"):
        FirstAnswering([])


async def test_source_is_opened_once_for_snapshots_at_the_same_time() -> None:
    class Slow(Home):
        async def __aenter__(self) -> Self:
            await asyncio.sleep(0)
            return await super().__aenter__()

    slow = Slow("Slow")
    async with FirstAnswering([slow]) as source:
        await asyncio.gather(*(source.snapshot() for _ in range(3)))
    assert (slow.opened, slow.closed, slow.asked) == (1, 1, 3)


class Closing(Home):
    """Hides the error within, or raises one when it is closed."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__("Module")
        self.error = error

    async def __aexit__(self, *_: object) -> Any:
        if self.error:
            raise self.error
        return True


@pytest.mark.parametrize("error", [None, SSTCloudError("odd"), KeyError("//me:s3cret@host")])
async def test_closing_hides_no_error(
    error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with opened(Closing(error)):
            raise ZeroDivisionError
    async with opened(Closing(error)) as source, FirstAnswering([Closing(error)]) as several:
        await source.snapshot()
        await several.snapshot()
    assert caplog.text.count("cannot close Module: ") == (3 if error else 0)
    assert "s3cret" not in caplog.text


async def test_any_error_of_opening_is_one_of_the_source() -> None:
    module = Home("Module")
    module.open_errors = [OSError("no route")]
    with pytest.raises(SourceError, match="OSError: no route"):
        async with opened(module):
            raise AssertionError


async def test_source_that_has_answered_is_not_left_out(clock: ManualClock) -> None:
    """Whatever happens to the clock."""
    cloud = Home("Cloud", REJECTED)
    async with FirstAnswering([cloud], clock=clock) as source:
        with pytest.raises(AuthenticationError):
            await source.snapshot()
        for days in (-2, 2):
            clock.advance(timedelta(days=days))
            assert (await read_snapshot(source)).source == "Cloud"


def test_the_vendors_cloud_is_named_plainly() -> None:
    assert SSTCloud(TokenAuth("t")).name == "SST Cloud"
    assert SSTCloud(TokenAuth("t"), base_url="http://localhost:80").name == (
        "SST Cloud at localhost:80"
    )


@pytest.mark.parametrize("chosen", ["Flat", "1"])
@pytest.mark.parametrize("counters_only", [True, False])
async def test_any_source_can_be_limited_to_a_house(chosen: str, counters_only: bool) -> None:
    source = SelectedHouses(Home("Home"), [chosen], counters_only=counters_only)
    async with source:
        snapshot = await read_snapshot(source)
    assert snapshot.source == "Home"
    assert [house.id for house in snapshot.houses] == [1]
    assert [counter.id for counter in snapshot.counters] == [11]
    assert [device.id for device in snapshot.devices] == ([] if counters_only else [10])


async def test_unknown_house_is_an_error_that_lists_the_houses() -> None:
    with pytest.raises(SourceError, match=r"no house 'Palace'; Home has: Flat \(1\), Dacha \(2\)"):
        await SelectedHouses(Home("Home"), ["Palace"]).snapshot()


async def test_houses_and_devices_of_any_source() -> None:
    snapshot = await read_houses(Home("Home"))
    assert [house.name for house in snapshot.houses] == ["Flat", "Dacha"]
    houses, devices = await read_devices(Home("Home"), ["Dacha"])
    assert (len(houses), [device.name for device in devices]) == (2, ["Well"])


async def test_only_devices_are_requested_for_a_command(fake: FakeCloud) -> None:
    async with SSTCloud(TokenAuth(fake.token), base_url=fake.url) as cloud:
        await read_devices(cloud, [str(fake.houses[0].id)])
        assert [request.path for request in fake.requests] == [
            "/houses/",
            f"/houses/{fake.houses[0].id}/devices/",
        ]


async def test_empty_cloud_hints_at_the_reason(fake: FakeCloud) -> None:
    fake.account.houses.clear()
    async with SSTCloud(TokenAuth(fake.token), base_url=fake.url) as cloud:
        for snapshot in (await read_snapshot(cloud), await read_houses(cloud)):
            (problem,) = snapshot.problems
            assert problem.startswith(f"{cloud.name} has no houses; if the account was migrated")


def test_problems_in_words() -> None:
    item = Unreadable(kind="device", id=7, reason="no type")
    assert Snapshot(time=NOW, unreadable=(item,)).problems == ("device 7 cannot be read: no type",)
    assert Snapshot(time=NOW).problems == ("the source has no houses",)
    assert Snapshot(time=NOW, houses=(House(id=1),)).problems == ()


async def test_snapshot_comes_from_the_first_source_that_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    module, cloud = Home("Module", None, TIMED_OUT, TIMED_OUT), Home("Cloud")
    async with FirstAnswering([module, cloud]) as source:
        names = [(await read_snapshot(source)).source for _ in range(4)]
    assert names == ["Module", "Cloud", "Cloud", "Module"]
    assert (module.asked, cloud.asked) == (4, 2)
    assert (module.opened, module.closed, cloud.opened, cloud.closed) == (1, 1, 1, 1)
    assert caplog.text.count("cannot read Module: no response within 60 s") == 1
    assert caplog.text.count("Module is responding again") == 1


async def test_unused_source_is_not_opened() -> None:
    module, cloud = Home("Module"), Home("Cloud")
    async with FirstAnswering([module, cloud]) as source:
        await source.snapshot()
    assert (cloud.opened, cloud.closed) == (0, 0)


async def test_source_that_cannot_be_opened_is_opened_again() -> None:
    module, cloud = Home("Module"), Home("Cloud")
    module.open_errors = [SSTCloudError("no route")]
    async with FirstAnswering([module, cloud]) as source:
        names = [(await read_snapshot(source)).source for _ in range(2)]
    assert names == ["Cloud", "Module"]


async def test_unexpected_error_counts_as_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    module, cloud = Home("Module", KeyError("token=s3cret")), Home("Cloud")
    async with FirstAnswering([module, cloud]) as source:
        assert (await read_snapshot(source)).source == "Cloud"
    assert str(source.outcomes["Module"]).startswith("KeyError: ")
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("errors", "raised"),
    [
        ((TIMED_OUT, REJECTED), TIMED_OUT),
        ((REJECTED, TIMED_OUT), TIMED_OUT),
        ((REJECTED, ODD), ODD),
        ((ODD, REJECTED), ODD),
    ],
)
async def test_error_is_raised_only_if_no_source_answers(
    errors: tuple[Exception, Exception], raised: Exception
) -> None:
    """Preferably one that may go away; that of a login last, as callers then wait for an hour."""
    sources = [Home("Module", errors[0]), Home("Cloud", errors[1])]
    async with FirstAnswering(sources) as source:
        with pytest.raises(type(raised)) as caught:
            await source.snapshot()
        assert caught.value is raised
        assert list(source.outcomes.values()) == list(errors)
        assert (await read_snapshot(source)).source


async def test_failed_login_is_not_repeated_for_an_hour(clock: ManualClock) -> None:
    cloud, module = Home("Cloud", REJECTED), Home("Module", None, None, None, TIMED_OUT)
    async with FirstAnswering([cloud, module], clock=clock) as source:
        for minutes in (0, 20, 39):
            clock.advance(timedelta(minutes=minutes))
            assert (await read_snapshot(source)).source == "Module"
        assert cloud.asked == 1
        clock.advance(timedelta(minutes=2))
        assert (await read_snapshot(source)).source == "Cloud"


async def test_failed_login_is_repeated_on_request(clock: ManualClock) -> None:
    cloud = Home("Cloud", REJECTED)
    async with FirstAnswering([cloud, Home("Module")], clock=clock) as source:
        await source.snapshot()
        source.retry_now()
        assert (await read_snapshot(source)).source == "Cloud"


async def test_failed_login_is_raised_while_it_is_not_repeated(clock: ManualClock) -> None:
    async with FirstAnswering([Home("Cloud", REJECTED)], clock=clock) as source:
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                await source.snapshot()


async def test_sources_of_the_same_name_are_numbered() -> None:
    async with FirstAnswering([Home("Cloud", TIMED_OUT), Home("Cloud")]) as source:
        assert source.names == ("Cloud", "Cloud 2")
        assert source.name == "Cloud, Cloud 2"
        assert (await read_snapshot(source)).source == "Cloud 2"


def test_refresh_is_that_of_the_source_that_answered() -> None:
    module, cloud = Home("Module"), Home("Cloud")
    module.refresh = timedelta(seconds=3)
    source: Source = FirstAnswering([module, cloud])
    assert source.refresh == timedelta(seconds=3)


async def test_clock_that_is_set_back_does_not_prolong_the_pause(clock: ManualClock) -> None:
    cloud = Home("Cloud", REJECTED)
    async with FirstAnswering([cloud, Home("Module")], clock=clock) as source:
        await source.snapshot()
        clock.advance(timedelta(days=-2))
        assert (await read_snapshot(source)).source == "Cloud"

"""Choosing houses, several sources as one, and what a snapshot says of its source."""

from datetime import timedelta
from typing import Self

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
from sst_cloud.source import read_devices, read_houses, read_snapshot
from sst_cloud.testing import FakeCloud, SourceContract
from sst_cloud.testing.source_contract import SourceFactory

NOW = ManualClock().now()
TIMED_OUT = RequestTimeoutError("no response within 60 s")
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


async def test_name_of_a_source_is_shown_without_secrets() -> None:
    snapshot = await read_snapshot(Home("http://me:s3cret@server/"))
    assert "s3cret" not in snapshot.source


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
        ((REJECTED, SSTCloudError("odd")), REJECTED),
    ],
)
async def test_error_is_raised_only_if_no_source_answers(
    errors: tuple[Exception, Exception], raised: Exception
) -> None:
    """Preferably one that may go away, as it is worth asking again."""
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

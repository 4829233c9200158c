"""Reading an account over real HTTP."""

import asyncio
import json
import logging
import socket
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from sst_cloud import (
    AccessStatus,
    ConnectionFailedError,
    ManualClock,
    NotFoundError,
    PasswordAuth,
    PayloadError,
    RequestLimiter,
    ServiceUnavailableError,
    SSTCloud,
    TokenAuth,
    TokenRejectedError,
    Water,
    readings_from,
)
from sst_cloud.display.grouping import by_house
from sst_cloud.testing import (
    FakeAccount,
    FakeCloud,
    FakeDevice,
    FakeGroup,
    FakeHouse,
    Html,
    Latency,
    Status,
)


async def test_houses_are_read(client: SSTCloud) -> None:
    flat, summer_house = await client.houses()
    assert (flat.name, flat.timezone, flat.in_home) == ("Flat", "Europe/Moscow", True)
    assert flat.created_at == datetime(2024, 1, 1, 9, 10, 2, 551872, tzinfo=UTC)
    assert flat.workdays is not None
    assert (flat.workdays.current_day, flat.workdays.vacations) == ("workday", (5, 6))
    assert flat.workdays.house_id == flat.id
    assert summer_house.name == "Summer house"
    assert flat.raw["report_date"] == flat.report_date == 20


async def test_single_house_is_read(client: SSTCloud) -> None:
    first = (await client.houses())[0]
    assert await client.house(first.id) == first


async def test_unknown_house_is_a_not_found_error(client: SSTCloud) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.house(99)
    assert str(caught.value) == "/houses/99/: Not found. (HTTP 404)"


async def test_devices_of_any_type_are_read(client: SSTCloud, fake: FakeCloud) -> None:
    fake.houses[0].devices.append(FakeDevice(name="Novelty", type=42, id=7, access_status="asleep"))
    bathroom, kitchen, floor, novelty = await client.devices(fake.houses[0].id)
    assert [device.model for device in (bathroom, kitchen, floor, novelty)] == [
        "Neptun Smart",
        "Neptun ProW+ WiFi",
        "EcoSmart 25",
        "type 42",
    ]
    assert bathroom.access_status is AccessStatus.AVAILABLE
    assert (novelty.raw["type"], novelty.access_status) == (42, "asleep")
    assert bathroom.updated_at is not None
    assert bathroom.raw["configuration"].startswith("AlRBUg")
    assert kitchen.line_names == ("Sink", "Dishwasher", "Cold", "Hot")
    assert json.loads(bathroom.raw["parsed_configuration"])["device_id"] == "N5115"
    assert bathroom.time_setting is not None
    assert len(bathroom.time_setting.workday_time_range) == 2


async def test_single_device_is_read(client: SSTCloud, fake: FakeCloud) -> None:
    house = fake.houses[0]
    devices = await client.devices(house.id)
    assert await client.device(house.id, devices[1].id) == devices[1]
    with pytest.raises(NotFoundError):
        await client.device(house.id, 1)


async def test_counters_are_read(client: SSTCloud, fake: FakeCloud) -> None:
    house = fake.houses[0]
    cold, hot, *kitchen = await client.counters(house.id)
    assert (cold.name, cold.water, cold.line, cold.step_l) == ("Bath cold", Water.COLD, 1, 1)
    assert hot.water is Water.HOT
    assert cold.value_l == fake.counters[0].value_l(fake.clock.now())
    assert cold.value_m3 == cold.value_l / 1000
    assert (cold.house_id, cold.device_id) == (house.id, house.devices[0].id)
    assert await client.counters(house.id, house.devices[1].id) == kitchen


async def test_counters_of_a_house_take_two_requests(client: SSTCloud, fake: FakeCloud) -> None:
    await client.login()
    before = len(fake.requests)
    house = (await client.houses())[0]
    await client.counters(house.id)
    assert len(fake.requests) - before == 2


async def test_user_is_read(client: SSTCloud, fake: FakeCloud) -> None:
    user = await client.user()
    assert user.email == fake.email
    assert user.profile is not None
    assert user.profile.language == "ru"
    assert fake.email not in repr(user)


async def test_snapshot_reads_the_whole_account(
    client: SSTCloud, fake: FakeCloud, clock: ManualClock
) -> None:
    snapshot = await client.snapshot()
    assert snapshot.time == clock.now()
    assert [len(part) for part in (snapshot.houses, snapshot.devices, snapshot.counters)] == [
        2,
        4,
        5,
    ]
    assert snapshot.unreadable == ()
    cold, *_ = readings_from(snapshot)
    assert cold.as_dict() == {
        "time": "2026-01-01T00:00:00Z",
        "quantity": "volume",
        "value": snapshot.counters[0].value_l,
        "unit": "L",
        "house_id": fake.houses[0].id,
        "house": "Flat",
        "device_id": fake.devices[0].id,
        "device": "Bathroom",
        "model": "Neptun Smart",
        "point": "counter",
        "point_id": str(fake.counters[0].id),
        "name": "Bath cold",
        "line": 1,
        "water": "cold",
        "quality": "good",
    }


async def test_snapshot_of_counters_only(client: SSTCloud, fake: FakeCloud) -> None:
    await client.login()
    before = len(fake.requests)
    snapshot = await client.snapshot(counters_only=True)
    assert len(fake.requests) - before == 1 + len(fake.houses)
    assert snapshot.devices == ()
    assert len(readings_from(snapshot)) == 5


async def test_snapshot_of_some_houses(client: SSTCloud, fake: FakeCloud) -> None:
    snapshot = await client.snapshot(house_ids=[fake.houses[1].id, 99])
    assert [house.name for house in snapshot.houses] == ["Summer house"]
    assert [(bad.kind, bad.id) for bad in snapshot.unreadable] == [("house", 99)]


async def test_a_house_or_a_module_listed_twice_is_read_once(
    client: SSTCloud, fake: FakeCloud
) -> None:
    once = readings_from(await client.snapshot())
    before = len(fake.requests)
    fake.houses.extend(list(fake.houses))
    fake.houses[0].devices *= 2
    snapshot = await client.snapshot()
    paths = [request.path for request in fake.requests[before:]]
    assert len(paths) == len(set(paths))
    assert {reading.key for reading in readings_from(snapshot)} == {r.key for r in once}
    ((flat, devices), _) = by_house(snapshot, [])
    assert flat.name == "Flat"
    assert len(devices) * 2 == len(fake.houses[0].devices)


async def test_snapshot_keeps_the_readable_parts(client: SSTCloud, fake: FakeCloud) -> None:
    broken = fake.houses[0].id
    fake.inject(Status(500), path=f"/houses/{broken}/counters/")
    fake.inject(Html(), path=f"/houses/{broken}/devices/")
    snapshot = await client.snapshot()
    assert [house.name for house in snapshot.houses] == ["Flat", "Summer house"]
    assert [counter.name for counter in snapshot.counters] == ["Garden"]
    assert [(bad.kind, bad.id) for bad in snapshot.unreadable] == [
        ("counters", broken),
        ("devices", broken),
    ]
    assert "Technical works" in snapshot.unreadable[1].reason


async def test_snapshot_without_a_readable_part_raises(client: SSTCloud, fake: FakeCloud) -> None:
    fake.inject(Status(500), path="/houses/*/*")
    with pytest.raises(ServiceUnavailableError):
        await client.snapshot()


async def test_snapshot_raises_if_the_token_is_rejected(fake: FakeCloud) -> None:
    fake.inject(Status(401, "Invalid token."), path="/houses/*/counters/")
    async with SSTCloud(TokenAuth(fake.token), base_url=fake.url) as client:
        with pytest.raises(TokenRejectedError):
            await client.snapshot()


async def test_account_without_houses_has_no_readings() -> None:
    async with (
        FakeCloud([FakeAccount()]) as fake,
        SSTCloud(TokenAuth(fake.token), base_url=fake.url) as client,
    ):
        assert readings_from(await client.snapshot()) == []


async def test_one_broken_device_does_not_empty_the_house(
    client: SSTCloud, fake: FakeCloud
) -> None:
    fake.devices[0].overrides["type"] = {"not": "a number"}
    devices = await client.devices(fake.houses[0].id)
    assert [device.name for device in devices] == ["Kitchen", "Bathroom floor"]
    (bad,) = devices.unreadable
    assert (bad.kind, bad.id, bad.reason) == (
        "device",
        fake.devices[0].id,
        "`type` is not a whole number",
    )
    assert bad.raw["name"] == "Bathroom"


async def test_house_list_of_another_type_is_an_error(client: SSTCloud, fake: FakeCloud) -> None:
    fake.inject(Status(200, "surprise"), path="/houses/")
    with pytest.raises(PayloadError, match="not a list"):
        await client.houses()


async def test_at_most_eight_requests_at_once() -> None:
    houses = [FakeHouse(devices=[FakeDevice() for _ in range(3)]) for _ in range(10)]
    async with FakeCloud([FakeAccount(houses=houses)]) as fake:
        fake.inject(Latency(0.005))
        async with SSTCloud(TokenAuth(fake.token), base_url=fake.url) as client:
            snapshot = await client.snapshot()
        assert len(snapshot.devices) == 30
        assert 1 < fake.most_at_once <= 8
        async with SSTCloud(TokenAuth(fake.token), base_url=fake.url, max_concurrency=3) as client:
            fake.most_at_once = 0
            await client.snapshot()
        assert 1 < fake.most_at_once <= 3


async def _snapshots_of_two_clients(limiter: RequestLimiter) -> int:
    """The highest number of concurrent requests of two clients, one account each."""
    houses = [FakeHouse(devices=[FakeDevice() for _ in range(3)]) for _ in range(5)]
    async with FakeCloud([FakeAccount(houses=houses)]) as fake:
        fake.inject(Latency(0.005))
        async with (
            SSTCloud(TokenAuth(fake.token), base_url=fake.url, limiter=limiter) as one,
            SSTCloud(TokenAuth(fake.token), base_url=fake.url, limiter=limiter) as other,
        ):
            snapshots = await asyncio.gather(one.snapshot(), other.snapshot())
        assert [len(snapshot.devices) for snapshot in snapshots] == [15, 15]
        return fake.most_at_once


def test_clients_with_one_limiter_share_its_requests_in_any_event_loop() -> None:
    limiter = RequestLimiter(3)
    for _ in range(2):
        assert asyncio.run(_snapshots_of_two_clients(limiter)) == 3


async def test_odd_values_are_logged_once_for_all_clients(
    fake: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fake.houses[0].devices.append(FakeDevice(name="Novelty", type=4711, id=7))
    for _ in range(3):
        async with SSTCloud(TokenAuth(fake.token), base_url=fake.url) as client:
            await client.snapshot()
    assert caplog.text.count("unknown DeviceType: '4711'") == 1


async def test_an_injected_session_stays_open(fake: FakeCloud) -> None:
    async with aiohttp.ClientSession() as session:
        auth = PasswordAuth(fake.email, fake.password)
        async with SSTCloud(auth, session=session, base_url=fake.url) as client:
            await client.houses()
        assert not session.closed


async def test_injected_session_may_raise_for_status(fake: FakeCloud) -> None:
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        SSTCloud(TokenAuth("x"), session=session, base_url=fake.url) as client,
    ):
        with pytest.raises(TokenRejectedError):
            await client.houses()


async def test_login_leaves_no_cookies_in_an_injected_session(fake: FakeCloud) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.get(fake.url + "/auth/user/", headers={"Cookie": "mine=1"}):
            jar.update_cookies({"mine": "1"})
        auth = PasswordAuth(fake.email, fake.password)
        async with SSTCloud(auth, session=session, base_url=fake.url) as client:
            await client.houses()
        assert [cookie.key for cookie in jar] == ["mine"]


class Everywhere(AbstractResolver):
    """Resolves all hosts to this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self) -> None:
        pass


async def test_login_leaves_no_domain_cookies_in_an_injected_session(unused_tcp_port: int) -> None:
    """The vendor's web pages share a domain with the API: cookies may be for both."""

    async def login(_: web.Request) -> web.Response:
        answer = web.json_response({"key": "f00d"})
        answer.set_cookie("sessionid", "1", domain="cloud.example")
        return answer

    app = web.Application()
    app.router.add_post("/auth/login/", login)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    connector = aiohttp.TCPConnector(resolver=Everywhere())
    async with aiohttp.ClientSession(connector=connector) as session:
        session.cookie_jar.update_cookies({"sessionid": "2"}, URL("http://other.example"))
        url = f"http://api.cloud.example:{unused_tcp_port}"
        auth = PasswordAuth("me@example.com", "secret")
        async with SSTCloud(auth, session=session, base_url=url) as client:
            assert await client.login() == "f00d"
        assert [cookie["domain"] for cookie in session.cookie_jar] == ["other.example"]
    await runner.cleanup()


async def test_requests_end_in_a_slash_and_carry_the_token(
    client: SSTCloud, fake: FakeCloud
) -> None:
    await client.snapshot()
    assert all(request.path.endswith("/") for request in fake.requests)
    authorization = {request.headers.get("Authorization") for request in fake.requests[1:]}
    assert authorization == {f"Token {fake.token}"}
    assert not any("Cookie" in request.headers for request in fake.requests)


async def test_closed_client_raises_a_clear_error(client: SSTCloud) -> None:
    await client.houses()
    await client.close()
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.houses()


def test_client_in_a_second_event_loop_raises_a_clear_error(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    client = SSTCloud(TokenAuth("x"), base_url=url, clock=ManualClock())
    with pytest.raises(ConnectionFailedError):
        asyncio.run(client.houses())
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(client.houses())
    asyncio.run(client.close())


async def test_cancelled_snapshot_stops_its_requests(client: SSTCloud, fake: FakeCloud) -> None:
    await client.login()
    fake.inject(Latency(0.02), path="/houses/*/*")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await client.snapshot()
    running = [repr(task.get_coro()) for task in asyncio.all_tasks()]
    assert not any("_lenient" in coroutine for coroutine in running)


@pytest.mark.parametrize(
    "url",
    [
        "api.sst-cloud.com",
        "ftp://x",
        "http://",
        "https://me:hunter2@host",
        "https://host/?key=hunter2",
        "https://host/#top",
    ],
)
def test_invalid_base_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL") as caught:
        SSTCloud(TokenAuth("x"), base_url=url)
    assert "hunter2" not in str(caught.value)


def test_concurrency_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SSTCloud(TokenAuth("x"), max_concurrency=0)
    with pytest.raises(ValueError, match="at least 1"):
        RequestLimiter(0)


async def test_networks_groups_and_news_are_read(client: SSTCloud, fake: FakeCloud) -> None:
    house = fake.houses[0]
    house.groups = [FakeGroup(name="Wet rooms", id=4)]
    (network,) = await client.networks(house.id)
    assert (network.id, network.house_id, network.name) == (
        house.networks[0].id,
        house.id,
        house.networks[0].name,
    )
    assert set(network.device_ids) == {device.id for device in house.devices}
    (group,) = await client.groups(house.id)
    assert (group.id, group.name, group.house_id) == (4, "Wet rooms", house.id)
    maintenance, _ = await client.news()
    assert maintenance.title == "Maintenance on Sunday"
    assert maintenance.published_at is not None


async def test_wireless_sensors_are_read(client: SSTCloud, fake: FakeCloud) -> None:
    house = fake.houses[0]
    smart, prow, *_ = await asyncio.gather(
        *(client.wireless_sensors(house.id, device.id) for device in house.devices[:2])
    )
    assert [sensor.name for sensor in smart] == ["Under the bathtub", "Toilet"]
    assert [sensor.point_id for sensor in smart] == [sensor.serial_number for sensor in smart]
    assert all(sensor.point_id == f"{sensor.line}/{sensor.name}" for sensor in prow)


async def test_logout_revokes_the_token(client: SSTCloud, fake: FakeCloud) -> None:
    token = await client.login()
    await client.logout()
    async with SSTCloud(TokenAuth(token), base_url=fake.url) as other:
        with pytest.raises(TokenRejectedError):
            await other.houses()
    assert len(await client.houses()) == 2


async def test_any_page_can_be_read_raw(client: SSTCloud, fake: FakeCloud) -> None:
    assert [house["id"] for house in await client.raw("/houses/")] == [h.id for h in fake.houses]


@pytest.mark.parametrize("path", ["houses/", "@example.com/", ".example.com/", ""])
async def test_raw_path_without_a_leading_slash_is_refused(
    client: SSTCloud, fake: FakeCloud, path: str
) -> None:
    with pytest.raises(ValueError, match="slash"):
        await client.raw(path)
    assert fake.requests == []

"""The fake cloud as third-party clients see it: raw HTTP, without our client."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_cloud import ManualClock, SystemClock
from sst_cloud.testing import (
    Drop,
    FakeAccount,
    FakeCloud,
    FakeCounter,
    FakeDevice,
    FakeHouse,
    Html,
    Latency,
    Status,
    Truncated,
)
from sst_cloud.testing.fake.household import EPOCH, WaterUse


@pytest.fixture
async def http(fake: FakeCloud) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(fake.url, cookie_jar=jar) as session:
        yield session


@pytest.fixture
def token(fake: FakeCloud) -> dict[str, str]:
    return {"Authorization": f"Token {fake.token}"}


async def answer(response: aiohttp.ClientResponse) -> Any:
    return await response.json()


@pytest.mark.parametrize("how", ["json", "form", "multipart", "username only", "email only"])
async def test_login_accepts_json_and_forms(
    fake: FakeCloud, http: aiohttp.ClientSession, how: str
) -> None:
    body = {"username": fake.email, "password": fake.password}
    sent: dict[str, Any] = {"json": body}
    if how == "json":
        sent = {"json": body | {"email": fake.email, "language": "ru"}}
    elif how == "form":
        sent = {"data": body}
    elif how == "multipart":
        form = aiohttp.FormData(default_to_multipart=True)
        for field, value in body.items():
            form.add_field(field, value)
        sent = {"data": form}
    elif how == "email only":
        sent = {"json": {"email": fake.email, "password": fake.password}}
    async with http.post("/auth/login/", **sent) as response:
        assert response.status == 200
        assert await answer(response) == {"key": fake.token}
        assert len(response.cookies["sessionid"].value) == 32
        assert len(response.cookies["csrftoken"].value) == 64
    assert len(fake.token) == 40


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (
            {"json": {"username": "demo@example.com", "password": "wrong"}},
            400,
            {"non_field_errors": ["Unable to log in with provided credentials."]},
        ),
        (
            {"json": {}},
            400,
            {
                "username": ["This field is required."],
                "password": ["This field is required."],
            },
        ),
        (
            {"json": []},
            400,
            {"non_field_errors": ["Invalid data. Expected a dictionary."]},
        ),
        ({}, 400, None),
        (
            {"data": b"x", "headers": {"Content-Type": "text/plain"}},
            415,
            {"detail": 'Unsupported media type "text/plain" in request.'},
        ),
    ],
)
async def test_invalid_logins_are_refused(
    http: aiohttp.ClientSession, sent: dict[str, Any], status: int, body: Any
) -> None:
    async with http.post("/auth/login/", **sent) as response:
        assert response.status == status
        assert body is None or await answer(response) == body


async def test_broken_json_is_a_bad_request(http: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "application/json"}
    async with http.post("/auth/login/", data=b"{", headers=headers) as response:
        assert response.status == 400
        assert (await answer(response))["detail"].startswith("JSON parse error")


async def test_token_gives_access_to_every_page(
    fake: FakeCloud, http: aiohttp.ClientSession, token: dict[str, str]
) -> None:
    house, device = fake.houses[0].id, fake.devices[0].id
    paths = [
        "/auth/user/",
        "/houses/",
        f"/houses/{house}/",
        f"/houses/{house}/counters/",
        f"/houses/{house}/devices/",
        f"/houses/{house}/devices/{device}/",
        f"/houses/{house}/devices/{device}/counters/",
    ]
    for path in paths:
        async with http.get(path, headers=token) as response:
            assert response.status == 200
            assert response.content_type == "application/json"
            assert await answer(response)


async def test_request_without_credentials_is_unauthorized(http: aiohttp.ClientSession) -> None:
    async with http.get("/houses/") as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Token"
        assert await answer(response) == {"detail": "Authentication credentials were not provided."}


async def test_wrong_token_is_unauthorized(http: aiohttp.ClientSession) -> None:
    async with http.get("/houses/", headers={"Authorization": "Token no"}) as response:
        assert response.status == 401
        assert await answer(response) == {"detail": "Invalid token."}


async def test_a_session_reads_by_cookie_and_writes_with_csrf(
    fake: FakeCloud, http: aiohttp.ClientSession
) -> None:
    body = {"username": fake.email, "password": fake.password}
    async with http.post("/auth/login/", json=body) as response:
        csrf = response.cookies["csrftoken"].value
    async with http.get("/houses/") as response:
        assert len(await answer(response)) == 2
    async with http.post("/auth/logout/") as response:
        assert response.status == 403
        assert "CSRF" in (await answer(response))["detail"]
    async with http.post("/auth/logout/", headers={"X-CSRFToken": csrf}) as response:
        assert response.status == 200
    async with http.get("/houses/") as response:
        assert response.status == 401


async def test_a_missing_slash_is_redirected(
    http: aiohttp.ClientSession, token: dict[str, str]
) -> None:
    async with http.get("/houses", headers=token, allow_redirects=False) as response:
        assert response.status == 301
        assert response.headers["Location"] == "/houses/"
    async with http.get("/houses", headers=token) as response:
        assert len(await answer(response)) == 2


async def test_missing_pages_and_methods_have_error_statuses(
    http: aiohttp.ClientSession, token: dict[str, str]
) -> None:
    async with http.get("/houses/1/", headers=token) as response:
        assert (response.status, await answer(response)) == (404, {"detail": "Not found."})
    async with http.get("/nowhere", headers=token) as response:
        assert (response.status, response.content_type) == (404, "text/html")
    async with http.put("/houses/", headers=token) as response:
        assert response.status == 405
        assert await answer(response) == {"detail": 'Method "PUT" not allowed.'}


async def test_fields_have_the_order_of_the_real_cloud(
    fake: FakeCloud, http: aiohttp.ClientSession, token: dict[str, str]
) -> None:
    house = fake.houses[0].id
    async with http.get(f"/houses/{house}/counters/", headers=token) as response:
        counter = (await answer(response))[0]
    assert list(counter) == [
        "id", "name", "line", "for_hot_water", "max_value", "step", "value", "prev_value",
        "prev_step", "device",
    ]  # fmt: skip
    async with http.get(f"/houses/{house}/devices/", headers=token) as response:
        device = (await answer(response))[0]
    assert list(device)[:6] == [
        "id", "configuration", "parsed_configuration", "timeout", "time_setting", "group",
    ]  # fmt: skip
    parsed = json.loads(device["parsed_configuration"])
    assert list(parsed)[:4] == ["device_id", "mac_address", "signal_level", "access_status"]


async def test_counters_change_every_ten_minutes(fake: FakeCloud) -> None:
    counter = FakeCounter(daily_l=100_000, step_l=1, id=1)
    now = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)
    values = [counter.value_l(now + timedelta(minutes=minute)) for minute in range(31)]
    changes = [minute for minute, (a, b) in enumerate(pairwise(values), 1) if a != b]
    assert changes == [10, 20, 30]


async def test_water_use_is_low_at_night(fake: FakeCloud) -> None:
    midnight = datetime(2026, 3, 1, 21, tzinfo=UTC)  # in Moscow
    cold = fake.counters[0]
    at = [cold.value_l(midnight + timedelta(hours=hour)) for hour in (0, 5, 10, 24)]
    assert at[1] - at[0] < 10 < at[2] - at[1]
    assert 0.5 * cold.daily_l < at[3] - at[0] < 2 * cold.daily_l


async def test_each_glitch_is_shown_once(
    fake: FakeCloud, http: aiohttp.ClientSession, token: dict[str, str]
) -> None:
    house, counter = fake.houses[0].id, fake.counters[0]
    counter.glitches = [0, 50_000_000]
    values = []
    for _ in range(3):
        async with http.get(f"/houses/{house}/counters/", headers=token) as response:
            values.append((await answer(response))[0]["value"])
    assert values == [0, 50_000_000, counter.value_l(fake.clock.now())]


async def test_each_account_sees_only_its_own_houses() -> None:
    mine = FakeAccount(email="me@example.com", houses=[FakeHouse(name="Mine")])
    yours = FakeAccount(email="you@example.com", houses=[FakeHouse(name="Yours")])
    async with FakeCloud([mine, yours]) as fake, aiohttp.ClientSession(fake.url) as http:
        for account in (mine, yours):
            headers = {"Authorization": f"Token {account.token}"}
            async with http.get("/houses/", headers=headers) as response:
                (house,) = await answer(response)
            assert house["name"] == account.houses[0].name
        foreign_path = f"/houses/{mine.houses[0].id}/"
        headers = {"Authorization": f"Token {yours.token}"}
        async with http.get(foreign_path, headers=headers) as response:
            assert response.status == 404


async def test_injected_faults_are_applied(
    fake: FakeCloud, http: aiohttp.ClientSession, token: dict[str, str]
) -> None:
    fake.inject(Status(503, retry_after="3"), path="/houses/", times=1)
    async with http.get("/houses/", headers=token) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "3")
    async with http.get("/houses/", headers=token) as response:
        assert response.status == 200
    fake.inject(Html(), method="GET")
    async with http.get("/houses/", headers=token) as response:
        assert response.content_type == "text/html"
    fake.clear_faults()
    fake.inject(Truncated(), path="/houses/")
    async with http.get("/houses/", headers=token) as response:
        with pytest.raises(json.JSONDecodeError):
            await answer(response)
    fake.clear_faults()
    fake.inject(Latency(0.001))
    fake.inject(Drop(), path="/auth/*")
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.post("/auth/login/", json={})


async def test_recorded_requests_hide_secrets_in_their_repr(fake: FakeCloud) -> None:
    async with aiohttp.ClientSession(fake.url) as http:
        await http.get("/houses/", headers={"Authorization": "Token hidden"})
    (request,) = fake.requests
    assert (request.method, request.path) == ("GET", "/houses/")
    assert request.headers["Authorization"] == "Token hidden"
    assert "hidden" not in repr(request)


async def test_port_can_be_chosen(unused_tcp_port: int) -> None:
    async with FakeCloud(port=unused_tcp_port, clock=SystemClock()) as fake:
        assert fake.url == f"http://127.0.0.1:{unused_tcp_port}"


def test_ids_are_unique_and_can_be_chosen() -> None:
    houses = [FakeHouse(id=5, devices=[FakeDevice(counters=[FakeCounter(), FakeCounter(id=9)])])]
    fake = FakeCloud([FakeAccount(houses=houses), FakeAccount(email="b@example.com")])
    assert fake.houses[0].id == 5
    first, second = fake.counters
    assert (second.id, first.line, second.line) == (9, 1, 2)
    assert first.id not in (0, 9)
    assert fake.accounts[0].token != fake.accounts[1].token


moments = st.integers(-30, 1_100).flatmap(
    lambda day: st.integers(0, 86_400).map(lambda s: EPOCH + timedelta(days=day, seconds=s))
)


@given(moments, moments, st.integers(0, 100))
def test_water_use_never_decreases(one: datetime, two: datetime, seed: int) -> None:
    use = WaterUse(150, seed)
    first, second = sorted((one, two))
    assert 0 <= use.litres(first) <= use.litres(second)
    assert use.litres(first) == WaterUse(150, seed).litres(first)


def test_water_use_before_the_epoch_is_zero() -> None:
    assert WaterUse(150, 1).litres(EPOCH - timedelta(days=1)) == 0


def test_manual_and_system_clocks_give_aware_times() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    clock.advance(60)
    clock.advance(timedelta(hours=1))
    assert clock.now() == datetime(2026, 1, 1, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="timezone-aware"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001  that is the point
    assert abs(SystemClock().now() - datetime.now(UTC)) < timedelta(seconds=5)


async def test_only_the_last_requests_are_remembered() -> None:
    async with FakeCloud(remember=2) as cloud, aiohttp.ClientSession() as session:
        for page in ("user", "houses", "news", "houses"):
            async with session.get(f"{cloud.url}/{page}/"):
                pass
    assert [request.path for request in cloud.requests] == ["/news/", "/houses/"]

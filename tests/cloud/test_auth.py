"""Logging in, and tokens that are no longer valid."""

import asyncio

import pytest
from aiohttp import web
from aioresponses import aioresponses

from sst_cloud import (
    BadCredentialsError,
    ConnectionFailedError,
    ManualClock,
    PasswordAuth,
    PayloadError,
    SSTCloud,
    StoredTokenAuth,
    TokenAuth,
    TokenRejectedError,
)
from sst_cloud.testing import Drop, FakeCloud, Fault, Hang, Latency, Status
from sst_cloud.testing.fake.faults import Handler

LOGIN = "https://api.sst-cloud.com/auth/login/"


def logins(fake: FakeCloud) -> int:
    return sum(request.path == "/auth/login/" for request in fake.requests)


async def test_login_happens_on_the_first_request(client: SSTCloud, fake: FakeCloud) -> None:
    assert logins(fake) == 0
    await client.houses()
    await client.houses()
    assert logins(fake) == 1


async def test_login_returns_a_reusable_token(client: SSTCloud, fake: FakeCloud) -> None:
    token = await client.login()
    async with SSTCloud(TokenAuth(token), base_url=fake.url) as other:
        assert len(await other.houses()) == 2


async def test_ten_concurrent_requests_cause_one_login(client: SSTCloud, fake: FakeCloud) -> None:
    fake.inject(Latency(0.01), path="/auth/login/")
    await asyncio.gather(*(client.houses() for _ in range(10)))
    assert logins(fake) == 1


async def test_ten_rejected_requests_cause_one_login(client: SSTCloud, fake: FakeCloud) -> None:
    await client.houses()
    fake.expire_tokens()
    fake.inject(Latency(0.01), path="/auth/login/")
    lists = await asyncio.gather(*(client.houses() for _ in range(10)))
    assert [len(houses) for houses in lists] == [2] * 10
    assert logins(fake) == 2


async def test_late_rejection_uses_the_token_of_the_new_login(
    client: SSTCloud, fake: FakeCloud
) -> None:
    await client.houses()
    fake.expire_tokens()
    fake.inject(Latency(0.03), path="/auth/user/", times=1)
    slow = asyncio.create_task(client.user())
    await client.houses()
    await slow
    assert logins(fake) == 2


async def test_token_rejected_after_a_new_login_is_an_error(
    client: SSTCloud, fake: FakeCloud
) -> None:
    fake.inject(Status(401, "Invalid token."), path="/houses/")
    with pytest.raises(TokenRejectedError):
        await client.houses()
    assert logins(fake) == 2


async def test_a_rejected_token_is_an_error(fake: FakeCloud) -> None:
    async with SSTCloud(TokenAuth("revoked"), base_url=fake.url) as client:
        with pytest.raises(TokenRejectedError):
            await client.houses()
    assert logins(fake) == 0


async def test_http_403_for_missing_credentials_causes_a_new_login(
    client: SSTCloud, fake: FakeCloud
) -> None:
    detail = "Authentication credentials were not provided."
    fake.inject(Status(403, detail), path="/houses/", times=1)
    assert len(await client.houses()) == 2
    assert logins(fake) == 2


async def test_concurrent_requests_try_a_wrong_password_once(fake: FakeCloud) -> None:
    fake.inject(Latency(0.01), path="/auth/login/")
    async with SSTCloud(PasswordAuth(fake.email, "wrong"), base_url=fake.url) as client:
        outcomes = await asyncio.gather(
            *(client.houses() for _ in range(10)), return_exceptions=True
        )
    assert {type(outcome) for outcome in outcomes} == {BadCredentialsError}
    assert logins(fake) == 1


async def test_cancelled_request_does_not_cancel_the_shared_login(
    client: SSTCloud, fake: FakeCloud
) -> None:
    fake.inject(login := BlockedAnswer(), path="/auth/login/")
    first = asyncio.create_task(client.houses())
    second = asyncio.create_task(client.houses())
    await login.begun.wait()
    first.cancel()
    await asyncio.wait([first])
    login.released.set()
    assert len(await second) == 2
    assert logins(fake) == 1


async def test_new_client_does_not_wait_for_the_login_of_a_closed_client(fake: FakeCloud) -> None:
    auth = PasswordAuth(fake.email, fake.password)
    fake.inject(Hang(), path="/auth/login/", times=1)
    async with SSTCloud(auth, base_url=fake.url) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await client.houses()
    async with SSTCloud(auth, base_url=fake.url) as client:
        assert len(await client.houses()) == 2


class BlockedAnswer(Fault):
    """An answer that waits until it is released."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.released = asyncio.Event()

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.begun.set()
        await self.released.wait()
        return await handler(request)


class SlowTokenStore:
    """A slow store of a token."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.fetches = 0

    async def fetch(self) -> str:
        self.fetches += 1
        await asyncio.sleep(0)
        return self.token


async def test_concurrent_requests_fetch_a_stored_token_once(fake: FakeCloud) -> None:
    token_store = SlowTokenStore(fake.token)
    async with SSTCloud(StoredTokenAuth(token_store.fetch), base_url=fake.url) as client:
        await asyncio.gather(*(client.houses() for _ in range(10)))
        assert token_store.fetches == 1
        fake.expire_tokens()
        token_store.token = fake.token
        await asyncio.gather(*(client.houses() for _ in range(10)))
        assert token_store.fetches == 2


async def test_concurrent_requests_fetch_a_missing_stored_token_once(fake: FakeCloud) -> None:
    fetches = 0

    async def fetch() -> str:
        nonlocal fetches
        fetches += 1
        await asyncio.sleep(0)
        raise LookupError("no such secret")

    async with SSTCloud(StoredTokenAuth(fetch), base_url=fake.url) as client:
        outcomes = await asyncio.gather(
            *(client.houses() for _ in range(10)), return_exceptions=True
        )
    assert {type(outcome) for outcome in outcomes} == {LookupError}
    assert fetches == 1


def test_stored_token_auth_works_in_several_event_loops() -> None:
    token_store = SlowTokenStore("")
    auth = StoredTokenAuth(token_store.fetch)

    async def read(generation: int) -> None:
        async with FakeCloud() as fake, SSTCloud(auth, base_url=fake.url) as client:
            fake.account.generation = generation
            token_store.token = fake.token
            assert all(await asyncio.gather(*(client.houses() for _ in range(3))))

    for generation in (1, 2, 3):
        asyncio.run(read(generation))
    assert token_store.fetches == 3


async def test_a_login_is_retried_like_a_read(client: SSTCloud, fake: FakeCloud) -> None:
    fake.inject(Status(503), path="/auth/login/", times=2)
    assert len(await client.houses()) == 2


async def test_failing_login_is_a_connection_error(client: SSTCloud, fake: FakeCloud) -> None:
    fake.inject(Drop(), path="/auth/login/")
    with pytest.raises(ConnectionFailedError):
        await client.houses()


@pytest.mark.parametrize(
    "answer", [{}, [], {"key": None}, {"key": ""}, {"key": "bad\r\nkey"}, None]
)
async def test_login_answer_without_a_token_is_an_error(answer: object) -> None:
    with aioresponses() as cloud:
        cloud.post(LOGIN, payload=answer)
        async with SSTCloud(PasswordAuth("me@example.com", "secret")) as client:
            with pytest.raises(PayloadError, match="token"):
                await client.houses()


@pytest.mark.parametrize("token", ["", "  ", "two words", "línea", "a\nb"])
def test_invalid_tokens_are_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        TokenAuth(token)
    assert not token.strip() or token not in str(caught.value)


@pytest.mark.parametrize(("email", "password"), [("", "x"), ("x", "")])
def test_invalid_credentials_are_refused(email: str, password: str) -> None:
    with pytest.raises(ValueError, match="password"):
        PasswordAuth(email, password)


async def test_token_pasted_as_a_header_is_accepted(fake: FakeCloud) -> None:
    async with SSTCloud(TokenAuth(f" Token {fake.token}\n"), base_url=fake.url) as client:
        assert len(await client.houses()) == 2


def test_reprs_hold_no_secret() -> None:
    auth = PasswordAuth("me@example.com", "hunter2")
    assert repr(auth) == "PasswordAuth(***, ***)"
    assert repr(TokenAuth("abc")) == "TokenAuth(***)"
    assert "hunter2" not in repr(SSTCloud(auth, clock=ManualClock()))

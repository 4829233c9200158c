"""Logging in, and what happens when a token is no longer good."""

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


async def test_a_password_logs_in_when_first_needed(client: SSTCloud, fake: FakeCloud) -> None:
    assert logins(fake) == 0
    await client.houses()
    await client.houses()
    assert logins(fake) == 1


async def test_login_gives_a_token_to_keep(client: SSTCloud, fake: FakeCloud) -> None:
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


async def test_a_late_rejection_uses_the_token_that_is_there(
    client: SSTCloud, fake: FakeCloud
) -> None:
    await client.houses()
    fake.expire_tokens()
    fake.inject(Latency(0.03), path="/auth/user/", times=1)
    slow = asyncio.create_task(client.user())
    await client.houses()
    await slow
    assert logins(fake) == 2


async def test_one_login_and_no_more(client: SSTCloud, fake: FakeCloud) -> None:
    fake.inject(Status(401, "Invalid token."), path="/houses/")
    with pytest.raises(TokenRejectedError):
        await client.houses()
    assert logins(fake) == 2


async def test_a_rejected_token_is_an_error(fake: FakeCloud) -> None:
    async with SSTCloud(TokenAuth("revoked"), base_url=fake.url) as client:
        with pytest.raises(TokenRejectedError):
            await client.houses()
    assert logins(fake) == 0


async def test_a_rejection_by_403(client: SSTCloud, fake: FakeCloud) -> None:
    detail = "Authentication credentials were not provided."
    fake.inject(Status(403, detail), path="/houses/", times=1)
    assert len(await client.houses()) == 2
    assert logins(fake) == 2


async def test_a_wrong_password_is_asked_once_for_all(fake: FakeCloud) -> None:
    fake.inject(Latency(0.01), path="/auth/login/")
    async with SSTCloud(PasswordAuth(fake.email, "wrong"), base_url=fake.url) as client:
        outcomes = await asyncio.gather(
            *(client.houses() for _ in range(10)), return_exceptions=True
        )
    assert {type(outcome) for outcome in outcomes} == {BadCredentialsError}
    assert logins(fake) == 1


async def test_giving_up_does_not_take_the_login_from_others(
    client: SSTCloud, fake: FakeCloud
) -> None:
    fake.inject(login := Held(), path="/auth/login/")
    first = asyncio.create_task(client.houses())
    second = asyncio.create_task(client.houses())
    await login.begun.wait()
    first.cancel()
    await asyncio.wait([first])
    login.goes_on.set()
    assert len(await second) == 2
    assert logins(fake) == 1


async def test_a_login_of_a_client_that_was_closed_is_not_waited_for(fake: FakeCloud) -> None:
    auth = PasswordAuth(fake.email, fake.password)
    fake.inject(Hang(), path="/auth/login/", times=1)
    async with SSTCloud(auth, base_url=fake.url) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await client.houses()
    async with SSTCloud(auth, base_url=fake.url) as client:
        assert len(await client.houses()) == 2


class Held(Fault):
    """An answer that waits until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.begun.set()
        await self.goes_on.wait()
        return await handler(request)


class CommitBuffer:
    """A place where a token is kept, which takes its time."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.asked = 0

    async def fetch(self) -> str:
        self.asked += 1
        await asyncio.sleep(0)
        return self.token


async def test_a_stored_token_is_fetched_once_for_all(fake: FakeCloud) -> None:
    commit_buffer = CommitBuffer(fake.token)
    async with SSTCloud(StoredTokenAuth(commit_buffer.fetch), base_url=fake.url) as client:
        await asyncio.gather(*(client.houses() for _ in range(10)))
        assert commit_buffer.asked == 1
        fake.expire_tokens()
        commit_buffer.token = fake.token
        await asyncio.gather(*(client.houses() for _ in range(10)))
        assert commit_buffer.asked == 2


async def test_a_stored_token_that_is_not_there_is_asked_for_once(fake: FakeCloud) -> None:
    asked = 0

    async def fetch() -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        raise LookupError("no such secret")

    async with SSTCloud(StoredTokenAuth(fetch), base_url=fake.url) as client:
        outcomes = await asyncio.gather(
            *(client.houses() for _ in range(10)), return_exceptions=True
        )
    assert {type(outcome) for outcome in outcomes} == {LookupError}
    assert asked == 1


def test_a_stored_token_outlives_an_event_loop() -> None:
    commit_buffer = CommitBuffer("")
    auth = StoredTokenAuth(commit_buffer.fetch)

    async def read(generation: int) -> None:
        async with FakeCloud() as fake, SSTCloud(auth, base_url=fake.url) as client:
            fake.account.generation = generation
            commit_buffer.token = fake.token
            assert all(await asyncio.gather(*(client.houses() for _ in range(3))))

    for generation in (1, 2, 3):
        asyncio.run(read(generation))
    assert commit_buffer.asked == 3


async def test_a_login_is_retried_like_a_read(client: SSTCloud, fake: FakeCloud) -> None:
    fake.inject(Status(503), path="/auth/login/", times=2)
    assert len(await client.houses()) == 2


async def test_a_login_that_never_works(client: SSTCloud, fake: FakeCloud) -> None:
    fake.inject(Drop(), path="/auth/login/")
    with pytest.raises(ConnectionFailedError):
        await client.houses()


@pytest.mark.parametrize(
    "answer", [{}, [], {"key": None}, {"key": ""}, {"key": "bad\r\nkey"}, None]
)
async def test_a_login_without_a_usable_token(answer: object) -> None:
    with aioresponses() as cloud:
        cloud.post(LOGIN, payload=answer)
        async with SSTCloud(PasswordAuth("me@example.com", "secret")) as client:
            with pytest.raises(PayloadError, match="token"):
                await client.houses()


@pytest.mark.parametrize("token", ["", "  ", "two words", "línea", "a\nb"])
def test_tokens_that_are_none(token: str) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        TokenAuth(token)
    assert not token.strip() or token not in str(caught.value)


@pytest.mark.parametrize(("email", "password"), [("", "x"), ("x", "")])
def test_passwords_that_are_none(email: str, password: str) -> None:
    with pytest.raises(ValueError, match="password"):
        PasswordAuth(email, password)


async def test_a_pasted_header_is_understood(fake: FakeCloud) -> None:
    async with SSTCloud(TokenAuth(f" Token {fake.token}\n"), base_url=fake.url) as client:
        assert len(await client.houses()) == 2


def test_reprs_hold_no_secret() -> None:
    auth = PasswordAuth("me@example.com", "hunter2")
    assert repr(auth) == "PasswordAuth(***, ***)"
    assert repr(TokenAuth("abc")) == "TokenAuth(***)"
    assert "hunter2" not in repr(SSTCloud(auth, clock=ManualClock()))

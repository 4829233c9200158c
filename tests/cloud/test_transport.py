"""Retries, time limits, statuses, bodies: what a request does when things go wrong."""

import asyncio
import base64
import gzip
import json
import logging
import ssl
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import pytest
import trustme
from aiohttp import web
from aioresponses import aioresponses

from echo import Echo, all_of, http
from sst_cloud import (
    AccessDeniedError,
    ApiError,
    BadCredentialsError,
    ConnectionFailedError,
    ManualClock,
    NotFoundError,
    PasswordAuth,
    PayloadError,
    RateLimitedError,
    RequestLimiter,
    RequestTimeoutError,
    ServiceUnavailableError,
    SSTCloud,
    SSTCloudError,
    TokenAuth,
    TokenRejectedError,
)
from sst_cloud.testing import Drop, FakeCloud, Hang, Html, Status, Truncated

HOUSES = "https://api.sst-cloud.com/houses/"
LOGIN = "https://api.sst-cloud.com/auth/login/"
START = ManualClock().now()
BAD_WAY = ("502 Bad " + "way-" * 40)[:60]


def waited(clock: ManualClock) -> float:
    return (clock.now() - START).total_seconds()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_reads_are_retried(
    client: SSTCloud, fake: FakeCloud, clock: ManualClock, status: int
) -> None:
    fake.inject(Status(status), path="/houses/", times=3)
    assert len(await client.houses()) == 2
    assert waited(clock) == 0.5 * (4 + 8 + 16)


async def test_reads_are_retried_over_a_new_connection(client: SSTCloud, fake: FakeCloud) -> None:
    fake.inject(Drop(), path="/houses/", times=3)
    assert len(await client.houses()) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500, 501])
async def test_permanent_errors_are_not_retried(
    client: SSTCloud, fake: FakeCloud, clock: ManualClock, status: int
) -> None:
    fake.inject(Status(status), path="/houses/")
    with pytest.raises(ApiError):
        await client.houses()
    assert waited(clock) == 0


async def test_retries_stop_after_four_attempts(
    client: SSTCloud, fake: FakeCloud, clock: ManualClock
) -> None:
    fake.inject(Status(503), path="/houses/")
    with pytest.raises(ServiceUnavailableError):
        await client.houses()
    assert sum(request.path == "/houses/" for request in fake.requests) == 4
    assert waited(clock) <= 30


async def test_retries_wait_at_most_half_a_minute(fake: FakeCloud) -> None:
    clock = ManualClock()
    fake.inject(Status(503))
    async with SSTCloud(
        TokenAuth("x"), base_url=fake.url, clock=clock, random=lambda: 1.0
    ) as client:
        with pytest.raises(ServiceUnavailableError):
            await client.houses()
    assert waited(clock) == 28


async def test_retry_after_in_seconds_is_followed(
    client: SSTCloud, fake: FakeCloud, clock: ManualClock
) -> None:
    fake.inject(Status(429, retry_after="7"), path="/houses/", times=1)
    await client.houses()
    assert waited(clock) == 7


async def test_retry_after_as_a_date_is_followed(
    client: SSTCloud, fake: FakeCloud, clock: ManualClock
) -> None:
    date = (START + timedelta(seconds=9)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    fake.inject(Status(503, retry_after=date), path="/houses/", times=1)
    await client.houses()
    assert waited(clock) == 9


@pytest.mark.parametrize(
    "header",
    [
        "soon",
        "-5",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "",
        "9" * 400,
        "Thu, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 +9999999999999",
    ],
)
async def test_invalid_retry_after_is_ignored(
    client: SSTCloud, fake: FakeCloud, clock: ManualClock, header: str
) -> None:
    fake.inject(Status(503, retry_after=header), path="/houses/", times=1)
    await client.houses()
    assert waited(clock) == 2


async def test_long_retry_after_is_raised_to_the_caller(
    client: SSTCloud, fake: FakeCloud, clock: ManualClock
) -> None:
    fake.inject(Status(429, retry_after="3600"), path="/houses/")
    with pytest.raises(RateLimitedError) as caught:
        await client.houses()
    assert caught.value.retry_after == 3600
    assert waited(clock) == 0


async def test_unresponsive_cloud_is_a_timeout_error(fake: FakeCloud, clock: ManualClock) -> None:
    fake.inject(Hang())
    async with SSTCloud(TokenAuth("x"), base_url=fake.url, clock=clock, timeout=0.03) as client:
        with pytest.raises(RequestTimeoutError, match="did not respond") as caught:
            await client.houses()
    assert isinstance(caught.value, TimeoutError)
    assert len(fake.requests) == 4


async def test_unreachable_cloud_is_a_connection_error(
    unused_tcp_port: int, clock: ManualClock
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with SSTCloud(TokenAuth("x"), base_url=url, clock=clock) as client:
        with pytest.raises(ConnectionFailedError, match="cannot be reached") as caught:
            await client.houses()
    assert not caught.value.request_sent


async def test_slow_connection_is_a_timeout_error() -> None:
    with aioresponses() as cloud:
        cloud.get(HOUSES, exception=aiohttp.ConnectionTimeoutError(), repeat=True)
        async with SSTCloud(TokenAuth("x"), clock=ManualClock()) as client:
            with pytest.raises(
                RequestTimeoutError, match=r"could not connect to .* within 10 s"
            ) as caught:
                await client.houses()
    assert not caught.value.request_sent


@asynccontextmanager
async def cloud_valid(
    not_before: datetime | None = None, not_after: datetime | None = None
) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """A cloud with a certificate of these dates, and a session that trusts its issuer."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", not_before=not_before, not_after=not_after)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_side).start()
    port = runner.addresses[0][1]
    connector = aiohttp.TCPConnector(ssl=client_side)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield f"https://127.0.0.1:{port}", session
    await runner.cleanup()


async def test_expired_certificate_has_its_own_message(clock: ManualClock) -> None:
    async with (
        cloud_valid(not_after=datetime(2023, 8, 26, tzinfo=UTC)) as (url, session),
        SSTCloud(TokenAuth("x"), base_url=url, session=session, clock=clock) as client,
    ):
        with pytest.raises(ConnectionFailedError, match="certificate has expired") as caught:
            await client.houses()
    assert "The vendor has let it expire before" in str(caught.value)
    assert "try again later" in str(caught.value)
    assert waited(clock) == 0


async def test_certificate_of_the_future_hints_at_the_clock(clock: ManualClock) -> None:
    """A small machine without a clock battery starts in 1970, or when it was last switched off."""
    next_year = datetime.now(UTC) + timedelta(days=365)
    async with (
        cloud_valid(not_before=next_year, not_after=next_year + timedelta(days=90)) as (
            url,
            session,
        ),
        SSTCloud(TokenAuth("x"), base_url=url, session=session, clock=clock) as client,
    ):
        with pytest.raises(ConnectionFailedError, match="clock of this machine"):
            await client.houses()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Html(title="Technical works"), "expected JSON, got an HTML page (Technical works)"),
        (Html(title="\n502\n  Bad " + "way-" * 40), f"expected JSON, got an HTML page ({BAD_WAY})"),
        (Html(title=" "), "expected JSON, got an HTML page"),
        (Truncated(), "expected JSON, got truncated or malformed JSON"),
    ],
)
async def test_non_json_answers_are_payload_errors(
    client: SSTCloud, fake: FakeCloud, fault: Any, message: str
) -> None:
    fake.inject(fault, path="/houses/")
    with pytest.raises(PayloadError) as caught:
        await client.houses()
    assert str(caught.value) == f"/houses/: {message}"


ERRORS: list[tuple[int, str, type[SSTCloudError], str]] = [
    (400, '{"detail": "Malformed."}', ApiError, "Malformed."),
    (400, '{"name": ["Too long.", "Too odd."]}', ApiError, "name: Too long.; name: Too odd."),
    (400, '["One.", {"a": "Two."}]', ApiError, "One.; a: Two."),
    (401, '{"detail": "Invalid token."}', TokenRejectedError, "Invalid token."),
    (401, "", TokenRejectedError, "Unauthorized"),
    (403, '{"detail": "Недопустимый токен."}', TokenRejectedError, "Недопустимый токен."),
    (403, '{"detail": "CSRF Failed: CSRF token missing."}', AccessDeniedError, "CSRF Failed"),
    (403, "<html><body><h1>Forbidden</h1></body></html>", AccessDeniedError, "Forbidden"),
    (404, '{"detail": "Not found."}', NotFoundError, "Not found."),
    (404, "<!doctype html><title>Not Found</title>", NotFoundError, "an HTML page (Not Found)"),
    (418, "short and stout", ApiError, "text (short and stout)"),
    (429, '{"detail": "Throttled."}', RateLimitedError, "Throttled."),
    (500, "", ServiceUnavailableError, "Internal Server Error"),
    (500, "null", ServiceUnavailableError, "Internal Server Error"),
    (500, '{"any": {"thing": [1, null]}}', ServiceUnavailableError, "any: thing: 1"),
    (500, "[" * 600 + "]" * 600, ServiceUnavailableError, ""),
    (400, json.dumps({"detail": "a." * 50_000}), ApiError, "a." * 100),
    (
        502,
        "<html>\n<head><title>502 Bad Gateway</title>",
        ServiceUnavailableError,
        "502 Bad Gateway",
    ),
    (599, "", ServiceUnavailableError, "no reason given"),
    (301, "", ApiError, "Moved Permanently"),
]


@pytest.mark.parametrize(("status", "body", "error", "detail"), ERRORS)
async def test_error_bodies_become_typed_errors(
    status: int, body: str, error: type[ApiError], detail: str
) -> None:
    with aioresponses() as cloud:
        cloud.get(HOUSES, status=status, body=body, repeat=True)
        async with SSTCloud(TokenAuth("x"), clock=ManualClock()) as client:
            with pytest.raises(error) as caught:
                await client.houses()
    assert type(caught.value) is error
    assert caught.value.status == status
    assert caught.value.path == "/houses/"
    assert detail in caught.value.detail


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, '{"non_field_errors": ["Unable to log in with provided credentials."]}'),
        (400, '{"password": ["This field is required."]}'),
        (401, '{"detail": "No."}'),
        (403, "<html><title>Forbidden</title></html>"),
    ],
)
async def test_refused_logins_are_bad_credentials_errors(status: int, body: str) -> None:
    with aioresponses() as cloud:
        cloud.post(LOGIN, status=status, body=body)
        async with SSTCloud(PasswordAuth("me@example.com", "secret")) as client:
            with pytest.raises(BadCredentialsError):
                await client.houses()


@pytest.mark.parametrize("password", ["hunter2", "секрет", 'a "quote"'])
async def test_credentials_repeated_in_an_error_are_masked(password: str) -> None:
    answer = {"password": [f"{password} is not the password of householder."]}
    with aioresponses() as cloud:
        cloud.post(LOGIN, status=400, payload=answer)
        async with SSTCloud(PasswordAuth("householder", password)) as client:
            with pytest.raises(BadCredentialsError) as caught:
                await client.houses()
    assert caught.value.detail == "password: *** is not the password of ***."
    with aioresponses() as cloud:
        cloud.get(HOUSES, status=401, body="Nobody has the token c0ffee.")
        async with SSTCloud(TokenAuth("c0ffee")) as client:
            with pytest.raises(TokenRejectedError, match=r"has the token \*\*\*\."):
                await client.houses()


async def test_errors_and_logs_hold_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = '{"detail": "me@example.com at 02:00:00:00:00:01 with 0123456789abcdef0123456789abcdef"}'
    with aioresponses() as cloud:
        cloud.post(LOGIN, payload={"key": "f00dfeed" * 5})
        cloud.get(HOUSES, status=503, body=body, repeat=True)
        auth = PasswordAuth("me@example.com", "hunter2")
        async with SSTCloud(auth, clock=ManualClock()) as client:
            with pytest.raises(ServiceUnavailableError) as caught:
                await client.houses()
    output = str(caught.value) + repr(caught.value) + caplog.text
    assert "attempt 2" in caplog.text
    for secret in (
        "me@example.com",
        "hunter2",
        "f00dfeed",
        "02:00:00:00:00:01",
        "0123456789abcdef",
    ):
        assert secret not in output


async def test_client_errors_become_connection_failed_errors() -> None:
    errors = (aiohttp.ClientPayloadError("x"), aiohttp.ClientOSError(), OSError("x"))
    for error in errors:
        with aioresponses() as cloud:
            cloud.get(HOUSES, exception=error, repeat=True)
            async with SSTCloud(TokenAuth("x"), clock=ManualClock()) as client:
                with pytest.raises(ConnectionFailedError, match="was lost"):
                    await client.houses()


SENT: Final = ("f00dfeed" * 5, "me@example.com", "correct-horse")


@pytest.mark.parametrize(
    "answer",
    [
        lambda sent: http(500, sent),
        lambda sent: http(200, sent),
        lambda sent: http(403, json.dumps({"detail": sent.decode()}).encode()),
        lambda sent: http(400, quote(sent.decode(), safe="").encode()),
        lambda sent: http(502, b"<html><title>" + base64.b64encode(sent) + b"</title>"),
        lambda sent: http(200, b"<html><title>" + sent.split(b"\r\n\r\n")[1] + b"</title>"),
        lambda sent: b"HTTP/1.1 no " + sent.replace(b"\r\n", b" ") + b"\r\n\r\n",
        lambda sent: sent,
    ],
)
@pytest.mark.parametrize("logs_in", [False, True])
async def test_secrets_repeated_by_the_server_are_never_shown(
    answer: Callable[[bytes], bytes],
    logs_in: bool,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    token, email, password = SENT
    auth = PasswordAuth(email, password) if logs_in else TokenAuth(token)
    async with Echo(answer) as echo, SSTCloud(auth, base_url=echo.url, clock=clock) as client:
        with pytest.raises(SSTCloudError) as caught:
            await client.houses()
    exposed = all_of(caught.value) + caplog.text
    for secret in SENT:
        for form in (secret, quote(secret, safe=""), secret[:8]):
            assert form not in exposed
    for offset in range(3):
        core = base64.b64encode(b" " * offset + token.encode()).decode()[4:20]
        assert core not in exposed


@pytest.mark.parametrize("escaped", [False, True])
async def test_a_token_in_the_data_of_an_answer_is_masked(escaped: bool) -> None:
    token = SENT[0]
    body = json.dumps([{"id": 1, "name": f"Token {token}", "owner": token}]).encode()
    if escaped:
        letters = "".join(f"\\u{ord(char):04x}" for char in token)
        body = body.replace(token.encode(), letters.encode())
    async with (
        Echo(lambda _: http(200, body)) as echo,
        SSTCloud(TokenAuth(token), base_url=echo.url) as client,
    ):
        (house,) = await client.houses()
    assert house.name == "Token ***"
    assert token not in repr(house.raw)


async def test_credentials_over_plain_http_cause_one_warning(
    caplog: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    with aioresponses() as cloud:
        cloud.get("http://cloud.example/houses/", payload=[], repeat=True)
        async with SSTCloud(TokenAuth(SENT[0]), base_url="http://cloud.example") as client:
            await client.houses()
            await client.houses()
    (message,) = caplog.messages
    assert message.startswith("credentials are sent to cloud.example unencrypted")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "me.localhost"])
async def test_plain_http_to_this_machine_causes_no_warning(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    with aioresponses() as cloud:
        cloud.get(f"http://{host}/houses/", payload=[])
        async with SSTCloud(TokenAuth(SENT[0]), base_url=f"http://{host}") as client:
            await client.houses()
    assert not caplog.messages


MB: Final = 1024 * 1024


def _gzip_bomb(size: int) -> bytes:
    body = gzip.compress(b"[" + b" " * size + b"]")
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


@pytest.mark.parametrize(
    "answer",
    [_gzip_bomb(100 * MB), http(200, b"[" + b" " * (9 * MB) + b"]")],
    ids=["compressed", "plain"],
)
async def test_too_large_answer_is_refused(answer: bytes, clock: ManualClock) -> None:
    async with (
        Echo(lambda _: answer) as echo,
        SSTCloud(TokenAuth(SENT[0]), base_url=echo.url, clock=clock) as client,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(PayloadError, match="longer than 8 MB"):
                await client.houses()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 40 * MB


async def test_a_large_answer_is_read(clock: ManualClock) -> None:
    houses = [{"id": number, "name": "x" * 1000} for number in range(3000)]
    async with (
        Echo(lambda _: http(200, json.dumps(houses).encode())) as echo,
        SSTCloud(TokenAuth(SENT[0]), base_url=echo.url, clock=clock) as client,
    ):
        assert len(await client.houses()) == 3000


async def test_only_the_beginning_of_a_large_error_is_read(clock: ManualClock) -> None:
    body = b"out of order " * MB
    async with (
        Echo(lambda _: http(418, body)) as echo,
        SSTCloud(TokenAuth(SENT[0]), base_url=echo.url, clock=clock) as client,
    ):
        with pytest.raises(ApiError, match=r"text \(out of order"):
            await client.houses()


@pytest.mark.parametrize("count", [1, 8])
async def test_concurrent_large_answers_use_limited_memory(clock: ManualClock, count: int) -> None:
    body = b"[" + b" " * (6 * MB) + b"]"
    limiter = RequestLimiter()
    async with Echo(lambda _: http(200, body)) as echo, AsyncExitStack() as stack:
        clients = [
            SSTCloud(TokenAuth(SENT[0]), base_url=echo.url, clock=clock, limiter=limiter)
            for _ in range(count)
        ]
        for client in clients:
            await stack.enter_async_context(client)
        tracemalloc.start()
        try:
            await asyncio.gather(*(client.houses() for client in clients * (8 // count)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # Echo itself holds what each socket has not taken yet.
    assert peak < 8 * 6 * MB + 30 * MB


@pytest.mark.parametrize("depth", [101, 1_000, 100_000])
async def test_too_deeply_nested_json_is_refused(depth: int, clock: ManualClock) -> None:
    body = b"[" * depth + b"]" * depth
    async with (
        Echo(lambda _: http(200, body)) as echo,
        SSTCloud(TokenAuth(SENT[0]), base_url=echo.url, clock=clock) as client,
    ):
        with pytest.raises(PayloadError, match="malformed JSON"):
            await client.raw("/houses/")


async def test_unfinished_html_tags_are_parsed_quickly(clock: ManualClock) -> None:
    started = time.process_time()
    with aioresponses() as cloud:
        cloud.get(HOUSES, status=418, body="<h1>" + "\n" * 4080)
        cloud.get(HOUSES, status=418, body="<h1" + "<title" * 700)
        async with SSTCloud(TokenAuth(SENT[0]), clock=clock) as client:
            for _ in range(2):
                with pytest.raises(ApiError, match="an HTML page"):
                    await client.houses()
    assert time.process_time() - started < 2

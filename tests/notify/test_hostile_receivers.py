"""Webhooks, commands and third-party sinks that repeat secrets, never end, or fill the disk."""

import asyncio
import gzip
import logging
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from echo import FORMS, PLACES, Echo, all_of, http, leaked, outcome
from notify.test_handlers import event, script
from sst_cloud import ManualClock
from sst_cloud.errors import SinkError, SinkRefusedError, SinkUnavailableError
from sst_cloud.notify.command import CommandHandler
from sst_cloud.notify.webhook import WebhookHandler
from sst_cloud.outbox.consumer import as_library_error, rejections_of
from sst_cloud.testing.sink_contract import sample_reading

pytestmark = pytest.mark.not_quick

USER: Final = "doorman-7"
PASSWORD: Final = "correct+horse&9"
PATH: Final = "T024-xoxb/9Qw"
QUERY: Final = "s3same-0pen"
SECRETS: Final = (PASSWORD, PATH.split("/")[0], QUERY)
MB: Final = 1024 * 1024


def webhook(url: str, **changes: Any) -> WebhookHandler:
    secret = (
        URL(url)
        .with_user(USER)
        .with_password(PASSWORD)
        .joinpath("api", "webhook", *PATH.split("/"))
        .with_query(key=QUERY)
    )
    return WebhookHandler(str(secret), clock=ManualClock(), **changes)


@pytest.mark.parametrize("place", PLACES)
async def test_secrets_of_a_webhook_url_repeated_by_the_server_are_never_shown(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sst_cloud")
    written = ""

    def answer(sent: bytes) -> bytes:
        return PLACES[place](written or sent.decode())

    async with Echo(answer) as server, webhook(server.url) as handler:
        for secret in SECRETS:
            for name, form in FORMS.items():
                result = await outcome(handler.write([event()]))
                assert (name, leaked(result + caplog.text, *SECRETS)) == (name, [])
                written = f"sorry: {form(secret)}."


async def test_ordinary_words_of_a_url_are_shown() -> None:
    raw = b"HTTP/1.1 api webhook v2 services-of-others\r\n\r\n"
    async with Echo(lambda _: raw) as server:
        handler = WebhookHandler(f"{server.url}/api/webhook/v2/services-of-others")
        async with handler:
            with pytest.raises(SinkUnavailableError, match="api webhook v2 services-of-others"):
                await handler.send({})


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://user:secret@chat.example/", 1),
        ("http://chat.example/?token=secret", 1),
        ("https://chat.example/?token=secret", 0),
        ("http://chat.example/hook", 0),
        ("http://me:secret@127.0.0.1:1/", 0),
        ("http://[::1]:1/?token=secret", 0),
    ],
)
async def test_credentials_over_plain_http_cause_one_warning(
    url: str, warned: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with WebhookHandler(url) as handler:
        await handler.check()
        with suppress(SinkError):
            await handler.send({})
    assert len(caplog.messages) == warned
    for message in caplog.messages:
        assert message.startswith("credentials are sent to chat.example unencrypted")
        assert "secret" not in message


@pytest.mark.parametrize(
    "answer",
    [
        http(200, b"out of order " * 2 * MB),
        http(200, gzip.compress(bytes(100 * MB)), "Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + bytes(2 * MB),
    ],
    ids=["large", "compressed", "cut short"],
)
async def test_body_of_a_webhook_answer_is_not_read(answer: bytes) -> None:
    async with Echo(lambda _: answer) as server, webhook(server.url) as handler:
        tracemalloc.start()
        try:
            assert (await handler.write([event()])).accepted == 1
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2 * len(answer) + 8 * MB  # Echo itself holds what the socket has not taken yet


def endless(first: bytes, more: bytes) -> Callable[..., Any]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            writer.write(first)
            while not writer.is_closing():
                writer.write(more)
                await writer.drain()
        writer.close()

    return serve


@pytest.mark.parametrize(
    ("first", "more", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"out of order " * 1000, None),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: more\r\n" * 1000, "was lost"),
        (b"HTTP/1.1 200 OK\r\nX-More: ", b"more" * 1000, "was lost"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "did not respond within 0.3 s"),
    ],
    ids=["body", "headers", "header", "interim answers"],
)
async def test_endless_answer_of_a_webhook_is_cut_off(
    first: bytes, more: bytes, outcome: str | None, unused_tcp_port: int
) -> None:
    server = await asyncio.start_server(endless(first, more), "127.0.0.1", unused_tcp_port)
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with server, webhook(url, limit=0.3 if b"100" in more else 10) as handler:
        if outcome is None:
            assert (await handler.write([event()])).accepted == 1
        else:
            with pytest.raises(SinkUnavailableError, match=outcome):
                await handler.write([event()])


@pytest.mark.parametrize("form", FORMS)
async def test_arguments_repeated_by_a_command_are_masked(
    form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sst_cloud")
    secret = "pin-4711/xyzzy"
    (tmp_path / "printed").write_text(f"cannot send: {FORMS[form](secret)}\n")
    text = f'cat "{tmp_path}/printed"; cat "{tmp_path}/printed" >&2; exit 1'
    handler = CommandHandler([script(tmp_path, text), "--pin", secret], clock=ManualClock())
    with pytest.raises(SinkUnavailableError, match="exit status 1") as caught:
        await handler.send({})
    assert leaked(all_of(caught.value) + caplog.text, secret) == []
    assert "cannot send: " in str(caught.value)


@pytest.mark.parametrize("stream", [1, 2])
async def test_command_with_endless_output_is_killed(tmp_path: Path, stream: int) -> None:
    handler = CommandHandler([script(tmp_path, f"yes >&{stream}")], clock=ManualClock(), limit=60)
    with pytest.raises(SinkUnavailableError, match="printed more than 16 MB and was killed"):
        await handler.send({})


async def test_command_may_print_ten_megabytes(tmp_path: Path) -> None:
    text = script(tmp_path, "head -c 9999999 /dev/zero")
    await CommandHandler([text], clock=ManualClock()).send({})


def _from_aiohttp() -> aiohttp.ClientResponseError:
    """As a third-party sink may raise it."""
    headers = CIMultiDict({"Authorization": "Bearer 9Qw-xoxb-not-for-you"})
    url = URL("http://127.0.0.1/?token=s3same")
    request = aiohttp.RequestInfo(url, "POST", headers, url)  # type: ignore[arg-type]
    return aiohttp.ClientResponseError(request, (), status=400, message="no Token 9Qw-xoxb")


def test_an_error_of_a_third_party_sink_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sst_cloud")
    error = SinkRefusedError("no Token 9Qw-xoxb")
    error.__cause__ = _from_aiohttp()
    for raised in (error, _from_aiohttp(), RuntimeError(f"{_from_aiohttp()}")):
        converted = as_library_error(raised, "theirs")
        assert isinstance(converted, SinkRefusedError) == (raised is error)
        output = all_of(converted) + caplog.text
        assert "9Qw-xoxb" not in output
        assert "s3same" not in output


def test_retry_after_of_a_third_party_error_is_kept() -> None:
    error = as_library_error(SinkUnavailableError("no Token 9Qw-xoxb", retry_after=7), "theirs")
    assert (str(error), getattr(error, "retry_after", None)) == ("no Token ***", 7)


@pytest.mark.parametrize("error", [SinkRefusedError, SinkUnavailableError, RuntimeError])
def test_very_long_error_message_is_truncated(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sst_cloud")
    assert len(str(as_library_error(error("no " * MB), "theirs"))) <= 1000
    assert len(caplog.text) < 30_000


def test_invalid_report_of_a_sink_is_masked() -> None:
    with pytest.raises(SinkUnavailableError, match="did not return a report") as caught:
        rejections_of(f"Token {PATH}", [sample_reading()])
    assert PATH not in all_of(caught.value)

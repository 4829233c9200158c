"""Event handlers: commands and webhooks."""

import asyncio
import json
import logging
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from sst_cloud import ManualClock
from sst_cloud.errors import SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.monitoring.events import Event, EventKind
from sst_cloud.notify.base import EventRejectedError, Handler
from sst_cloud.notify.command import CommandHandler
from sst_cloud.notify.factory import handler_from
from sst_cloud.notify.webhook import WebhookHandler

NOW = ManualClock().now()


def event(name: str = "Bathroom", **changes: Any) -> Event:
    fields: dict[str, Any] = {
        "time": NOW,
        "kind": EventKind.LEAK,
        "message": f"Water: {name}",
        "point_id": name,
        "name": name,
        "details": {"alarm": True},
    }
    return Event(**{**fields, **changes})


def script(folder: Path, text: str) -> str:
    """A shell script's path."""
    file = folder / f"script{len(list(folder.iterdir()))}"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def fifo(folder: Path) -> Path:
    """A named pipe; a read ends when all writers have closed it."""
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


class Receiver:
    """A web server that records what was posted, and answers with `statuses`, then 200."""

    def __init__(self) -> None:
        self.posted: list[Any] = []
        self.headers: list[Any] = []
        self.statuses: list[int] = []
        self.retry_after: str | None = None
        self.answer: Callable[[], Awaitable[None]] | None = None

    async def handle(self, request: web.Request) -> web.Response:
        self.posted.append(await request.json())
        self.headers.append(request.headers)
        if self.answer is not None:
            await self.answer()
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200, headers=headers)


async def serve(receiver: Receiver, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/hook/s3cret", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/hook/s3cret?key=hunter2"
    await runner.cleanup()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def address(receiver: Receiver) -> AsyncIterator[str]:
    async for url in serve(receiver):
        yield url


@pytest.fixture
async def webhook(address: str, clock: ManualClock) -> AsyncIterator[Handler]:
    async with handler_from(address, clock=clock) as handler:
        yield handler


def command(text: str, limit: float = 10) -> CommandHandler:
    return CommandHandler([text], clock=ManualClock(), limit=limit)


async def test_a_command_gets_each_event_as_json(tmp_path: Path) -> None:
    events = [event(), event("Kitchen", over=True)]
    out = tmp_path / "told.jsonl"
    words = f"{script(tmp_path, 'cat >> $1')} '{out}'"
    async with handler_from(words, clock=ManualClock()) as handler:
        await handler.check()
        report = await handler.write(events)
    assert (report.accepted, report.rejected) == (2, ())
    received = [Event.from_dict(json.loads(line)) for line in out.read_text().splitlines()]
    assert received == events


async def test_events_delivered_beside_a_failed_one_are_not_sent_again(
    tmp_path: Path,
) -> None:
    """A retried delivery starts with a small batch."""
    out, repaired = tmp_path / "told.jsonl", tmp_path / "well"
    text = (
        f'read it; [ -e {repaired} ] || case "$it" in *Bathroom*) exit 1;; esac; '
        f'echo "$it" >> {out}'
    )
    events = [event(), *(event(name) for name in ("Kitchen", "Cellar", "Attic"))]
    handler = command(script(tmp_path, text))
    with pytest.raises(SinkUnavailableError):
        await handler.write(events)
    repaired.touch()
    assert (await handler.write(events[:2])).accepted == 2
    assert (await handler.write(events[2:])).accepted == 2
    names = [json.loads(line)["name"] for line in out.read_text().splitlines()]
    assert names == ["Kitchen", "Cellar", "Attic", "Bathroom"]


async def test_command_runs_without_a_shell(tmp_path: Path) -> None:
    out = tmp_path / "args"
    text = script(tmp_path, f'for word; do echo "$word"; done > {out}')
    words = f"{text} '$(id)' 'a b' ';'"
    async with handler_from(words, clock=ManualClock()) as handler:
        await handler.write([event()])
    assert out.read_text().splitlines() == ["$(id)", "a b", ";"]


async def test_output_of_a_command_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sst_cloud")
    text = script(tmp_path, "echo calling; echo careful: me@example.com >&2; yes | head -c 99999")
    await command(text).write([event()])
    lines = {record.levelno: record.getMessage() for record in caplog.records}
    assert "calling" in lines[logging.DEBUG]
    assert len(lines[logging.DEBUG]) < 2200
    assert lines[logging.WARNING].endswith(": careful: ***")


@pytest.mark.parametrize(
    "words",
    [
        "--to https://chat.example/hook/s3cret",
        "--to=https://chat.example/hook/s3cret",
        "-c 'curl -H x https://chat.example/hook/s3cret'",
        "s3cret https://chat.example/hook/s3cret",
        "'of two  s3cret words'",
    ],
)
async def test_arguments_are_masked_in_the_output_of_a_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, words: str
) -> None:
    """Arguments may be secret, like the address of a chat; the handler name hides them, too."""
    caplog.set_level(logging.DEBUG, "sst_cloud")
    text = (
        'echo "asking $*"; for word; do set -- $word; done\n'
        'echo "cannot reach $1 $2 $3 $4, only https://chat.example/hook/s3cret" >&2; exit 1'
    )
    handler = handler_from(f"{script(tmp_path, text)} {words}", clock=ManualClock())
    with pytest.raises(SinkUnavailableError, match=r"exit status 1\): cannot reach .*") as failed:
        await handler.write([event()])
    for line in (str(failed.value), caplog.text):
        assert "s3cret" not in line
        assert "***" in line


async def test_arguments_are_masked_where_the_output_is_truncated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once masked, the output is short enough to be logged entirely."""
    text = 'n=0; while [ $n -lt 400 ]; do echo "$1" >&2; n=$((n + 1)); done'
    handler = handler_from(f"{script(tmp_path, text)} s3cret/{'x/' * 60}", clock=ManualClock())
    await handler.write([event()])
    assert "***" in caplog.text
    assert "s3cret" not in caplog.text


async def test_failed_command_is_a_temporary_error(tmp_path: Path) -> None:
    text = script(tmp_path, 'echo "no modem" >&2; exit 3')
    with pytest.raises(SinkUnavailableError, match=r"failed \(exit status 3\): no modem"):
        await command(text).write([event()])
    with pytest.raises(SinkUnavailableError, match="signal 9"):
        await command(script(tmp_path, "kill -9 $$")).write([event()])


async def test_failing_event_blocks_only_events_of_the_same_device(tmp_path: Path) -> None:
    """While events of Bathroom fail, later ones of Bathroom wait and all others are sent."""
    received, works = tmp_path / "told", tmp_path / "works"
    text = script(
        tmp_path,
        f'read -r line; case "$line" in *Bathroom*) [ -e {works} ] || exit 1;; esac\n'
        f'echo "$line" >> {received}',
    )
    events = [event(), event(over=True), event("Kitchen"), event("Hall")]
    handler = command(text)
    for _ in range(2):
        with pytest.raises(SinkUnavailableError):
            await handler.write(events)
    works.touch()
    assert (await handler.write(events)).accepted == 4
    lines = [json.loads(line) for line in received.read_text().splitlines()]
    assert [(line["name"], line["over"]) for line in lines] == [
        ("Kitchen", False),
        ("Hall", False),
        ("Bathroom", False),
        ("Bathroom", True),
    ]
    await handler.write(events[:1])
    assert len(received.read_text().splitlines()) == 5, "what is over is forgotten"


async def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    held = fifo(tmp_path)
    text = script(tmp_path, f"exec > {held}; sleep 600 & wait")
    reader = asyncio.create_task(asyncio.to_thread(held.read_text))
    with pytest.raises(SinkUnavailableError, match=r"longer than 0\.3 s and was killed"):
        await command(text, limit=0.3).write([event()])
    assert await asyncio.wait_for(reader, 10) == ""  # the last process that had it open is gone


async def test_command_may_leave_a_child_process_running(tmp_path: Path) -> None:
    """A player of an alarm sound keeps running; the event counts as delivered immediately."""
    pid = tmp_path / "pid"
    started = time.monotonic()
    report = await command(script(tmp_path, f"sleep 60 & echo $! > {pid}")).write([event()])
    assert report.accepted == 1
    assert time.monotonic() - started < 5
    os.kill(int(pid.read_text()), 9)


async def test_a_command_is_killed_when_the_collector_stops(tmp_path: Path) -> None:
    ready = fifo(tmp_path)
    task = asyncio.create_task(
        command(script(tmp_path, f"echo $$ > {ready}; exec sleep 600")).write([event()])
    )
    pid = int(await asyncio.to_thread(ready.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("words", ["/nowhere/to-be-found --now", "{tmp_path}/plain"])
async def test_missing_command_is_refused(tmp_path: Path, words: str) -> None:
    (tmp_path / "plain").write_text("not a program")
    handler = handler_from(words.format(tmp_path=tmp_path), clock=ManualClock())
    for act in (handler.check(), handler.write([event()])):
        with pytest.raises(SinkRefusedError, match="check its path and permissions"):
            await act


async def test_file_that_is_not_a_program_is_a_temporary_error(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "odd").chmod(0o755)
    with pytest.raises(SinkUnavailableError, match="cannot be started: "):
        await command(str(tmp_path / "odd")).write([event()])


@pytest.mark.parametrize(
    "text", ["", "  ", "'unclosed", "''", "ring \0", "https://", "http://[::1", "https:///path"]
)
def test_invalid_handlers_are_refused(text: str) -> None:
    with pytest.raises(SinkOptionsError):
        handler_from(text)


@pytest.mark.parametrize("text", ["https://chat.example/hook/s3cret", "ring --pin s3cret"])
def test_handler_names_are_unique_and_contain_no_secret(text: str) -> None:
    first, second = handler_from(text), handler_from(f"{text}2")
    assert "s3cret" not in first.name
    assert first.name != second.name
    assert first.name == handler_from(text).name
    assert first.name.startswith(("https://chat.example/…", "ring…"))


def test_handler_without_secrets_is_named_in_full() -> None:
    assert handler_from("/usr/bin/ring").name == "/usr/bin/ring"
    assert handler_from("http://localhost:8123/").name == "http://localhost:8123/"


async def test_a_webhook_gets_each_event_as_json(webhook: Handler, receiver: Receiver) -> None:
    events = [event(), event("Кухня")]
    await webhook.check()
    report = await webhook.write(events)
    assert (report.accepted, report.rejected) == (2, ())
    assert [Event.from_dict(posted) for posted in receiver.posted] == events
    assert receiver.headers[0]["Content-Type"] == "application/json"
    assert receiver.headers[0]["User-Agent"].startswith("sst-cloud/")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_busy_webhook_is_retried_without_repeating_events(
    webhook: Handler, receiver: Receiver, status: int
) -> None:
    receiver.statuses, receiver.retry_after = [200, status], "90"
    events = [event(), event("Kitchen"), event("Hall")]
    with pytest.raises(SinkUnavailableError, match=f"HTTP {status}") as caught:
        await webhook.write(events)
    assert caught.value.retry_after == 90
    assert (await webhook.write(events)).accepted == 3
    names = [posted["name"] for posted in receiver.posted]
    assert names == ["Bathroom", "Kitchen", "Kitchen", "Hall"]


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
async def test_event_refused_by_a_webhook_is_rejected(
    webhook: Handler, receiver: Receiver, status: int
) -> None:
    receiver.statuses = [200, status]
    events = [event(), event("Kitchen"), event("Hall")]
    report = await webhook.write(events)
    assert report.accepted == 2
    (rejection,) = report.rejected
    assert rejection.event == events[1]
    assert rejection.reason == f"127.0.0.1 rejected it (HTTP {status})"
    receiver.statuses = [status]
    with pytest.raises(EventRejectedError):
        await webhook.send({"month": "2026-10"})


@pytest.mark.parametrize("status", [302, 401, 403, 404, 410])
async def test_wrong_webhook_url_is_refused(
    webhook: Handler, receiver: Receiver, status: int
) -> None:
    receiver.statuses = [status]
    with pytest.raises(SinkRefusedError, match=f"HTTP {status}.*check the URL") as caught:
        await webhook.write([event()])
    assert not isinstance(caught.value, EventRejectedError)
    assert len(receiver.posted) == 1


async def test_events_handled_before_a_failure_are_not_sent_again(
    webhook: Handler, receiver: Receiver
) -> None:
    receiver.statuses = [400, 500]
    events = [event(), event("Kitchen")]
    with pytest.raises(SinkUnavailableError):
        await webhook.write(events)
    report = await webhook.write(events)
    assert (report.accepted, [r.event for r in report.rejected]) == (1, events[:1])
    assert len(receiver.posted) == 3


async def test_events_older_than_a_day_are_dropped(
    webhook: Handler, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    events = [event(time=NOW - timedelta(hours=25)), event("Hall", time=NOW - timedelta(hours=23))]
    report = await webhook.write(events)
    assert [rejection.event for rejection in report.rejected] == events[:1]
    assert "more than a day old" in report.rejected[0].reason
    assert [posted["name"] for posted in receiver.posted] == ["Hall"]
    assert "dropped, as it is too old: Water: Bathroom" in caplog.text


async def test_unreachable_webhook_is_a_temporary_error(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/s3cret"
    async with WebhookHandler(url, clock=ManualClock()) as handler:
        with pytest.raises(SinkUnavailableError, match=r"127\.0\.0\.1 cannot be reached") as caught:
            await handler.write([event()])
    assert "s3cret" not in str(caught.value)


@pytest.mark.not_quick
async def test_unresponsive_webhook_times_out(address: str, receiver: Receiver) -> None:
    receiver.answer = asyncio.Event().wait  # type: ignore[assignment]
    async with WebhookHandler(address, clock=ManualClock(), limit=0.2) as handler:
        with pytest.raises(SinkUnavailableError, match=r"did not respond within 0\.2 s"):
            await handler.write([event()])


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 nonsense\r\n\r\n"])
async def test_non_http_answer_of_a_webhook_is_a_temporary_error(
    unused_tcp_port: int, answer: bytes
) -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", unused_tcp_port)
    url = f"http://127.0.0.1:{unused_tcp_port}/s3cret"
    async with server, WebhookHandler(url, clock=ManualClock()) as handler:
        broke = r"the connection to 127\.0\.0\.1 was lost"
        with pytest.raises(SinkUnavailableError, match=broke) as caught:
            await handler.write([event()])
    assert "s3cret" not in str(caught.value)


async def test_untrusted_certificate_of_a_webhook_is_refused(receiver: Receiver) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async for url in serve(receiver, context):
        async with WebhookHandler(url, clock=ManualClock()) as handler:
            with pytest.raises(
                SinkRefusedError, match=r"certificate of 127\.0\.0\.1 is not trusted"
            ):
                await handler.write([event()])
    assert receiver.posted == []


async def test_secrets_of_the_webhook_url_are_never_logged(
    webhook: Handler, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.statuses = [404]
    with pytest.raises(SinkRefusedError) as caught:
        await webhook.write([event(), event(time=NOW - timedelta(days=9))])
    assert "s3cret" not in caplog.text + str(caught.value) + repr(webhook) + webhook.name
    assert "hunter2" not in caplog.text + str(caught.value) + repr(webhook) + webhook.name

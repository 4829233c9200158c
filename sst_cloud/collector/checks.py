"""Whether a collector would work with these settings, without writing anything.

No check raises: `asyncio.gather` runs them side by side, and each result says what is wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import attrs

from sst_cloud.clock import Clock
from sst_cloud.errors import OutboxError, SSTCloudError
from sst_cloud.notify.factory import handler_from
from sst_cloud.notify.webhook import WebhookHandler
from sst_cloud.outbox.database import FILE
from sst_cloud.outbox.state_folder import read_status
from sst_cloud.plugin_url import public_part
from sst_cloud.plugins import open_sink, open_source
from sst_cloud.polling import read_source
from sst_cloud.redaction import display_name, redact_text
from sst_cloud.sink import Sink
from sst_cloud.source import Source, name_of, opened
from sst_cloud.wording import count

_TIMEOUT: Final = 60.0
"""Timeout for a sink in seconds. The source has its own timeouts."""


@attrs.frozen
class CheckResult:
    """The result of one check; `detail` is the error, or a summary. Contains no secrets."""

    name: str
    ok: bool
    detail: str = ""
    error_type: type[Exception] | None = attrs.field(default=None, eq=False)
    """Of the error, for a program that knows a remedy."""


async def check_source(url: str, create: Callable[[str], Source] = open_source) -> CheckResult:
    """Open the source that a URL names, and read it once; it must have a house."""
    try:
        source = create(url)
    except Exception as error:  # noqa: BLE001  a third-party source may raise anything
        return _failure(display_name(public_part(url), url), error)
    return await _result(name_of(source), _read(source))


async def check_folder(folder: Path) -> CheckResult:
    """Whether a state folder has, or could have, a usable outbox; it may not exist yet."""
    return await _result(str(folder), asyncio.to_thread(_examine, folder))


async def check_sink(url: str, secrets: Mapping[str, str] | None = None) -> CheckResult:
    """Open the sink that a URL names, and check it; `secrets` as for `open_sink`."""
    try:
        sink = open_sink(url, secrets)
    except Exception as error:  # noqa: BLE001  a third-party sink may raise anything
        # What no sink accepts may have a secret in any part.
        return _failure(display_name(public_part(url), url), error)
    return await _result(display_name(url, url), _check(sink))


async def check_handler(
    text: str,
    *,
    env: Mapping[str, str] | None = None,
    withheld: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> CheckResult:
    """Check an event handler as far as possible without an event; see `handler_from`."""
    try:
        handler = handler_from(text, env=env, withheld=withheld, clock=clock)
    except SSTCloudError as error:
        return _failure("event handler", error)

    async def check() -> str:
        async with handler:
            await handler.check()
        is_webhook = isinstance(handler, WebhookHandler)
        return "not tested, as that would post something" if is_webhook else ""

    return await _result(handler.name, check())


async def _result(name: str, check: Awaitable[str]) -> CheckResult:
    try:
        return CheckResult(redact_text(name), True, _one_line(await check))
    except Exception as error:  # noqa: BLE001  a third-party sink may raise anything
        return _failure(name, error)


def _failure(name: str, error: Exception) -> CheckResult:
    is_ours = isinstance(error, SSTCloudError)
    reason = str(error) if is_ours else f"{type(error).__name__}: {error}"
    return CheckResult(redact_text(name), False, _one_line(reason), type(error))


def _one_line(text: str) -> str:
    return redact_text(" ".join(text.split()))


async def _read(source: Source) -> str:
    async with opened(source):
        snapshot, readings = await read_source(source)
    counts = [
        count(len(snapshot.houses), "house"),
        count(len(snapshot.devices), "device"),
        count(len(readings), "reading"),
    ]
    if snapshot.unreadable:
        counts.append(f"{len(snapshot.unreadable)} unreadable")
    elif snapshot.problems:
        raise SSTCloudError(*snapshot.problems)
    return ", ".join(counts)


def _examine(folder: Path) -> str:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        TemporaryFile(dir=existing).close()  # has no name if the system supports that
    except OSError as error:
        raise OutboxError(f"{existing} cannot be written to: {error.strerror}") from None
    if (folder / FILE).exists():
        read_status(folder)  # raises if it is damaged, or not an outbox
    return ""


async def _check(sink: Sink) -> str:
    try:
        async with asyncio.timeout(_TIMEOUT), sink:
            await sink.check()
    except TimeoutError:
        raise SSTCloudError(f"no response within {_TIMEOUT:g} s") from None
    return ""

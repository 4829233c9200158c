"""`sst-cloud check`: whether `collect` would work."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import attrs
import click

from sst_cloud.cli.app import error_message
from sst_cloud.cli.collect_options import handler_from_option, on_event_option
from sst_cloud.cli.config import config_option
from sst_cloud.cli.output import json_option, print_json, stdout_console
from sst_cloud.cli.selection import house_option, read_snapshot
from sst_cloud.cli.settings import Settings, account_options, state_option
from sst_cloud.cli.shutdown import ForcedExit
from sst_cloud.cli.sink_options import refused_sink_name, sink_name
from sst_cloud.errors import SSTCloudError
from sst_cloud.extraction import readings_from
from sst_cloud.notify.webhook import WebhookHandler
from sst_cloud.outbox import read_status
from sst_cloud.outbox.database import FILE
from sst_cloud.redaction import redact_text
from sst_cloud.source import NO_HOUSES
from sst_cloud.wording import count, printable

_TIMEOUT: Final = 60.0
"""Timeout for a sink in seconds. The source has its own timeouts."""


@attrs.frozen
class CheckResult:
    """The result of one check; `detail` is the error, or a summary."""

    name: str
    ok: bool
    detail: str = ""


@click.command()
@config_option
@click.option("--sink", "sinks", multiple=True, metavar="URL", help="Sink to check; repeatable.")
@on_event_option
@house_option
@state_option
@json_option
@account_options
@click.pass_obj
def check(
    settings: Settings,
    *,
    sinks: tuple[str, ...],
    on_event: tuple[str, ...],
    house_names: tuple[str, ...],
    as_json: bool,
) -> None:
    """Test the configuration of `collect`, without writing anything.

    Takes the same options or configuration file. Logs in and reads the account once, checks that
    every sink would accept readings, and checks the state folder and the --on-event handlers. The
    exit status is 0 if everything works.
    """
    forced_exit = ForcedExit()
    try:
        all_ok = asyncio.run(
            _run_checks(settings, sinks, on_event, house_names, forced_exit, as_json=as_json)
        )
    finally:
        forced_exit.cancel()
    if not all_ok:
        raise click.exceptions.Exit(1)


async def _run_checks(  # noqa: PLR0913
    settings: Settings,
    sinks: Sequence[str],
    on_event: Sequence[str],
    house_names: Sequence[str],
    forced_exit: ForcedExit,
    *,
    as_json: bool,
) -> bool:
    """Run all checks and print the results, even if a sink hangs in a thread."""
    results = await asyncio.gather(
        _run_check(settings.base_url, partial(_read_account, settings, house_names)),
        _run_check(str(settings.state), partial(_check_folder, settings.state)),
        *(_check_sink(url, settings) for url in sinks),
        *(_check_handler(text, settings) for text in on_event),
    )
    if as_json:
        print_json(results)
    else:
        _print_results(results)
    all_ok = all(result.ok for result in results)
    forced_exit.status = 0 if all_ok else 1
    forced_exit.start()
    return all_ok


def _print_results(results: Sequence[CheckResult]) -> None:
    from rich.text import Text  # noqa: PLC0415

    console = stdout_console()
    for result in results:
        outcome = ("ok", "green") if result.ok else ("failed", "red")
        detail = result.detail and f" - {printable(result.detail)}"
        console.print(Text.assemble(f"{printable(result.name)}: ", outcome, detail), soft_wrap=True)


async def _run_check(name: str, action: Callable[[], Awaitable[str]]) -> CheckResult:
    try:
        return CheckResult(redact_text(name), True, _one_line(await action()))
    except Exception as error:  # noqa: BLE001  a third-party sink may raise anything
        return _failed_result(name, error)


def _failed_result(name: str, error: Exception) -> CheckResult:
    if isinstance(error, click.ClickException):
        reason = error.format_message()
    elif isinstance(error, SSTCloudError):
        reason = error_message(error)
    elif isinstance(error, TimeoutError):
        reason = f"no response within {_TIMEOUT:g} s"
    else:
        reason = f"{type(error).__name__}: {error}"
    return CheckResult(redact_text(name), False, _one_line(reason))


def _one_line(text: str) -> str:
    return redact_text(" ".join(text.split()))


async def _read_account(settings: Settings, house_names: Sequence[str]) -> str:
    async with settings.client() as cloud:
        snapshot = await read_snapshot(cloud, house_names)
    counts = [
        count(len(snapshot.houses), "house"),
        count(len(snapshot.devices), "device"),
        count(len(readings_from(snapshot)), "reading"),
    ]
    if snapshot.unreadable:
        counts.append(f"{len(snapshot.unreadable)} unreadable")
    if not snapshot.houses and not snapshot.unreadable:
        raise click.ClickException(NO_HOUSES)
    return ", ".join(counts)


async def _check_folder(folder: Path) -> str:
    await asyncio.to_thread(_raise_if_unwritable, folder)
    return ""


def _raise_if_unwritable(folder: Path) -> None:
    """Raise `ClickException` if a folder cannot hold an outbox; it may not exist yet."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        TemporaryFile(dir=existing).close()  # has no name if the system supports that
    except OSError as error:
        raise click.ClickException(f"{existing} cannot be written to: {error.strerror}") from None
    if (folder / FILE).exists():
        read_status(folder)  # raises if it is damaged, or not an outbox


async def _check_sink(url: str, settings: Settings) -> CheckResult:
    try:
        sink = settings.open_sink(url)
    except Exception as error:  # noqa: BLE001  a third-party sink may raise anything
        return _failed_result(refused_sink_name(url), error)

    async def action() -> str:
        async with asyncio.timeout(_TIMEOUT), sink:
            await sink.check()
        return ""

    return await _run_check(sink_name(url), action)


async def _check_handler(text: str, settings: Settings) -> CheckResult:
    try:
        handler = handler_from_option(text, settings)
    except SSTCloudError as error:
        return _failed_result("--on-event", error)

    async def action() -> str:
        async with handler:
            await handler.check()
        return (
            "not tested, as that would post something"
            if isinstance(handler, WebhookHandler)
            else ""
        )

    return await _run_check(handler.name, action)

"""`sst-cloud check`: whether `collect` would work."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import attrs
import click

from sst_cloud.collector import read_status
from sst_cloud.collector.database import FILE
from sst_cloud.collector.webhook import WebhookHandler
from sst_cloud.errors import SSTCloudError
from sst_cloud.measurements import readings_from
from sst_cloud.redaction import redact_text
from sst_cloud.text import printable
from sst_cloud.wording import NO_HOUSES, count

from .account import house_option, read_snapshot
from .config import config_option
from .ending import Leaving
from .output import console, json_option, print_json
from .serving import handler_for, on_event_option
from .settings import Settings, account_options, state_option
from .sink_names import name_of_refused, sink_name

_LIMIT: Final = 60.0
"""Timeout for a sink in seconds. The source has its own timeouts."""


@attrs.frozen
class Finding:
    """The result of one check; `said` is what is wrong, or what was found."""

    name: str
    ok: bool
    said: str = ""


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
    wanted: tuple[str, ...],
    as_json: bool,
) -> None:
    """Test the configuration of `collect`, without writing anything.

    Takes the same options or configuration file. Logs in and reads the account once, checks that
    every sink would accept readings, and checks the state folder and the --on-event handlers. The
    exit status is 0 if everything works.
    """
    leaving = Leaving()
    try:
        all_well = asyncio.run(_check(settings, sinks, on_event, wanted, leaving, as_json=as_json))
    finally:
        leaving.over()
    if not all_well:
        raise click.exceptions.Exit(1)


async def _check(  # noqa: PLR0913
    settings: Settings,
    sinks: Sequence[str],
    on_event: Sequence[str],
    wanted: Sequence[str],
    leaving: Leaving,
    *,
    as_json: bool,
) -> bool:
    """Run all checks and print the results, even if a sink hangs in a thread."""
    findings = await asyncio.gather(
        _try(settings.base_url, partial(_read, settings, wanted)),
        _try(str(settings.state), partial(_ask_folder, settings.state)),
        *(_try_sink(url, settings) for url in sinks),
        *(_try_handler(text, settings) for text in on_event),
    )
    if as_json:
        print_json(findings)
    else:
        _print(findings)
    all_well = all(finding.ok for finding in findings)
    leaving.status = 0 if all_well else 1
    leaving.begin()
    return all_well


def _print(findings: Sequence[Finding]) -> None:
    from rich.text import Text  # noqa: PLC0415

    out = console()
    for finding in findings:
        verdict = ("ok", "green") if finding.ok else ("failed", "red")
        said = finding.said and f" - {printable(finding.said)}"
        out.print(Text.assemble(f"{printable(finding.name)}: ", verdict, said), soft_wrap=True)


async def _try(name: str, attempt: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(redact_text(name), True, _one_line(await attempt()))
    except Exception as error:  # noqa: BLE001  a third-party sink may raise anything
        return _failed(name, error)


def _failed(name: str, error: Exception) -> Finding:
    if isinstance(error, click.ClickException):
        reason = error.format_message()
    elif isinstance(error, SSTCloudError):
        reason = str(error)
    elif isinstance(error, TimeoutError):
        reason = f"no response within {_LIMIT:g} s"
    else:
        reason = f"{type(error).__name__}: {error}"
    return Finding(redact_text(name), False, _one_line(reason))


def _one_line(text: str) -> str:
    return redact_text(" ".join(text.split()))


async def _read(settings: Settings, wanted: Sequence[str]) -> str:
    async with settings.client() as cloud:
        snapshot = await read_snapshot(cloud, wanted)
    seen = [
        count(len(snapshot.houses), "house"),
        count(len(snapshot.devices), "device"),
        count(len(readings_from(snapshot)), "reading"),
    ]
    if snapshot.unreadable:
        seen.append(f"{len(snapshot.unreadable)} unreadable")
    if not snapshot.houses and not snapshot.unreadable:
        raise click.ClickException(NO_HOUSES)
    return ", ".join(seen)


async def _ask_folder(folder: Path) -> str:
    await asyncio.to_thread(_write_nothing, folder)
    return ""


def _write_nothing(folder: Path) -> None:
    """Raise `ClickException` if the outbox cannot be in a folder, which may not exist yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        TemporaryFile(dir=there).close()  # has no name, on systems that support this
    except OSError as error:
        raise click.ClickException(f"{there} cannot be written to: {error.strerror}") from None
    if (folder / FILE).exists():
        read_status(folder)  # raises for a damaged outbox, and for another's file


async def _try_sink(url: str, settings: Settings) -> Finding:
    try:
        sink = settings.open_sink(url)
    except Exception as error:  # noqa: BLE001  a third-party sink may raise anything
        return _failed(name_of_refused(url), error)

    async def ask() -> str:
        async with asyncio.timeout(_LIMIT), sink:
            await sink.check()
        return ""

    return await _try(sink_name(url), ask)


async def _try_handler(text: str, settings: Settings) -> Finding:
    try:
        handler = handler_for(text, settings)
    except SSTCloudError as error:
        return _failed("--on-event", error)

    async def ask() -> str:
        async with handler:
            await handler.check()
        return (
            "not tested, as that would post something"
            if isinstance(handler, WebhookHandler)
            else ""
        )

    return await _try(handler.name, ask)

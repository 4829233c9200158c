"""`sst-cloud read` and `sst-cloud collect`: from the cloud into sinks, once or again and again."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import attrs
import click

from sst_cloud import collector
from sst_cloud.client import SSTCloud
from sst_cloud.collector import Poll
from sst_cloud.models import Snapshot
from sst_cloud.readings import format_time
from sst_cloud.redaction import redact_text
from sst_cloud.sink import Sink, open_sink
from sst_cloud.source import Source

from .account import choose, house_option
from .durations import Duration
from .output import json_option
from .settings import Settings, account_options

sink_option = click.option(
    "--sink", "sinks", multiple=True, metavar="URL", help="Where to; see `sst-cloud sinks`."
)


@attrs.frozen
class _SomeHouses:
    """A source narrowed to some houses."""

    cloud: SSTCloud
    house_ids: Sequence[int]

    async def snapshot(self) -> Snapshot:
        return await self.cloud.snapshot(house_ids=self.house_ids)


@click.command()
@sink_option
@house_option
@json_option
@account_options
@click.pass_obj
def read(
    settings: Settings, *, sinks: tuple[str, ...], wanted: tuple[str, ...], as_json: bool
) -> None:
    """Read once, into any sink.

    Without a sink the readings are printed: as a table on a terminal, as JSON Lines in a pipe.
    """
    people = sys.stdout.isatty() and not as_json
    default = "stdout:?format=table" if people else "stdout:"
    asyncio.run(_collect(settings, sinks or (default,), wanted, polls=1))


@click.command()
@sink_option
@click.option("--every", type=Duration(), default="20m", show_default=True, help="How often.")
@click.option("--once", is_flag=True, help="Poll once and stop.")
@click.option("--polls", type=click.IntRange(min=1), help="Stop after so many polls.")
@house_option
@click.option("-q", "--quiet", is_flag=True, help="Do not print a line per poll.")
@account_options
@click.pass_obj
def collect(  # noqa: PLR0913  one per option
    settings: Settings,
    *,
    sinks: tuple[str, ...],
    every: timedelta,
    once: bool,
    polls: int | None,
    wanted: tuple[str, ...],
    quiet: bool,
) -> None:
    """Read again and again, into any sinks, until stopped.

    The cloud learns new values about every 10 minutes; polling faster brings nothing. What may
    pass (cloud away, store busy) is tried again at the next poll.
    """
    if not sinks:
        raise click.UsageError("say where to: --sink sqlite:home.db, for one")
    asyncio.run(
        _collect(settings, sinks, wanted, every=every, polls=1 if once else polls, quiet=quiet)
    )


async def _collect(  # noqa: PLR0913
    settings: Settings,
    urls: Sequence[str],
    wanted: Sequence[str],
    *,
    every: timedelta = collector.EVERY,
    polls: int | None = None,
    quiet: bool = True,
) -> None:
    async with _opened(urls) as sinks, settings.client() as cloud:
        source: Source = cloud
        if wanted:
            source = _SomeHouses(cloud, choose(await cloud.houses(), wanted) or ())
        await collector.collect(
            source,
            sinks,
            every=every,
            polls=polls,
            clock=settings.clock,
            on_poll=_report_rejected if quiet else _report,
        )


@asynccontextmanager
async def _opened(urls: Sequence[str]) -> AsyncIterator[dict[str, Sink]]:
    """All sinks, open and found writable, before the cloud is asked for anything."""
    sinks = {redact_text(url): open_sink(url) for url in urls}
    async with AsyncExitStack() as stack:
        for sink in sinks.values():
            await stack.enter_async_context(sink)
            await sink.check()
        yield sinks


def _report(poll: Poll) -> None:
    """One line per poll on stderr."""
    stored = ", ".join(
        f"{name} {made.error or made.report.accepted}" for name, made in poll.deliveries.items()
    )
    click.echo(f"{format_time(poll.time)}  {len(poll.readings)} readings: {stored}", err=True)
    _report_rejected(poll)


def _report_rejected(poll: Poll) -> None:
    for name, made in poll.deliveries.items():
        for rejection in made.report.rejected:
            point = f"{rejection.reading.quantity} of {rejection.reading.point_id}"
            click.echo(f"Warning: {name} rejected {point}: {rejection.reason}", err=True)

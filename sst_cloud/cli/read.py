"""`sst-cloud read`: from the cloud into sinks, once."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import click

from sst_cloud.errors import SSTCloudError
from sst_cloud.measurements import readings_from
from sst_cloud.sink import Sink

from .account import house_option, read_snapshot
from .output import json_option, say, warn_missing
from .settings import Settings, account_options
from .sink_names import open_sinks, sink_option


@click.command()
@sink_option
@house_option
@json_option
@account_options
@click.pass_obj
def read(
    settings: Settings, *, sinks: tuple[str, ...], wanted: tuple[str, ...], as_json: bool
) -> None:
    """Read the account once, into any sink.

    Without a sink, prints the readings: as a table on a terminal, as JSON Lines in a pipe. Exit
    status 1 if a sink rejected any.
    """
    people = sys.stdout.isatty() and not as_json
    default = "stdout:?format=table" if people else "stdout:"
    asyncio.run(_read(settings, sinks or (default,), wanted))


async def _read(settings: Settings, urls: Sequence[str], wanted: Sequence[str]) -> None:
    async with _opened(urls, settings) as sinks, settings.client() as cloud:
        snapshot = await read_snapshot(cloud, wanted)
        warn_missing(snapshot.houses, snapshot.unreadable)
        readings = readings_from(snapshot)
        failed: list[SSTCloudError] = []
        rejected = False
        for name, sink in sinks.items():
            try:
                report = await sink.write(readings)
            except SSTCloudError as error:
                failed.append(error)  # the others get theirs
                if len(failed) > 1:
                    say(f"Error: {name}: {error}")
                continue
            for rejection in report.rejected:
                rejected = True
                point = f"{rejection.reading.quantity} of {rejection.reading.point_id}"
                say(f"Warning: {name} rejected {point}: {rejection.reason}")
    if failed:
        raise failed[0]
    if rejected:
        raise click.exceptions.Exit(1)


@asynccontextmanager
async def _opened(urls: Sequence[str], settings: Settings) -> AsyncIterator[dict[str, Sink]]:
    """Open all sinks and check that they are writable, before the cloud is polled."""
    sinks = open_sinks(urls, settings)
    async with AsyncExitStack() as stack:
        for sink in sinks.values():
            await stack.enter_async_context(sink)
            await sink.check()
        yield sinks

"""`sst-cloud read`: from the source into sinks, once."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import click

from sst_cloud.cli.output import error_message, json_option, print_message, warn_missing
from sst_cloud.cli.selection import house_option
from sst_cloud.cli.settings import Settings, source_options
from sst_cloud.cli.sink_options import open_sinks, sink_option
from sst_cloud.errors import SinkClosedError, SSTCloudError
from sst_cloud.polling import read_source
from sst_cloud.sink import Sink


@click.command()
@sink_option
@house_option
@json_option
@source_options
@click.pass_obj
def read(
    settings: Settings, *, sinks: tuple[str, ...], house_names: tuple[str, ...], as_json: bool
) -> None:
    """Read the source once, into any sink.

    Without a sink, prints the readings: as a table on a terminal, as JSON Lines in a pipe. Exit
    status 1 if a sink rejected any.
    """
    on_terminal = sys.stdout.isatty() and not as_json
    default = "stdout:?format=table" if on_terminal else "stdout:"
    asyncio.run(_read(settings, sinks or (default,), house_names))


async def _read(settings: Settings, urls: Sequence[str], house_names: Sequence[str]) -> None:
    async with _open_and_check(urls, settings) as sinks, settings.source(house_names) as source:
        snapshot, readings = await read_source(source)
        warn_missing(snapshot)
        errors: list[SSTCloudError] = []
        rejected = False
        for name, sink in sinks.items():
            try:
                report = await sink.write(readings)
            except SSTCloudError as error:
                errors.append(error)  # the other sinks follow
                if len(errors) > 1:
                    print_message(f"Error: {name}: {error_message(error)}")
                continue
            for rejection in report.rejected:
                rejected = True
                point = f"{rejection.reading.quantity} of {rejection.reading.point_id}"
                print_message(f"Warning: {name} rejected {point}: {rejection.reason}")
    if errors:
        raise min(errors, key=lambda error: isinstance(error, SinkClosedError))
    if rejected:
        raise click.exceptions.Exit(1)


@asynccontextmanager
async def _open_and_check(
    urls: Sequence[str], settings: Settings
) -> AsyncIterator[dict[str, Sink]]:
    """Open all sinks and check that they are writable, before the source is asked."""
    sinks = open_sinks(urls, settings)
    async with AsyncExitStack() as stack:
        for sink in sinks.values():
            await stack.enter_async_context(sink)
            await sink.check()
        yield sinks

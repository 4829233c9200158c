"""`sst-cloud provision`: the store of a sink, such as a database and its table."""

import asyncio
from collections.abc import Sequence

import click

from sst_cloud.cli.config import config_option
from sst_cloud.cli.settings import Settings, verbose_option
from sst_cloud.redaction import redact_text
from sst_cloud.sink import Provisioned
from sst_cloud.wording import printable


@click.command()
@config_option
@click.argument("url", metavar="SINK_URL")
@verbose_option
@click.pass_obj
def provision(settings: Settings, *, url: str) -> None:
    """Create the store of a sink, such as a database and its table, if it is missing.

    What exists is kept, and so are the readings in it. See `sst-cloud sinks` for the options in the
    URL that it goes by.
    """
    for message in asyncio.run(_provision(settings, url)):
        click.echo(printable(redact_text(message)))


async def _provision(settings: Settings, url: str) -> Sequence[str]:
    async with settings.open_sink(url) as sink:
        if not isinstance(sink, Provisioned):
            scheme = url.partition(":")[0].lower()
            raise click.UsageError(
                f"the {scheme} sink has nothing to provision: its store is created by the first "
                "write, or by its own tools"
            )
        return await sink.provision()

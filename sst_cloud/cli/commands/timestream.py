"""`sst-cloud timestream create`: a database and table in Amazon Timestream."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, runtime_checkable
from urllib.parse import urlencode

import click

from sst_cloud.cli.params import Retention
from sst_cloud.cli.settings import Settings, verbose_option


@runtime_checkable
class TableMaker(Protocol):
    """A sink that can create its database and table."""

    async def create(
        self, *, memory: timedelta, magnetic: timedelta, magnetic_writes: bool = False
    ) -> Sequence[str]:
        """Create what is missing; returns a message for each step."""
        ...


@click.group()
def timestream() -> None:
    """Set up Amazon Timestream."""


@timestream.command()
@click.argument("target", metavar="DATABASE/TABLE")
@click.option(
    "--memory",
    type=Retention(),
    default="30d",
    show_default=True,
    help="Maximum age of a new reading, without --magnetic-writes.",
)
@click.option(
    "--magnetic",
    type=Retention(),
    default="10y",
    show_default=True,
    help="How long to keep readings.",
)
@click.option("--magnetic-writes", is_flag=True, help="Accept older readings, for `import`.")
@click.option("--region", help="AWS region.")
@click.option("--profile", help="Profile in ~/.aws/config.")
@click.option("--endpoint-url", help="Endpoint to use instead of AWS's own.")
@verbose_option
@click.pass_obj
def create(
    settings: Settings,
    /,
    *,
    target: str,
    memory: timedelta,
    magnetic: timedelta,
    magnetic_writes: bool,
    **options: str | None,
) -> None:
    """Create the database and table if they do not exist.

    If the table exists, its retention is extended if necessary, but never shortened.
    """
    query = urlencode({name: value for name, value in options.items() if value})
    url = f"timestream:{target}?{query}" if query else f"timestream:{target}"
    creation = _create(settings, url, memory, magnetic, magnetic_writes=magnetic_writes)
    for message in asyncio.run(creation):
        click.echo(message)


async def _create(
    settings: Settings, url: str, memory: timedelta, magnetic: timedelta, *, magnetic_writes: bool
) -> Sequence[str]:
    async with settings.open_sink(url) as sink:
        if not isinstance(sink, TableMaker):
            raise click.ClickException("the installed timestream sink cannot create tables")
        return await sink.create(memory=memory, magnetic=magnetic, magnetic_writes=magnetic_writes)

"""`sst-cloud timestream create`: a place for readings in Amazon Timestream."""

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import urlencode

import click

from sst_cloud.sink import open_sink

from .settings import verbose_option

_DAYS: Final = {"h": 1 / 24, "d": 1, "w": 7, "y": 365}


@runtime_checkable
class TableMaker(Protocol):
    """A sink that can make its database and table."""

    async def create(
        self, *, memory: timedelta, magnetic: timedelta, magnetic_writes: bool = False
    ) -> Sequence[str]:
        """Make what is missing; says what was done."""
        ...


class Retention(click.ParamType[timedelta]):
    """`12h`, `30d`, `8w`, `10y` (years of 365 days)."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read how long something is kept."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([1-9]\d{0,5})([hdwy])", value)
        if not found:
            self.fail(f"{value!r} is not a duration; write 12h, 30d or 10y", param, ctx)
        return timedelta(days=int(found[1]) * _DAYS[found[2]])


@click.group()
def timestream() -> None:
    """Make database and table in Amazon Timestream."""


@timestream.command()
@click.argument("target", metavar="DATABASE/TABLE")
@click.option(
    "--memory",
    type=Retention(),
    default="30d",
    show_default=True,
    help="How old a new reading may be, without --magnetic-writes.",
)
@click.option(
    "--magnetic", type=Retention(), default="10y", show_default=True, help="How long all is kept."
)
@click.option("--magnetic-writes", is_flag=True, help="Take older readings too, for `import`.")
@click.option("--region", help="AWS region.")
@click.option("--profile", help="Profile of ~/.aws/config.")
@click.option("--endpoint-url", help="Another address than AWS names.")
@verbose_option
def create(
    *,
    target: str,
    memory: timedelta,
    magnetic: timedelta,
    magnetic_writes: bool,
    **options: str | None,
) -> None:
    """Make database and table where they are not.

    What is there already is lengthened where it keeps readings too shortly, never shortened.
    """
    given = urlencode({name: value for name, value in options.items() if value})
    url = f"timestream:{target}?{given}" if given else f"timestream:{target}"
    for sentence in asyncio.run(_create(url, memory, magnetic, magnetic_writes=magnetic_writes)):
        click.echo(sentence)


async def _create(
    url: str, memory: timedelta, magnetic: timedelta, *, magnetic_writes: bool
) -> Sequence[str]:
    async with open_sink(url) as sink:
        if not isinstance(sink, TableMaker):
            raise click.ClickException("the installed timestream sink cannot make tables")
        return await sink.create(memory=memory, magnetic=magnetic, magnetic_writes=magnetic_writes)

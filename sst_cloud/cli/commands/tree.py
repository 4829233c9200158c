"""`sst-cloud tree` and `sst-cloud watch`: the source at a glance."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta
from itertools import count

import attrs
import click
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from sst_cloud.cli.output import json_option, print_json, stdout_console, warn_missing
from sst_cloud.cli.params import Duration
from sst_cloud.cli.selection import house_option, snapshot_of
from sst_cloud.cli.settings import Settings, source_options
from sst_cloud.display.terminal import SnapshotTable, snapshot_tree
from sst_cloud.errors import TRANSIENT
from sst_cloud.source import read_snapshot
from sst_cloud.wording import printable


@click.command()
@house_option
@json_option
@source_options
@click.pass_obj
def tree(settings: Settings, *, house_names: tuple[str, ...], as_json: bool) -> None:
    """Show the source as a tree: houses, devices, and what they report."""
    snapshot = snapshot_of(settings, house_names)
    if as_json:
        print_json(snapshot)
    else:
        stdout_console().print(snapshot_tree(snapshot))
    warn_missing(snapshot)


@click.command()
@click.option(
    "--every", type=Duration(), default="1m", show_default=True, help="Interval between polls."
)
@click.option("--polls", type=click.IntRange(min=1), help="Stop after this many polls.")
@house_option
@source_options
@click.pass_obj
def watch(
    settings: Settings, *, every: timedelta, polls: int | None, house_names: tuple[str, ...]
) -> None:
    """Show a live table of the source, until stopped.

    Problems come first, in red. In SST Cloud, valves and alarms change promptly, meters about
    every 10 minutes.
    """
    asyncio.run(_watch(settings, every, polls, house_names))


async def _watch(
    settings: Settings, every: timedelta, polls: int | None, house_names: Sequence[str]
) -> None:
    console = stdout_console()
    with (
        Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live
    ):

        def show(content: RenderableType) -> None:
            if live is None:
                console.print(content)
            else:
                live.update(content, refresh=True)

        async with settings.source(house_names) as source:
            screen: SnapshotTable | None = None
            for number in count(1):
                try:
                    snapshot = await read_snapshot(source)
                    screen = SnapshotTable(snapshot, hint="Ctrl-C to stop")
                    show(screen)
                except TRANSIENT as error:
                    if screen is None:
                        show(Text(printable(f"{error}; retrying")))
                    else:
                        show(attrs.evolve(screen, error=f"{error}; retrying"))
                if number == polls:
                    return
                await settings.clock.sleep(every.total_seconds())

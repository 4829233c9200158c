"""`sst-cloud tree` and `sst-cloud watch`: the account for people."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import timedelta
from itertools import count

import click
from rich.console import Group as Stack
from rich.console import RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from sst_cloud.enums import Quality
from sst_cloud.errors import PASSING
from sst_cloud.measurements import readings_from
from sst_cloud.models import Snapshot
from sst_cloud.readings import Reading
from sst_cloud.text import printable
from sst_cloud.wording import Reported, by_house, by_point, point_of, trouble, value_of, what

from .account import house_option, read_account, read_snapshot
from .durations import Duration
from .output import add_row, console, json_option, minute, print_json, table, warn_missing
from .settings import Settings, account_options


@click.command()
@house_option
@json_option
@account_options
@click.pass_obj
def tree(settings: Settings, *, wanted: tuple[str, ...], as_json: bool) -> None:
    """Show the account as a tree: houses, devices, and what they report."""
    snapshot = asyncio.run(read_account(settings, wanted))
    if as_json:
        print_json(snapshot)
    else:
        console().print(_tree(snapshot))
    warn_missing(snapshot.houses, snapshot.unreadable)


@click.command()
@click.option("--every", type=Duration(), default="1m", show_default=True, help="How often.")
@click.option("--polls", type=click.IntRange(min=1), help="Stop after so many polls.")
@house_option
@account_options
@click.pass_obj
def watch(
    settings: Settings, *, every: timedelta, polls: int | None, wanted: tuple[str, ...]
) -> None:
    """Watch the account: a table that keeps itself up to date, until stopped.

    Valves and alarms show soon; meters are refreshed by the cloud about every 10 minutes.
    """
    asyncio.run(_watch(settings, every, polls, wanted))


async def _watch(
    settings: Settings, every: timedelta, polls: int | None, wanted: Sequence[str]
) -> None:
    out = console()
    with Live(console=out, auto_refresh=False) if out.is_terminal else nullcontext() as live:

        def show(shown: RenderableType) -> None:
            if live is None:
                out.print(shown)
            else:
                live.update(shown, refresh=True)

        async with settings.client() as cloud:
            seen: RenderableType = ""
            for number in count(1):
                try:
                    seen = _table(await read_snapshot(cloud, wanted))
                    show(seen)
                except PASSING as error:
                    show(Stack(seen, Text(printable(f"{error}; trying again"))))
                if number == polls:
                    return
                await settings.clock.sleep(every.total_seconds())


def _tree(snapshot: Snapshot) -> Tree:
    root = Tree(Text(f"SST Cloud, {minute(snapshot.time)}"))
    for house, devices in by_house(snapshot, readings_from(snapshot)):
        branch = root.add(_headed(house.name, house.timezone or ""))
        for reported in devices:
            twig = branch.add(_device(reported))
            for line in _points(reported.readings):
                twig.add(line)
    return root


def _device(reported: Reported) -> Text:
    device = reported.device
    if device is None:
        return Text(f"device {reported.id}", "bold")
    access = "" if device.access_status is None else f"  {device.access_status}"
    return _headed(device.name or str(device.id), f"{device.model}{access}")


def _headed(name: str, rest: str) -> Text:
    return Text.assemble((printable(name), "bold"), f"  {printable(rest)}")


def _points(readings: Sequence[Reading]) -> Iterator[Text]:
    """A line for each part of a device, with all that it reports."""
    for found in by_point(readings):
        values = ", ".join(_value(reading) for reading in found)
        alarm = any(trouble(reading) for reading in found)
        name = printable(point_of(found[0]))
        yield Text.assemble(name, "  ", (values, "bold red" if alarm else ""))


def _value(reading: Reading) -> str:
    stale = " (stale)" if reading.quality is Quality.STALE else ""
    return f"{what(reading)} {value_of(reading)}{stale}"


def _table(snapshot: Snapshot) -> Table:
    made = table("house", "device", "point", "what", "value", "quality", right=("value",))
    made.caption = f"{snapshot.time:%Y-%m-%d %H:%M:%SZ}, Ctrl-C ends"
    made.caption_justify = "left"
    readings = readings_from(snapshot)
    for reading in sorted(readings, key=lambda reading: (reading.house_id, reading.device_id)):
        add_row(
            made,
            reading.house,
            reading.device or reading.device_id,
            point_of(reading),
            str(reading.quantity).replace("_", " "),
            value_of(reading),
            "" if reading.quality is Quality.GOOD else reading.quality,
        )
    return made

"""`sst-cloud tree` and `sst-cloud watch`: the account at a glance."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import timedelta
from itertools import count
from typing import Final

import attrs
import click
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from sst_cloud.enums import Quality, Quantity
from sst_cloud.errors import PASSING
from sst_cloud.measurements import readings_from
from sst_cloud.models import Snapshot
from sst_cloud.readings import Reading
from sst_cloud.text import printable
from sst_cloud.wording import Reported, by_house, by_point, point_of, trouble, value_of, what

from .account import house_option, read_account, read_snapshot
from .durations import Duration
from .output import console, json_option, minute, print_json, table, warn_missing
from .settings import Settings, account_options

_AROUND: Final = 3
"""Lines of the screen for the time, the headings and the cursor."""
_NAME: Final = 20
"""Columns that a name may take in a single-line row."""

_FINE: Final = frozenset(
    {Quantity.LEAK, Quantity.SENSOR_LOST, Quantity.BATTERY_LOW, Quantity.ONLINE}
)
"""Quantities that are only shown if they are a problem."""


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
@click.option(
    "--every", type=Duration(), default="1m", show_default=True, help="Interval between polls."
)
@click.option("--polls", type=click.IntRange(min=1), help="Stop after this many polls.")
@house_option
@account_options
@click.pass_obj
def watch(
    settings: Settings, *, every: timedelta, polls: int | None, wanted: tuple[str, ...]
) -> None:
    """Show a live table of the account, until stopped.

    Problems come first, in red. Valves and alarms change promptly; the cloud updates meters about
    every 10 minutes.
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
            seen: _Screen | None = None
            for number in count(1):
                try:
                    seen = _Screen(await read_snapshot(cloud, wanted))
                    show(seen)
                except PASSING as error:
                    if seen is None:
                        show(Text(printable(f"{error}; retrying")))
                    else:
                        show(attrs.evolve(seen, error=str(error)))
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
    """A line for each part of a device, with all its readings."""
    for found in by_point(readings):
        values = ", ".join(_value(reading) for reading in found)
        alarm = any(trouble(reading) for reading in found)
        name = printable(point_of(found[0]))
        yield Text.assemble(name, "  ", (values, "bold red" if alarm else ""))


def _value(reading: Reading) -> str:
    stale = " (stale)" if reading.quality is Quality.STALE else ""
    return f"{what(reading)} {value_of(reading)}{stale}"


@attrs.frozen
class _Screen:
    """The screen of `watch`: a line for each point, those with problems first."""

    snapshot: Snapshot
    error: str = ""

    def __rich_console__(self, out: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"{self.snapshot.time.astimezone():%Y-%m-%d %H:%M:%S}  Ctrl-C to stop")
        if self.error:
            yield Text(printable(f"{self.error}; retrying"), "bold red")
        points = [
            found
            for _, devices in by_house(self.snapshot, readings_from(self.snapshot))
            for reported in devices
            for found in by_point(reported.readings)
        ]
        points.sort(key=lambda found: not any(map(trouble, found)))
        room = out.height - _AROUND - bool(self.error) if out.is_terminal else len(points)
        shown = points if len(points) <= room else points[: max(0, room - 1)]
        yield _table(shown, several=len(self.snapshot.houses) > 1)
        if len(shown) < len(points):
            yield Text(f"… and {len(points) - len(shown)} more")


def _table(points: Sequence[Sequence[Reading]], *, several: bool) -> Table:
    made = table("house", "device", "point", "reports")
    for column in made.columns[:-1]:
        column.no_wrap, column.overflow, column.max_width = True, "ellipsis", _NAME
    if not several:
        del made.columns[0]
    for found in points:
        first = found[0]
        names = [first.house, first.device or str(first.device_id), point_of(first)]
        troubles = [said for reading in found if (said := trouble(reading))]
        others = [r for r in found if r.quantity not in _FINE and not trouble(r)]
        reports = [*troubles, *map(_value, others)] or ["ok"]
        made.add_row(
            *(Text(printable(name)) for name in names[not several :]),
            Text(", ".join(reports), no_wrap=True, overflow="ellipsis"),
            style="bold red" if troubles else "",
        )
    return made

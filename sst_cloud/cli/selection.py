"""Choosing houses and devices: `--house` and `--device`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Generic, TypeVar

import attrs
import click

from sst_cloud.controls import CommandResult, Controls, require_controls
from sst_cloud.errors import SSTCloudError
from sst_cloud.models import Device, Snapshot
from sst_cloud.source import (
    Source,
    errors_of,
    name_of,
    opened,
    read_devices,
    read_snapshot,
    reason_of,
)

from .output import print_message
from .params import FiniteRange
from .settings import Settings

Results = list[tuple[str, CommandResult]]
"""What was done, in words, and its outcome."""

F = TypeVar("F", bound=Callable[..., Any])
D = TypeVar("D", bound=Device)


def device_options(command: F) -> F:
    """`--device`, `--all`, `--no-wait`, `--limit`."""
    for option in (
        click.option("--limit", type=FiniteRange(min=1), default=60.0, show_default=True,
                     metavar="SECONDS", help="How long to wait."),
        click.option("--wait/--no-wait", default=True, help="Wait until the device confirms."),
        click.option("--all", "all_matching", is_flag=True, help="All matching devices."),
        click.option("--device", "device_names", multiple=True, metavar="NAME|ID",
                     help="This device."),
    ):  # fmt: skip
        command = option(command)
    return command


@attrs.frozen
class Selection(Generic[D]):
    """Devices of a kind: several only if each is named, or with `--all`."""

    kind: type[D]
    house_names: Sequence[str]
    device_names: Sequence[str]
    all_matching: bool

    async def devices(self, source: Source) -> list[D]:
        """The matching devices of a source. Raises `ClickException` if there is none."""
        houses, devices = await read_devices(source, self.house_names)
        names = {device.house_id: f"house {device.house_id}" for device in devices}
        names |= {house.id: house.name for house in houses}
        candidates = [device for device in devices if isinstance(device, self.kind)]
        selected = [
            d for d in candidates if not self.device_names or _is_named(d, self.device_names)
        ]
        missing = [
            name
            for name in self.device_names
            if not any(_is_named(device, [name]) for device in candidates)
        ]
        listing = ", ".join(f"{d.name} ({d.id}, {names[d.house_id]})" for d in candidates) or "none"
        if missing or not selected:
            device_name = f"device {missing[0]!r}" if missing else "such device"
            raise click.ClickException(
                f"there is no {device_name}; {name_of(source)} has: {listing}"
            )
        if len(selected) > 1 and not self.all_matching and not self.device_names:
            raise click.ClickException(
                f"choose one with --device, or use --all; there are: {listing}"
            )
        return selected


async def carry_out(
    settings: Settings,
    selection: Selection[D],
    action: Callable[[Controls, D], Awaitable[Results]],
) -> list[tuple[Device, str, CommandResult]]:
    """Send commands to devices, through the first source that takes commands and answers.

    Once a command has been sent, no other source is tried. Raises `CommandError` if no source takes
    commands.
    """
    sources = [settings.open_source(url) for url in dict.fromkeys(settings.sources)]
    controllable = [source for source in sources if isinstance(source, Controls)]
    if not controllable:
        require_controls(sources[0])
    async with AsyncExitStack() as stack:
        for source in controllable:
            try:
                await stack.enter_async_context(opened(source))
                devices = await selection.devices(source)
            except SSTCloudError as error:
                if source is controllable[-1]:
                    raise
                print_message(
                    f"Warning: {name_of(source)}: {reason_of(error)}; asking the next source"
                )
            else:
                break
        with errors_of(source):
            return [
                (device, name, result)
                for device in devices
                for name, result in await action(source, device)
            ]


def _is_named(device: Device, names: Sequence[str]) -> bool:
    return device.name in names or str(device.id) in names


def house_option(command: F) -> F:
    """`--house`, by name or id, repeatable."""
    return click.option(
        "--house", "house_names", multiple=True, metavar="NAME|ID", help="Only this house."
    )(command)


def snapshot_of(
    settings: Settings,
    house_names: Sequence[str] = (),
    read: Callable[[Source], Awaitable[Snapshot]] = read_snapshot,
) -> Snapshot:
    """What a function reads from the source, or from some of its houses."""

    async def opened() -> Snapshot:
        async with settings.source(house_names) as source:
            return await read(source)

    return asyncio.run(opened())

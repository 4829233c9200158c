"""Choosing houses and devices: `--house` and `--device`."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from sst_cloud.models import Device, Snapshot
from sst_cloud.source import Source, read_devices, read_snapshot

from .params import FiniteRange
from .settings import Settings

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


async def find_devices(
    source: Source,
    kind: type[D],
    house_names: Sequence[str],
    device_names: Sequence[str],
    *,
    all_matching: bool,
) -> list[D]:
    """The matching devices; several only if each is named, or with `--all`."""
    houses, devices = await read_devices(source, house_names)
    names = {device.house_id: f"house {device.house_id}" for device in devices}
    names |= {house.id: house.name for house in houses}
    candidates = [device for device in devices if isinstance(device, kind)]
    selected = [
        device for device in candidates if not device_names or _is_named(device, device_names)
    ]
    missing = [
        name for name in device_names if not any(_is_named(device, [name]) for device in candidates)
    ]
    listing = ", ".join(f"{d.name} ({d.id}, {names[d.house_id]})" for d in candidates) or "none"
    if missing or not selected:
        device_name = f"device {missing[0]!r}" if missing else "such device"
        raise click.ClickException(f"there is no {device_name}; {source.name} has: {listing}")
    if len(selected) > 1 and not all_matching and not device_names:
        raise click.ClickException(f"choose one with --device, or use --all; there are: {listing}")
    return selected


def _is_named(device: Device, names: Sequence[str]) -> bool:
    return device.name in names or str(device.id) in names


def house_option(command: F) -> F:
    """`--house`, by name or id, repeatable."""
    return click.option(
        "--house", "house_names", multiple=True, metavar="NAME|ID", help="Only this house."
    )(command)


async def read_source(settings: Settings, house_names: Sequence[str]) -> Snapshot:
    """A snapshot of the source, or of some houses."""
    async with settings.source(house_names) as source:
        return await read_snapshot(source)

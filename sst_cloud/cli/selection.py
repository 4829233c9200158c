"""Choosing houses and devices: `--house` and `--device`."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
import click

from sst_cloud.cloud.client import SSTCloud
from sst_cloud.models import Device, House, Snapshot

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
    cloud: SSTCloud,
    kind: type[D],
    house_names: Sequence[str],
    device_names: Sequence[str],
    *,
    all_matching: bool,
) -> list[D]:
    """The matching devices; several only if each is named, or with `--all`."""
    houses = await cloud.houses()
    chosen_ids = choose_houses(houses, house_names)
    names = {house.id: house.name for house in houses}
    ids = names.keys() if chosen_ids is None else names.keys() & chosen_ids
    device_lists = await asyncio.gather(*(cloud.devices(id_) for id_ in names if id_ in ids))
    candidates = [
        device for devices in device_lists for device in devices if isinstance(device, kind)
    ]
    selected = [
        device for device in candidates if not device_names or _is_named(device, device_names)
    ]
    missing = [
        name for name in device_names if not any(_is_named(device, [name]) for device in candidates)
    ]
    listing = ", ".join(f"{d.name} ({d.id}, {names[d.house_id]})" for d in candidates) or "none"
    if missing or not selected:
        device_name = f"device {missing[0]!r}" if missing else "such device"
        raise click.ClickException(f"there is no {device_name}; this account has: {listing}")
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


def choose_houses(houses: Sequence[House], house_names: Sequence[str]) -> list[int] | None:
    """The ids of the named houses, None for all. Raises `ClickException` for an unknown one."""
    house_ids = []
    for name in house_names:
        ids = [house.id for house in houses if name in (house.name, str(house.id))]
        if not ids:
            listing = ", ".join(f"{house.name} ({house.id})" for house in houses) or "none"
            raise click.ClickException(f"there is no house {name!r}; this account has: {listing}")
        house_ids += ids
    return house_ids if house_names else None


async def read_snapshot(cloud: SSTCloud, house_names: Sequence[str]) -> Snapshot:
    """A snapshot of the account, or of some houses. Raises `ClickException` for an unknown one."""
    if not house_names:
        return await cloud.snapshot()
    houses = await cloud.houses()
    return await cloud.snapshot(houses=houses, house_ids=choose_houses(houses, house_names))


async def read_account(settings: Settings, house_names: Sequence[str]) -> Snapshot:
    """A snapshot of the account, or of some houses, with a client of its own."""
    async with settings.client() as cloud:
        return await read_snapshot(cloud, house_names)


@attrs.frozen
class SelectedHouses:
    """A source limited to some houses."""

    cloud: SSTCloud
    house_names: Sequence[str]

    async def snapshot(self) -> Snapshot:
        """The current state of these houses."""
        return await read_snapshot(self.cloud, self.house_names)

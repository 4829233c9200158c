"""`sst-cloud houses`, `devices`, `counters`."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from sst_cloud.client import SSTCloud
from sst_cloud.models import House, Listing, Snapshot

from .output import add_row, json_option, minute, print_json, print_table, table, warn_missing
from .settings import Settings, account_options

F = TypeVar("F", bound=Callable[..., Any])


def house_option(command: F) -> F:
    """`--house`, by name or id, repeatable."""
    return click.option(
        "--house", "wanted", multiple=True, metavar="NAME|ID", help="Only this house."
    )(command)


def choose(houses: Sequence[House], wanted: Sequence[str]) -> list[int] | None:
    """The ids of the given houses, None for all. Raises `ClickException` for an unknown one."""
    chosen = []
    for name in wanted:
        found = [house.id for house in houses if name in (house.name, str(house.id))]
        if not found:
            known = ", ".join(f"{house.name} ({house.id})" for house in houses) or "none"
            raise click.ClickException(f"there is no house {name!r}; this account has: {known}")
        chosen += found
    return chosen if wanted else None


@click.command()
@json_option
@account_options
@click.pass_obj
def houses(settings: Settings, *, as_json: bool) -> None:
    """List the houses in the account."""
    found = asyncio.run(_houses(settings))
    if as_json:
        print_json(list(found))
    else:
        made = table("id", "name", "time zone", "occupied", right=("id",))
        for house in found:
            in_home = {True: "yes", False: "no", None: ""}[house.in_home]
            add_row(made, house.id, house.name, house.timezone, in_home)
        print_table(made)
    warn_missing(found, found.unreadable)


@click.command()
@house_option
@json_option
@account_options
@click.pass_obj
def devices(settings: Settings, *, wanted: tuple[str, ...], as_json: bool) -> None:
    """List the devices: leak modules and thermostats."""
    snapshot = asyncio.run(read_account(settings, wanted))
    if as_json:
        print_json(snapshot.devices)
    else:
        names = {house.id: house.name for house in snapshot.houses}
        made = table("id", "house", "name", "model", "access", "updated", right=("id",))
        for device in snapshot.devices:
            add_row(
                made,
                device.id,
                names.get(device.house_id, device.house_id),
                device.name,
                device.model,
                device.access_status,
                minute(device.updated_at),
            )
        print_table(made)
    warn_missing(snapshot.houses, snapshot.unreadable)


@click.command()
@house_option
@json_option
@account_options
@click.pass_obj
def counters(settings: Settings, *, wanted: tuple[str, ...], as_json: bool) -> None:
    """List the water meters and their totals."""
    snapshot = asyncio.run(read_account(settings, wanted))
    if as_json:
        print_json(snapshot.counters)
    else:
        houses_by_id = {house.id: house.name for house in snapshot.houses}
        devices_by_id = {device.id: device.name for device in snapshot.devices}
        made = table("id", "house", "device", "name", "water", "line", "m³", right=("id", "m³"))
        for counter in snapshot.counters:
            add_row(
                made,
                counter.id,
                houses_by_id.get(counter.house_id, counter.house_id),
                devices_by_id.get(counter.device_id, counter.device_id),
                counter.name,
                counter.water,
                counter.line,
                f"{counter.value_m3:.3f}",
            )
        print_table(made)
    warn_missing(snapshot.houses, snapshot.unreadable)


async def _houses(settings: Settings) -> Listing[House]:
    async with settings.client() as cloud:
        return await cloud.houses()


async def read_snapshot(cloud: SSTCloud, wanted: Sequence[str]) -> Snapshot:
    """A snapshot of the account, or of some houses. Raises `ClickException` for an unknown one."""
    if not wanted:
        return await cloud.snapshot()
    houses = await cloud.houses()
    return await cloud.snapshot(houses=houses, house_ids=choose(houses, wanted))


async def read_account(settings: Settings, wanted: Sequence[str]) -> Snapshot:
    """The same, with its own client."""
    async with settings.client() as cloud:
        return await read_snapshot(cloud, wanted)

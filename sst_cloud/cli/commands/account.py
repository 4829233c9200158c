"""`sst-cloud houses`, `devices`, `counters`."""

import asyncio

import click

from sst_cloud.cli.output import (
    add_row,
    format_minute,
    json_option,
    new_table,
    print_json,
    print_table,
    warn_missing,
)
from sst_cloud.cli.selection import house_option, read_source
from sst_cloud.cli.settings import Settings, source_options
from sst_cloud.models import Snapshot
from sst_cloud.source import read_houses


@click.command()
@json_option
@source_options
@click.pass_obj
def houses(settings: Settings, *, as_json: bool) -> None:
    """List the houses."""
    snapshot = asyncio.run(_houses(settings))
    if as_json:
        print_json(snapshot.houses)
    else:
        table = new_table("id", "name", "time zone", "occupied", right=("id",))
        for house in snapshot.houses:
            in_home = {True: "yes", False: "no", None: ""}[house.in_home]
            add_row(table, house.id, house.name, house.timezone, in_home)
        print_table(table)
    warn_missing(snapshot)


@click.command()
@house_option
@json_option
@source_options
@click.pass_obj
def devices(settings: Settings, *, house_names: tuple[str, ...], as_json: bool) -> None:
    """List the devices: leak modules and thermostats."""
    snapshot = asyncio.run(read_source(settings, house_names))
    if as_json:
        print_json(snapshot.devices)
    else:
        names = {house.id: house.name for house in snapshot.houses}
        table = new_table("id", "house", "name", "model", "access", "updated", right=("id",))
        for device in snapshot.devices:
            add_row(
                table,
                device.id,
                names.get(device.house_id, device.house_id),
                device.name,
                device.model,
                device.access_status,
                format_minute(device.updated_at),
            )
        print_table(table)
    warn_missing(snapshot)


@click.command()
@house_option
@json_option
@source_options
@click.pass_obj
def counters(settings: Settings, *, house_names: tuple[str, ...], as_json: bool) -> None:
    """List the water meters and their totals."""
    snapshot = asyncio.run(read_source(settings, house_names))
    if as_json:
        print_json(snapshot.counters)
    else:
        house_names_by_id = {house.id: house.name for house in snapshot.houses}
        device_names_by_id = {device.id: device.name for device in snapshot.devices}
        table = new_table(
            "id", "house", "device", "name", "water", "line", "m³", right=("id", "m³")
        )
        for counter in snapshot.counters:
            add_row(
                table,
                counter.id,
                house_names_by_id.get(counter.house_id, counter.house_id),
                device_names_by_id.get(counter.device_id, counter.device_id),
                counter.name,
                counter.water,
                counter.line,
                f"{counter.value_m3:.3f}",
            )
        print_table(table)
    warn_missing(snapshot)


async def _houses(settings: Settings) -> Snapshot:
    async with settings.source() as source:
        return await read_houses(source)

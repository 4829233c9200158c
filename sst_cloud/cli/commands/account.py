"""`sst-cloud houses`, `devices`, `counters`."""

import asyncio

import click

from sst_cloud.cli.output import json_option, print_json, print_rows, warn_missing
from sst_cloud.cli.selection import house_option, read_source
from sst_cloud.cli.settings import Settings, source_options
from sst_cloud.models import Snapshot
from sst_cloud.source import read_houses
from sst_cloud.wording import format_minute


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
        in_home = {True: "yes", False: "no", None: ""}
        rows = ((it.id, it.name, it.timezone, in_home[it.in_home]) for it in snapshot.houses)
        print_rows(("id", "name", "time zone", "occupied"), rows, right=("id",))
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
        rows = (
            (
                device.id,
                names.get(device.house_id, device.house_id),
                device.name,
                device.model,
                device.access_status,
                format_minute(device.updated_at),
            )
            for device in snapshot.devices
        )
        print_rows(("id", "house", "name", "model", "access", "updated"), rows, right=("id",))
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
        rows = (
            (
                counter.id,
                house_names_by_id.get(counter.house_id, counter.house_id),
                device_names_by_id.get(counter.device_id, counter.device_id),
                counter.name,
                counter.water,
                counter.line,
                f"{counter.value_m3:.3f}",
            )
            for counter in snapshot.counters
        )
        columns = ("id", "house", "device", "name", "water", "line", "m³")
        print_rows(columns, rows, right=("id", "m³"))
    warn_missing(snapshot)


async def _houses(settings: Settings) -> Snapshot:
    async with settings.source() as source:
        return await read_houses(source)

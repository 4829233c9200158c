"""`sst-cloud houses`, `devices`, `counters`."""

from collections.abc import Iterable, Sequence

import click

from sst_cloud.cli.output import json_option, print_json, print_rows, warn_missing
from sst_cloud.cli.selection import house_option, snapshot_of
from sst_cloud.cli.settings import Settings, source_options
from sst_cloud.models import Entity, Snapshot
from sst_cloud.source import read_houses
from sst_cloud.wording import format_minute


@click.command()
@json_option
@source_options
@click.pass_obj
def houses(settings: Settings, *, as_json: bool) -> None:
    """List the houses."""
    snapshot = snapshot_of(settings, read=read_houses)
    in_home = {True: "yes", False: "no", None: ""}
    rows = ((it.id, it.name, it.timezone, in_home[it.in_home]) for it in snapshot.houses)
    columns = ("id", "name", "time zone", "occupied")
    _print(snapshot, snapshot.houses, columns, rows, as_json=as_json)


@click.command()
@house_option
@json_option
@source_options
@click.pass_obj
def devices(settings: Settings, *, house_names: tuple[str, ...], as_json: bool) -> None:
    """List the devices: leak modules and thermostats."""
    snapshot = snapshot_of(settings, house_names)
    houses = {house.id: house.name for house in snapshot.houses}
    rows = (
        (
            device.id,
            houses.get(device.house_id, device.house_id),
            device.name,
            device.model,
            device.access_status,
            format_minute(device.updated_at),
        )
        for device in snapshot.devices
    )
    columns = ("id", "house", "name", "model", "access", "updated")
    _print(snapshot, snapshot.devices, columns, rows, as_json=as_json)


@click.command()
@house_option
@json_option
@source_options
@click.pass_obj
def counters(settings: Settings, *, house_names: tuple[str, ...], as_json: bool) -> None:
    """List the water meters and their totals."""
    snapshot = snapshot_of(settings, house_names)
    houses = {house.id: house.name for house in snapshot.houses}
    devices = {device.id: device.name for device in snapshot.devices}
    rows = (
        (
            counter.id,
            houses.get(counter.house_id, counter.house_id),
            devices.get(counter.device_id, counter.device_id),
            counter.name,
            counter.water,
            counter.line,
            f"{counter.value_m3:.3f}",
        )
        for counter in snapshot.counters
    )
    columns = ("id", "house", "device", "name", "water", "line", "m³")
    _print(snapshot, snapshot.counters, columns, rows, as_json=as_json)


def _print(
    snapshot: Snapshot,
    entities: Sequence[Entity],
    columns: Sequence[str],
    rows: Iterable[Iterable[object]],
    *,
    as_json: bool,
) -> None:
    """Print a part of a snapshot, and what of it could not be read."""
    if as_json:
        print_json(entities)
    else:
        print_rows(columns, rows, right=("id", "m³"))
    warn_missing(snapshot)

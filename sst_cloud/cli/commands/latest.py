"""`sst-cloud latest`: the newest readings of a store."""

import asyncio
from collections.abc import Sequence
from datetime import tzinfo

import click

from sst_cloud.cli.config import config_option
from sst_cloud.cli.meter_titles import natural_key
from sst_cloud.cli.output import (
    add_row,
    json_option,
    new_table,
    print_json,
    print_message,
    print_table,
)
from sst_cloud.cli.settings import Settings, state_option, verbose_option
from sst_cloud.cli.store_options import HouseZones, require_history, store_argument, zone_option
from sst_cloud.enums import Point
from sst_cloud.quantities import Quantity
from sst_cloud.readings import Reading
from sst_cloud.wording import point_of, value_of


@click.command()
@store_argument
@click.option(
    "--quantity",
    type=click.Choice([quantity.value for quantity in Quantity]),
    help="Only this quantity.",
)
@zone_option
@config_option
@state_option
@json_option
@verbose_option
@click.pass_obj
def latest(
    settings: Settings, *, store: str, quantity: str | None, zone: tzinfo | None, as_json: bool
) -> None:
    """Show the latest readings in a store, such as sqlite:home.db."""
    readings = [
        reading
        for reading in asyncio.run(_latest(settings, store))
        if quantity is None or reading.quantity == quantity
    ]
    if as_json:
        print_json([reading.as_dict() for reading in readings])
        return
    if not readings:
        print_message("There are no such readings in the store.")
        return
    house_zones = HouseZones.from_state_folder(settings.state, zone)
    house_zones.warn_if_zone_guessed({reading.house_id for reading in readings})
    rows = [_row(reading, house_zones.zone(reading.house_id)) for reading in readings]
    if all(reading.point is Point.COUNTER for reading in readings):
        for row in rows:
            del row["quantity"]
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    table = new_table(*columns, right=("value",), whole=("time",))
    for row in rows:
        add_row(table, *(row[column] for column in columns))
    print_table(table)


def _row(reading: Reading, zone: tzinfo) -> dict[str, object]:
    return {
        "house": reading.house,
        "device": reading.device or reading.device_id,
        "name": point_of(reading),
        "water": reading.water,
        "quantity": str(reading.quantity).replace("_", " "),
        "value": value_of(reading),
        "time": f"{reading.time.astimezone(zone):%Y-%m-%d %H:%M}",
    }


async def _latest(settings: Settings, store: str) -> Sequence[Reading]:
    async with settings.open_sink(store) as sink:
        history = await require_history(sink, store)
        return sorted(
            await history.latest(),
            key=lambda reading: (
                reading.house,
                reading.device,
                reading.quantity,
                natural_key(reading.point_id),
            ),
        )

"""`sst-cloud latest`: the newest readings of a store."""

from datetime import tzinfo

import click

from sst_cloud.cli.config import config_option
from sst_cloud.cli.output import json_option, print_json, print_message, print_table
from sst_cloud.cli.settings import Settings, state_option, verbose_option
from sst_cloud.cli.store_options import (
    HouseZones,
    read_store,
    store_argument,
    zone_option,
)
from sst_cloud.display.grouping import display_order
from sst_cloud.quantities import Quantity


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
    newest = read_store(settings, store, lambda history: history.latest())
    readings = [
        reading
        for reading in sorted(newest, key=display_order)
        if quantity is None or reading.quantity == quantity
    ]
    if as_json:
        print_json([reading.as_dict() for reading in readings])
        return
    if not readings:
        print_message("There are no such readings in the store.")
        return
    from sst_cloud.display.terminal import readings_table  # noqa: PLC0415  needs rich

    house_zones = HouseZones.from_state_folder(settings.state, zone)
    house_zones.warn_if_zone_guessed({reading.house_id for reading in readings})
    print_table(readings_table(readings, house_zones.default, zones=house_zones.zones))

"""`sst-cloud latest`: the newest readings of a store."""

import asyncio
from collections.abc import Sequence
from datetime import tzinfo

import click

from sst_cloud.enums import Point, Quantity
from sst_cloud.readings import Reading
from sst_cloud.wording import point_of, value_of, what

from .config import config_option
from .output import add_row, json_option, print_json, print_table, say, table
from .settings import Settings, state_option, verbose_option
from .stores import Places, history, store_argument, zone_option
from .titles import natural


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
        say("There are no such readings in the store.")
        return
    places = Places.known(settings.state, zone)
    places.say_if_guessed({reading.house_id for reading in readings})
    rows = [_row(reading, places.zone(reading.house_id)) for reading in readings]
    if all(reading.point is Point.COUNTER for reading in readings):
        for row in rows:
            del row["what"]
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    made = table(*columns, right=("value",), whole=("at",))
    for row in rows:
        add_row(made, *(row[column] for column in columns))
    print_table(made)


def _row(reading: Reading, zone: tzinfo) -> dict[str, object]:
    return {
        "house": reading.house,
        "device": reading.device or reading.device_id,
        "name": point_of(reading),
        "water": reading.water,
        "what": "meter" if reading.point is Point.COUNTER else what(reading),
        "value": value_of(reading),
        "at": f"{reading.time.astimezone(zone):%Y-%m-%d %H:%M}",
    }


async def _latest(settings: Settings, store: str) -> Sequence[Reading]:
    async with settings.open_sink(store) as sink:
        stored = await history(sink, store)
        return sorted(
            await stored.latest(),
            key=lambda reading: (
                reading.house,
                reading.device,
                reading.quantity,
                natural(reading.point_id),
            ),
        )

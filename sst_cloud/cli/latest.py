"""`sst-cloud latest`: the newest readings of a store."""

import asyncio
from collections.abc import Sequence

import click

from sst_cloud.enums import Point, Quantity
from sst_cloud.readings import Reading
from sst_cloud.sink import open_sink
from sst_cloud.wording import point_of, value_of, what

from .output import add_row, console, json_option, minute, print_json, table
from .settings import verbose_option
from .stores import history, store_argument
from .titles import natural


@click.command()
@store_argument
@click.option(
    "--quantity", type=click.Choice([quantity.value for quantity in Quantity]), help="Only this."
)
@json_option
@verbose_option
def latest(*, store: str, quantity: str | None, as_json: bool) -> None:
    """Show the newest readings of a store, such as sqlite:home.db."""
    readings = [
        reading
        for reading in asyncio.run(_latest(store))
        if quantity is None or reading.quantity == quantity
    ]
    if as_json:
        print_json([reading.as_dict() for reading in readings])
        return
    if not readings:
        click.echo("No such reading is stored there, so there is nothing to show.", err=True)
        return
    made = table("house", "device", "name", "water", "what", "value", "at", right=("value",))
    for reading in readings:
        add_row(
            made,
            reading.house,
            reading.device or reading.device_id,
            point_of(reading),
            reading.water,
            "meter" if reading.point is Point.COUNTER else what(reading),
            value_of(reading),
            minute(reading.time),
        )
    console().print(made)


async def _latest(store: str) -> Sequence[Reading]:
    async with open_sink(store) as sink:
        return sorted(
            await history(sink, store).latest(),
            key=lambda reading: (
                reading.house,
                reading.device,
                reading.quantity,
                natural(reading.point_id),
            ),
        )

"""`sst-cloud latest` and `sst-cloud usage`: what a store holds."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

import sst_cloud.usage
from sst_cloud.enums import Point, Quantity
from sst_cloud.readings import Reading
from sst_cloud.sink import History, Sink, open_sink
from sst_cloud.usage import Period, Usage

from .output import add_row, console, for_people, json_option, print_json, table
from .settings import verbose_option

_BAR: Final = 24
"""Characters of the longest bar."""
_LABELS: Final = {"hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}


class Zone(click.ParamType[tzinfo]):
    """An IANA time zone."""

    name = "zone"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tzinfo:
        """Look the zone up."""
        if isinstance(value, tzinfo):
            return value
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"{value!r} is not a time zone; write one like Europe/Moscow", param, ctx)


class Moment(click.ParamType[datetime]):
    """A date, or a date and time in ISO 8601; local time where it names no offset."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read a moment."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time; write one like 2026-11-23T17:20", param, ctx)


store_option = click.option(
    "--from", "store", required=True, metavar="URL", help="The store, such as sqlite:home.db."
)


@click.command()
@store_option
@click.option(
    "--quantity", type=click.Choice([quantity.value for quantity in Quantity]), help="Only this."
)
@json_option
@verbose_option
def latest(*, store: str, quantity: str | None, as_json: bool) -> None:
    """Show the newest readings of a store."""
    readings = [
        reading
        for reading in asyncio.run(_latest(store))
        if quantity is None or reading.quantity == quantity
    ]
    if as_json:
        print_json([reading.as_dict() for reading in readings])
        return
    made = table("house", "device", "name", "water", "what", "value", "at", right=("value",))
    for reading in readings:
        add_row(
            made,
            reading.house,
            reading.device or reading.device_id,
            reading.name or reading.point_id,
            reading.water,
            "meter" if reading.point is Point.COUNTER else reading.quantity,
            for_people(reading),
            reading.time.strftime("%Y-%m-%d %H:%MZ"),
        )
    console().print(made)


@click.command()
@store_option
@click.option("--by", type=click.Choice(["hour", "day", "month"]), default="day", show_default=True)
@click.option("--since", type=Moment(), help="Leave out what is older.")
@click.option("--until", type=Moment(), help="Leave out what is not older.")
@click.option("--timezone", "zone", type=Zone(), help="Default: that of this machine.")
@json_option
@verbose_option
def usage(  # noqa: PLR0913  one per option
    *,
    store: str,
    by: Period,
    since: datetime | None,
    until: datetime | None,
    zone: tzinfo | None,
    as_json: bool,
) -> None:
    """Show consumption by hour, day or month, in litres."""
    readings = asyncio.run(_volumes(store, since, until))
    zone = zone or datetime.now(UTC).astimezone().tzinfo or UTC
    uses = sst_cloud.usage.usage(readings, by, zone)
    if as_json:
        print_json(uses)
    else:
        _print_usage(uses, by)


def _print_usage(uses: Sequence[Usage], by: Period) -> None:
    meters = {(use.house_id, use.device_id, use.point_id): use for use in uses}
    titles = {key: use.name or use.point_id for key, use in meters.items()}
    rows: dict[datetime, dict[object, float]] = defaultdict(dict)
    for use in uses:
        rows[use.start][use.house_id, use.device_id, use.point_id] = use.litres
    most = max((sum(row.values()) for row in rows.values()), default=0) or 1
    numbers = [*(f"{title}, L" for title in titles.values()), "all, L"]
    made = table("from", *numbers, "", right=numbers)
    for start, row in rows.items():
        total = sum(row.values())
        cells = [f"{row[key]:,.0f}" if key in row else "" for key in titles]
        bar = "█" * round(total / most * _BAR)
        add_row(made, start.strftime(_LABELS[by]), *cells, f"{total:,.0f}", bar)
    console().print(made)


async def _latest(store: str) -> Sequence[Reading]:
    async with open_sink(store) as sink:
        return sorted(
            await _history(sink, store).latest(),
            key=lambda reading: (reading.house, reading.device, reading.quantity, reading.point_id),
        )


async def _volumes(store: str, since: datetime | None, until: datetime | None) -> list[Reading]:
    async with open_sink(store) as sink:
        found = _history(sink, store).read(Quantity.VOLUME, since, until)
        return [reading async for reading in found]


def _history(sink: Sink, store: str) -> History:
    if not isinstance(sink, History):
        scheme = store.partition(":")[0]
        raise click.ClickException(f"the {scheme} sink cannot be read, only written to")
    return sink

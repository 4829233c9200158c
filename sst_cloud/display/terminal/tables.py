"""Tables without borders, and readings as one."""

from collections.abc import Container, Iterable, Mapping
from datetime import UTC, tzinfo
from typing import Final

from rich.table import Table
from rich.text import Text

from sst_cloud.enums import Point
from sst_cloud.readings import Reading
from sst_cloud.wording import point_of, printable, quantity_of, value_of

PAD: Final = 2
"""Spaces between columns."""


def new_table(*columns: str, right: Container[str] = (), whole: Container[str] = ()) -> Table:
    """A table without borders; columns in `right` contain numbers.

    If space is short, text is wrapped, except numbers and the columns in `whole`.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, PAD, 0, 0))
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=column in right or column in whole,
            overflow="fold",
        )
    return table


def add_row(table: Table, *cells: object) -> None:
    """Add a row of plain text: names given by the owner are never treated as markup."""
    table.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in cells))


def readings_table(
    readings: Iterable[Reading], zone: tzinfo = UTC, *, zones: Mapping[int, tzinfo] | None = None
) -> Table:
    """A row for each reading; times follow the time zone, or the house's own if it is in `zones`.

    Columns that are empty are left out, and so is the quantity if there are only meters.
    """
    listed = list(readings)
    rows = [_row(reading, (zones or {}).get(reading.house_id, zone)) for reading in listed]
    hidden = {"quantity"} if all(reading.point is Point.COUNTER for reading in listed) else set()
    columns = [
        column
        for column in (rows[0] if rows else ())
        if column not in hidden and any(row[column] for row in rows)
    ]
    table = new_table(*columns, right=("value",), whole=("time",))
    for row in rows:
        add_row(table, *(row[column] for column in columns))
    return table


def _row(reading: Reading, zone: tzinfo) -> dict[str, object]:
    return {
        "house": reading.house,
        "device": reading.device or reading.device_id,
        "name": point_of(reading),
        "water": reading.water,
        "quantity": quantity_of(reading),
        "value": value_of(reading),
        "time": f"{reading.time.astimezone(zone):%Y-%m-%d %H:%M}",
    }

"""Consumption as a table with bars, for a terminal or a pipe."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs
import click
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from sst_cloud.enums import Water
from sst_cloud.text import printable
from sst_cloud.usage import GAP, Period, Usage

from .output import console, table
from .titles import titles as meter_titles

Meter = tuple[int, int, str]
Shades = Mapping[Water | None, str]

LABELS: Final[Mapping[Period, str]] = {
    "hour": "%Y-%m-%d %H:%M",
    "day": "%Y-%m-%d %a",
    "week": "%Y-%m-%d",
    "month": "%Y-%m",
}
_HEADS: Final[Mapping[Period, str]] = {"week": "week of"}
_BAR: Final = 24
"""Characters of the longest bar, where there is room."""
_SHORT_BAR: Final = 8
"""A shorter one says nothing."""
_PAD: Final = 2
"""Between columns."""
_ORDER: Final = (Water.COLD, None, Water.HOT)
_STYLES: Final[Mapping[Water | None, str]] = {Water.COLD: "bright_blue", Water.HOT: "red"}
_SHADES: Final[Shades] = {Water.COLD: "█", None: "▓", Water.HOT: "▒"}
"""What tells hot from cold where there are no colours."""
_WHOLE: Final = 0.05
"""A period of which less than this is missing counts as whole."""
_ONE_LITRE: Final = 0.5
"""What is shown as one."""


@attrs.frozen
class _Row:
    label: str
    uses: Mapping[Meter, Usage]

    @property
    def litres(self) -> float:
        return sum(use.litres for use in self.uses.values())

    def of(self, water: Water | None) -> float:
        return sum(use.litres for use in self.uses.values() if use.water is water)

    @property
    def covered(self) -> str:
        """How much of the period readings cover, unless it is all of it."""
        missing = max(use.missing for use in self.uses.values())
        return "" if missing < _WHOLE else f"{1 - missing:.0%}"


def titles(uses: Sequence[Usage]) -> dict[Meter, str]:
    """What to call each meter so that no two are called the same; houses first, if several."""
    houses: dict[int, dict[Meter, Usage]] = defaultdict(dict)
    for use in uses:
        houses[use.house_id][use.meter] = use
    found = {}
    for house_id, meters in sorted(houses.items()):
        house = next(iter(meters.values())).house or str(house_id)
        heading = f"{printable(house)}\n" if len(houses) > 1 else ""
        for meter, title in meter_titles(meters.values()).items():
            found[house_id, *meter] = f"{heading}{title}"
    return found


def print_usage(uses: Sequence[Usage], by: Period) -> None:
    """Print a row for every period and a column for every meter."""
    if not uses:
        click.echo("No meter has two readings there, so nothing can be said.", err=True)
        return
    out = console()
    rows = list(_rows(uses, by))
    shades = dict.fromkeys(_ORDER, "█") if out.color_system and not out.no_color else _SHADES
    names = titles(uses)
    columns = list(_columns(rows, names))
    made, out.width = _table(rows, columns, _HEADS.get(by, by), out.width, shades)
    out.print(made)
    out.print(_legend(uses, shades))
    for use in uses:
        for broken in use.breaks:
            name = " ".join(names[use.meter].split("\n"))
            out.print(
                f"{name}: {broken.before_l:,} L, then {broken.after_l:,} L on "
                f"{broken.time:%Y-%m-%d %H:%M}; replaced? What ran in between is not counted.",
                markup=False,
            )


def _rows(uses: Sequence[Usage], by: Period) -> Iterator[_Row]:
    rows: dict[tuple[str, int], dict[Meter, Usage]] = defaultdict(dict)
    for use in uses:
        rows[use.start.strftime(LABELS[by]), use.start.fold][use.meter] = use
    for (label, _), found in sorted(rows.items(), key=lambda row: row[0]):
        yield _Row(label, found)


@attrs.frozen
class _Column:
    title: str
    cells: Sequence[str]
    style: str = ""

    def width(self, *, broken: bool) -> int:
        """With the title on its own lines, or broken at every space. Cells are never broken."""
        titles = self.title.split() if broken else self.title.splitlines()
        return max(map(cell_len, (*titles, *self.cells)), default=0)


def _columns(rows: Sequence[_Row], names: Mapping[Meter, str]) -> Iterator[_Column]:
    waters = {meter: use.water for row in rows for meter, use in row.uses.items()}
    for meter, name in names.items():
        uses = [row.uses.get(meter) for row in rows]
        total = sum(use.litres for use in uses if use)
        yield _Column(name, [*map(_cell, uses), f"{total:,.0f}"], _STYLES.get(waters[meter], ""))
    if len(names) > 1:
        totals = [row.litres for row in rows]
        yield _Column("all", [f"{litres:,.0f}" for litres in (*totals, sum(totals))])
    if any(row.covered for row in rows):
        yield _Column("readings", [*(row.covered for row in rows), ""])


def _table(
    rows: Sequence[_Row], columns: Sequence[_Column], head: str, room: int, shades: Shades
) -> tuple[Table, int]:
    """The table, and how wide it must be printed.

    Titles are broken, bars get short, and the terminal breaks lines before a number is cut.
    """
    labels = [*(row.label for row in rows), "total"]
    others = max(map(len, (head, *labels))) + _PAD * (len(columns) + 1)
    for broken in (False, True):
        widths = [column.width(broken=broken) for column in columns]
        left = room - others - sum(widths)
        if left >= _SHORT_BAR:
            break
    longest = min(left, _BAR) if left >= _SHORT_BAR else 0
    most = max(row.litres for row in rows) or 1
    made = table()
    made.add_column(head, no_wrap=True)
    for column, width in zip(columns, widths, strict=True):
        title = Text(column.title, style=column.style)
        made.add_column(title, justify="right", width=width)
    if longest:
        made.add_column(width=longest)
    for number, row in enumerate(rows):
        cells = [column.cells[number] for column in columns]
        bar = [_bar(row, longest / most, shades)] if longest else []
        made.add_row(row.label, *cells, *bar)
    made.add_row(labels[-1], *(column.cells[-1] for column in columns), style="bold")
    return made, max(room, others + sum(widths))


def _cell(use: Usage | None) -> str:
    if use is None:
        return ""
    return "≈ " * (use.estimated_l >= _ONE_LITRE) + f"{use.litres:,.0f}"


def _bar(row: _Row, scale: float, shades: Shades) -> Text:
    """Cold and hot one after the other; rounded so that the whole is right."""
    made, so_far = Text(), 0.0
    for water in _ORDER:
        begun = round(so_far * scale)
        so_far += row.of(water)
        length = round(so_far * scale) - begun
        made.append(shades[water] * length, style=_STYLES.get(water, ""))
    return made


def _legend(uses: Sequence[Usage], shades: Shades) -> Text:
    waters = {use.water for use in uses}
    parts = [Text("In litres")]
    parts += [
        Text.assemble((shades[water], _STYLES[water]), f" {water}")
        for water in (Water.COLD, Water.HOT)
        if water in waters
    ]
    if any(use.estimated_l >= _ONE_LITRE for use in uses):
        hours = round(GAP.total_seconds() / 3600)
        parts.append(Text(f"≈ partly estimated: readings are more than {hours} h apart"))
    return Text(" · ").join(parts)

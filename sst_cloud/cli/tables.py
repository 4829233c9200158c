"""Water usage as a table with bars, for a terminal or a pipe."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import attrs
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sst_cloud.enums import Water
from sst_cloud.text import printable
from sst_cloud.usage import Period, Usage

from .durations import in_words
from .output import console, say, table
from .titles import titles as meter_titles

Meter = tuple[int, int, str]

LABELS: Final[Mapping[Period, str]] = {
    "hour": "%Y-%m-%d %H:%M",
    "day": "%Y-%m-%d %a",
    "week": "%Y-%m-%d",
    "month": "%Y-%m",
}
_HEADS: Final[Mapping[Period, str]] = {"week": "week of"}
_BAR: Final = 24
"""Characters of the longest bar, if there is space."""
_SHORT_BAR: Final = 8
"""A shorter one would be meaningless."""
_PAD: Final = 2
"""Between columns."""
_ORDER: Final = (Water.COLD, None, Water.HOT)
_STYLES: Final[Mapping[Water | None, str]] = {Water.COLD: "bright_blue", Water.HOT: "red"}
_TITLE: Final = 16
"""Columns that a word of a title may take if space is short."""
WHOLE: Final = 0.05
"""A period with less than this missing counts as complete."""
_ONE_LITRE: Final = 0.5
"""Litres shown as one column."""


@attrs.frozen
class _Marks:
    """The characters that a table is drawn with."""

    shades: Mapping[Water | None, str]
    about: str = "≈ "
    dot: str = " · "


_COLOURED: Final = _Marks(dict.fromkeys(_ORDER, "█"))
_PLAIN: Final = _Marks({Water.COLD: "█", None: "▓", Water.HOT: "▒"})
"""Hot and cold differ even without colours."""
_ASCII: Final = _Marks({Water.COLD: "#", None: "+", Water.HOT: "="}, "~ ", ", ")


def _marks(out: Console) -> _Marks:
    """The characters that a terminal can show."""
    coloured = out.color_system and not out.no_color
    marks = _COLOURED if coloured else _PLAIN
    try:
        "".join((*marks.shades.values(), marks.about, marks.dot)).encode(out.encoding)
    except UnicodeEncodeError:
        return _ASCII
    return marks


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
        """The share of the period covered by readings, unless it is all of it."""
        missing = max(use.missing for use in self.uses.values())
        return "" if missing < WHOLE else f"{1 - missing:.0%}"


def titles(uses: Sequence[Usage]) -> dict[Meter, str]:
    """A unique title for each meter; with the house first, if there are several."""
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


def print_usage(uses: Sequence[Usage], by: Period, gap: timedelta) -> None:
    """Print a row per period and a column per meter, or just hot and cold if too many."""
    out = console()
    rows = list(_rows(uses, by))
    marks = _marks(out)
    names = titles(uses)
    head = _HEADS.get(by, by)
    made = _Layout(head, rows, list(_columns(rows, names, marks)))
    if out.is_terminal and made.width(broken=True) > out.width and len(names) > 1:
        made = _Layout(head, rows, list(_waters(rows, marks)))
        say(f"Note: {len(names)} meters do not fit; use --csv to see them all")
    shown, out.width = _table(made, out.width, marks)
    out.print(shown)
    out.print(_legend(uses, marks, gap))
    for use in uses:
        for broken in use.breaks:
            name = " ".join(names[use.meter].split("\n"))
            out.print(
                f"{name}: {broken.before_l:,} L, then {broken.after_l:,} L on "
                f"{broken.time:%Y-%m-%d %H:%M}; replaced? Usage in between is not counted.",
                markup=False,
            )


def _rows(uses: Sequence[Usage], by: Period) -> Iterator[_Row]:
    rows: dict[tuple[str, int], dict[Meter, Usage]] = defaultdict(dict)
    for use in uses:
        rows[use.start.strftime(LABELS[by]), use.start.fold][use.meter] = use
    for (label, fold), found in sorted(rows.items(), key=lambda row: row[0]):
        again = rows.get((label, 1 - fold), {})
        offsets = {use.start.isoformat()[-6:] for meter, use in found.items() if meter in again}
        yield _Row(" ".join((label, *sorted(offsets))), found)


@attrs.frozen
class _Column:
    title: str
    cells: Sequence[str]
    style: str = ""

    def width(self, *, broken: bool) -> int:
        """With the title on one line, or wrapped. Cells are never wrapped."""
        cells = max(map(cell_len, self.cells), default=0)
        if broken:
            return max(cells, min(_TITLE, max(map(cell_len, self.title.split()), default=0)))
        return max(cells, *map(cell_len, self.title.splitlines()))


@attrs.frozen
class _Layout:
    """The columns of a table, without the bars."""

    head: str
    rows: Sequence[_Row]
    columns: Sequence[_Column]

    @property
    def labels(self) -> Sequence[str]:
        return [*(row.label for row in self.rows), "total"]

    def widths(self, *, broken: bool) -> list[int]:
        return [column.width(broken=broken) for column in self.columns]

    def width(self, *, broken: bool) -> int:
        label = max(map(len, (self.head, *self.labels)))
        return label + sum(_PAD + width for width in self.widths(broken=broken))


def _columns(rows: Sequence[_Row], names: Mapping[Meter, str], marks: _Marks) -> Iterator[_Column]:
    waters = {meter: use.water for row in rows for meter, use in row.uses.items()}
    for meter, name in names.items():
        uses = [[row.uses[meter]] if meter in row.uses else [] for row in rows]
        yield _column(name, uses, waters[meter], marks)
    yield from _totals(rows, several=len(names) > 1)


def _waters(rows: Sequence[_Row], marks: _Marks) -> Iterator[_Column]:
    """All hot meters together, and all cold ones."""
    waters = {use.water for row in rows for use in row.uses.values()}
    for water in _ORDER:
        if water in waters:
            uses = [[use for use in row.uses.values() if use.water is water] for row in rows]
            yield _column(water or "other", uses, water, marks)
    yield from _totals(rows, several=len(waters) > 1)


def _column(
    title: str, uses: Sequence[Sequence[Usage]], water: Water | None, marks: _Marks
) -> _Column:
    total = sum(use.litres for found in uses for use in found)
    cells = [_cell(found, marks) for found in uses]
    return _Column(title, [*cells, f"{total:,.0f}"], _STYLES.get(water, ""))


def _totals(rows: Sequence[_Row], *, several: bool) -> Iterator[_Column]:
    if several:
        totals = [row.litres for row in rows]
        yield _Column("all", [f"{litres:,.0f}" for litres in (*totals, sum(totals))])
    if any(row.covered for row in rows):
        yield _Column("covered", [*(row.covered for row in rows), ""])


def _table(layout: _Layout, room: int, marks: _Marks) -> tuple[Table, int]:
    """The table, and how wide to print it.

    Titles are wrapped, bars shortened, and lines left to the terminal to wrap before a number is
    cut.
    """
    for broken in (False, True):
        width = layout.width(broken=broken)
        left = room - width - _PAD
        if left >= _SHORT_BAR:
            break
    longest = min(left, _BAR) if left >= _SHORT_BAR else 0
    most = max(row.litres for row in layout.rows) or 1
    made = table()
    made.add_column(layout.head, no_wrap=True)
    for column, wide in zip(layout.columns, layout.widths(broken=broken), strict=True):
        title = Text(column.title, style=column.style)
        made.add_column(title, justify="right", width=wide, overflow="fold")
    if longest:
        made.add_column(width=longest)
    for number, row in enumerate(layout.rows):
        cells = [column.cells[number] for column in layout.columns]
        bar = [_bar(row, longest / most, marks)] if longest else []
        made.add_row(row.label, *cells, *bar)
    last = [column.cells[-1] for column in layout.columns]
    made.add_row(layout.labels[-1], *last, style="bold")
    return made, max(room, width + _PAD)


def _cell(uses: Sequence[Usage], marks: _Marks) -> str:
    if not uses:
        return ""
    about = any(use.estimated_l >= _ONE_LITRE for use in uses)
    return marks.about * about + f"{sum(use.litres for use in uses):,.0f}"


def _bar(row: _Row, scale: float, marks: _Marks) -> Text:
    """Cold, then hot; rounded so that the total length is right."""
    made, so_far = Text(), 0.0
    for water in _ORDER:
        begun = round(so_far * scale)
        so_far += row.of(water)
        length = round(so_far * scale) - begun
        made.append(marks.shades[water] * length, style=_STYLES.get(water, ""))
    return made


def _legend(uses: Sequence[Usage], marks: _Marks, gap: timedelta) -> Text:
    waters = {use.water for use in uses}
    parts = [Text("In litres")]
    parts += [
        Text.assemble((marks.shades[water], _STYLES[water]), f" {water}")
        for water in (Water.COLD, Water.HOT)
        if water in waters
    ]
    if any(use.estimated_l >= _ONE_LITRE for use in uses):
        apart = f"readings are more than {in_words(gap)} apart"
        parts.append(Text(f"{marks.about}partly estimated: {apart}"))
    return Text(marks.dot).join(parts)

"""Water usage as a table with bars."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import attrs
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.jupyter import JupyterMixin
from rich.table import Table
from rich.text import Text

from sst_cloud.display.meter_titles import meter_titles
from sst_cloud.enums import Water
from sst_cloud.metering.usage import GAP, MAX_MISSING, Period, Usage
from sst_cloud.wording import duration_in_words, printable

from .tables import PAD, new_table

MeterKey = tuple[int, int, str]

_LABEL_FORMATS: Final[Mapping[Period, str]] = {
    "hour": "%Y-%m-%d %H:%M",
    "day": "%Y-%m-%d %a",
    "week": "%Y-%m-%d",
    "month": "%Y-%m",
}
_HEADINGS: Final[Mapping[Period, str]] = {"week": "week of"}
_MAX_BAR: Final = 24
"""Characters of the longest bar, if there is space for it."""
_MIN_BAR: Final = 8
"""If there is less space, no bars are drawn."""
_WATER_ORDER: Final = (Water.COLD, None, Water.HOT)
_STYLES: Final[Mapping[Water | None, str]] = {Water.COLD: "bright_blue", Water.HOT: "red"}
_TITLE_WIDTH: Final = 16
"""Characters that a word of a title may take if space is short."""
_VISIBLE_LITRES: Final = 0.5
"""Less is shown as 0."""


@attrs.frozen
class _Symbols:
    """The characters that a table is drawn with."""

    bars: Mapping[Water | None, str]
    approximately: str = "≈ "
    separator: str = " · "


_COLOURED: Final = _Symbols(dict.fromkeys(_WATER_ORDER, "█"))
_PLAIN: Final = _Symbols({Water.COLD: "█", None: "▓", Water.HOT: "▒"})
"""Hot and cold differ even without colours."""
_ASCII: Final = _Symbols({Water.COLD: "#", None: "+", Water.HOT: "="}, "~ ", ", ")


def _symbols_for(console: Console) -> _Symbols:
    """The characters that a terminal can show."""
    coloured = console.color_system and not console.no_color
    symbols = _COLOURED if coloured else _PLAIN
    try:
        "".join((*symbols.bars.values(), symbols.approximately, symbols.separator)).encode(
            console.encoding
        )
    except UnicodeEncodeError:
        return _ASCII
    return symbols


@attrs.frozen
class _Row:
    label: str
    usages: Mapping[MeterKey, Usage]

    @property
    def litres(self) -> float:
        return sum(usage.litres for usage in self.usages.values())

    def litres_of(self, water: Water | None) -> float:
        return sum(usage.litres for usage in self.usages.values() if usage.water is water)

    @property
    def coverage(self) -> str:
        """The share of the period covered by readings, unless it is all of it."""
        missing = max(usage.missing for usage in self.usages.values())
        return "" if missing < MAX_MISSING else f"{1 - missing:.0%}"


def _usage_titles(usages: Sequence[Usage]) -> dict[MeterKey, str]:
    """A unique title for each meter; with the house first, if there are several."""
    houses: dict[int, dict[MeterKey, Usage]] = defaultdict(dict)
    for usage in usages:
        houses[usage.house_id][usage.meter] = usage
    by_meter = {}
    for house_id, meters in sorted(houses.items()):
        house = next(iter(meters.values())).house or str(house_id)
        heading = f"{printable(house)}\n" if len(houses) > 1 else ""
        for meter, title in meter_titles(meters.values()).items():
            by_meter[house_id, *meter] = f"{heading}{title}"
    return by_meter


@attrs.frozen
class UsageTable(JupyterMixin):
    """A row per period and a column per meter, or just hot and cold if a terminal is too narrow.

    Numbers are never cut: print it with `crop=False`, and a line may be longer than the terminal.
    """

    usages: Sequence[Usage]
    by: Period
    gap: timedelta = GAP
    """The one with which the usage was counted, for the legend."""

    def has_all_meters(self, console: Console) -> bool:
        """Whether there is space for a column per meter."""
        layout, meters = self._meter_layout(_symbols_for(console)), len(_usage_titles(self.usages))
        return not console.is_terminal or meters == 1 or layout.width(wrapped=True) <= console.width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        symbols = _symbols_for(console)
        layout = self._meter_layout(symbols)
        if not self.has_all_meters(console):
            columns = list(_water_columns(layout.rows, symbols))
            layout = attrs.evolve(layout, columns=columns)
        table, width = _table(layout, options.max_width, symbols)
        yield from console.render(table, options.update(width=width))
        yield _legend(self.usages, symbols, self.gap)
        titles = _usage_titles(self.usages)
        for usage in self.usages:
            for break_ in usage.breaks:
                name = " ".join(titles[usage.meter].split("\n"))
                yield Text(
                    f"{name}: {break_.before_l:,} L, then {break_.after_l:,} L on "
                    f"{break_.time:%Y-%m-%d %H:%M}; replaced? Usage in between is not counted."
                )

    def _meter_layout(self, symbols: _Symbols) -> "_Layout":
        rows = list(_rows(self.usages, self.by))
        columns = _meter_columns(rows, _usage_titles(self.usages), symbols)
        return _Layout(_HEADINGS.get(self.by, self.by), rows, list(columns))


def _rows(usages: Sequence[Usage], by: Period) -> Iterator[_Row]:
    rows: dict[tuple[str, int], dict[MeterKey, Usage]] = defaultdict(dict)
    for usage in usages:
        rows[usage.start.strftime(_LABEL_FORMATS[by]), usage.start.fold][usage.meter] = usage
    for (label, fold), period_usages in sorted(rows.items(), key=lambda row: row[0]):
        same_label = rows.get((label, 1 - fold), {})
        offsets = {
            usage.start.isoformat()[-6:]
            for meter, usage in period_usages.items()
            if meter in same_label
        }
        yield _Row(" ".join((label, *sorted(offsets))), period_usages)


@attrs.frozen
class _Column:
    title: str
    cells: Sequence[str]
    style: str = ""

    def width(self, *, wrapped: bool) -> int:
        """With the title on one line, or wrapped. Cells are never wrapped."""
        cells = max(map(cell_len, self.cells), default=0)
        if wrapped:
            return max(cells, min(_TITLE_WIDTH, max(map(cell_len, self.title.split()), default=0)))
        return max(cells, *map(cell_len, self.title.splitlines()))


@attrs.frozen
class _Layout:
    """The columns of a table, without the bars."""

    heading: str
    rows: Sequence[_Row]
    columns: Sequence[_Column]

    @property
    def labels(self) -> Sequence[str]:
        return [*(row.label for row in self.rows), "total"]

    def widths(self, *, wrapped: bool) -> list[int]:
        return [column.width(wrapped=wrapped) for column in self.columns]

    def width(self, *, wrapped: bool) -> int:
        label = max(map(len, (self.heading, *self.labels)))
        return label + sum(PAD + width for width in self.widths(wrapped=wrapped))


def _meter_columns(
    rows: Sequence[_Row], titles: Mapping[MeterKey, str], symbols: _Symbols
) -> Iterator[_Column]:
    waters = {meter: usage.water for row in rows for meter, usage in row.usages.items()}
    for meter, title in titles.items():
        usages = [[row.usages[meter]] if meter in row.usages else [] for row in rows]
        yield _column(title, usages, waters[meter], symbols)
    yield from _total_columns(rows, with_sum=len(titles) > 1)


def _water_columns(rows: Sequence[_Row], symbols: _Symbols) -> Iterator[_Column]:
    """A column for all cold meters together, and one for all hot ones."""
    waters = {usage.water for row in rows for usage in row.usages.values()}
    for water in _WATER_ORDER:
        if water in waters:
            usages = [
                [usage for usage in row.usages.values() if usage.water is water] for row in rows
            ]
            yield _column(water or "other", usages, water, symbols)
    yield from _total_columns(rows, with_sum=len(waters) > 1)


def _column(
    title: str, usages: Sequence[Sequence[Usage]], water: Water | None, symbols: _Symbols
) -> _Column:
    total = sum(usage.litres for row in usages for usage in row)
    cells = [_cell(row, symbols) for row in usages]
    return _Column(title, [*cells, f"{total:,.0f}"], _STYLES.get(water, ""))


def _total_columns(rows: Sequence[_Row], *, with_sum: bool) -> Iterator[_Column]:
    if with_sum:
        totals = [row.litres for row in rows]
        yield _Column("all", [f"{litres:,.0f}" for litres in (*totals, sum(totals))])
    if any(row.coverage for row in rows):
        yield _Column("covered", [*(row.coverage for row in rows), ""])


def _table(layout: _Layout, console_width: int, symbols: _Symbols) -> tuple[Table, int]:
    """The table, and the width to print it with.

    If space is short, titles are wrapped and bars shortened; then the terminal wraps the lines.
    Numbers are never cut.
    """
    for wrapped in (False, True):
        width = layout.width(wrapped=wrapped)
        bar_space = console_width - width - PAD
        if bar_space >= _MIN_BAR:
            break
    max_bar = min(bar_space, _MAX_BAR) if bar_space >= _MIN_BAR else 0
    max_litres = max((row.litres for row in layout.rows), default=0) or 1
    table = new_table()
    table.add_column(layout.heading, no_wrap=True)
    for column, column_width in zip(layout.columns, layout.widths(wrapped=wrapped), strict=True):
        title = Text(column.title, style=column.style)
        table.add_column(title, justify="right", width=column_width, overflow="fold")
    if max_bar:
        table.add_column(width=max_bar)
    for index, row in enumerate(layout.rows):
        cells = [column.cells[index] for column in layout.columns]
        bar = [_bar(row, max_bar / max_litres, symbols)] if max_bar else []
        table.add_row(row.label, *cells, *bar)
    totals = [column.cells[-1] for column in layout.columns]
    table.add_row(layout.labels[-1], *totals, style="bold")
    return table, max(console_width, width + PAD)


def _cell(usages: Sequence[Usage], symbols: _Symbols) -> str:
    if not usages:
        return ""
    estimated = any(usage.estimated_l >= _VISIBLE_LITRES for usage in usages)
    return symbols.approximately * estimated + f"{sum(usage.litres for usage in usages):,.0f}"


def _bar(row: _Row, scale: float, symbols: _Symbols) -> Text:
    """A bar of cold and hot water; rounded so that its total length is right."""
    bar, litres = Text(), 0.0
    for water in _WATER_ORDER:
        start = round(litres * scale)
        litres += row.litres_of(water)
        length = round(litres * scale) - start
        bar.append(symbols.bars[water] * length, style=_STYLES.get(water, ""))
    return bar


def _legend(usages: Sequence[Usage], symbols: _Symbols, gap: timedelta) -> Text:
    waters = {usage.water for usage in usages}
    parts = [Text("In litres")]
    parts += [
        Text.assemble((symbols.bars[water], _STYLES[water]), f" {water}")
        for water in (Water.COLD, Water.HOT)
        if water in waters
    ]
    if any(usage.estimated_l >= _VISIBLE_LITRES for usage in usages):
        reason = f"readings are more than {duration_in_words(gap)} apart"
        parts.append(Text(f"{symbols.approximately}partly estimated: {reason}"))
    return Text(symbols.separator).join(parts)

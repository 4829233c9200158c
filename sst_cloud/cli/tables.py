"""Consumption as a table with bars, for a terminal or a pipe."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs
import click
from rich.table import Table
from rich.text import Text

from sst_cloud.enums import Water
from sst_cloud.usage import GAP, Period, Usage

from .output import console, table

Meter = tuple[int, int, str]

LABELS: Final[Mapping[Period, str]] = {
    "hour": "%Y-%m-%d %H:%M",
    "day": "%Y-%m-%d %a",
    "week": "%Y-%m-%d",
    "month": "%Y-%m",
}
_HEADS: Final[Mapping[Period, str]] = {"week": "week of"}
_BAR: Final = 24
"""Characters of the longest bar."""
_ORDER: Final = (Water.COLD, None, Water.HOT)
_STYLES: Final[Mapping[Water | None, str]] = {Water.COLD: "bright_blue", Water.HOT: "red"}
_SHADES: Final[Mapping[Water | None, str]] = {Water.COLD: "█", None: "▓", Water.HOT: "▒"}
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
    def note(self) -> str:
        missing = max(use.missing for use in self.uses.values())
        if missing < _WHOLE:
            return ""
        covered = f"{1 - missing:.0%}"
        return "no readings" if covered == "0%" else f"readings for {covered} of it"


def titles(uses: Sequence[Usage]) -> dict[Meter, str]:
    """What to call each meter so that no two are called the same; houses first, if several."""
    meters = {use.meter: use for use in uses}
    names = {meter: use.name or use.point_id for meter, use in sorted(meters.items())}
    for further in ("device", "point_id"):
        often = Counter((meter[0], name) for meter, name in names.items())
        for meter, name in names.items():
            if often[meter[0], name] > 1:
                names[meter] = f"{getattr(meters[meter], further)} {name}"
    if len({meter[0] for meter in meters}) > 1:
        for meter, use in meters.items():
            names[meter] = f"{use.house or use.house_id}\n{names[meter]}"
    return names


def print_usage(uses: Sequence[Usage], by: Period) -> None:
    """Print a row for every period and a column for every meter."""
    if not uses:
        click.echo("No meter has two readings there, so nothing can be said.", err=True)
        return
    out = console()
    rows = list(_rows(uses, by))
    shades = dict.fromkeys(_ORDER, "█") if out.color_system else _SHADES
    out.print(_table(rows, titles(uses), _HEADS.get(by, by), shades))
    out.print(_legend(uses, shades))
    for use in uses:
        for broken in use.breaks:
            out.print(
                f"{use.name or use.point_id}: {broken.before_l:,} L, then {broken.after_l:,} L on "
                f"{broken.time:%Y-%m-%d %H:%M}; replaced? What ran in between is not counted.",
                markup=False,
            )


def _rows(uses: Sequence[Usage], by: Period) -> Iterator[_Row]:
    rows: dict[tuple[str, int], dict[Meter, Usage]] = defaultdict(dict)
    for use in uses:
        rows[use.start.strftime(LABELS[by]), use.start.fold][use.meter] = use
    for (label, _), found in sorted(rows.items(), key=lambda row: row[0]):
        yield _Row(label, found)


def _table(
    rows: Sequence[_Row], names: Mapping[Meter, str], head: str, shades: Mapping[Water | None, str]
) -> Table:
    several = ["all"] * (len(names) > 1)
    made = table(head)
    waters = {meter: use.water for row in rows for meter, use in row.uses.items()}
    for meter, name in names.items():
        style = _STYLES.get(waters[meter], "")
        made.add_column(Text(name, style=style), justify="right", no_wrap=True)
    for name in several:
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column(no_wrap=True)
    most = max(row.litres for row in rows) or 1
    for row in rows:
        cells = [_cell(row.uses.get(meter)) for meter in names]
        total = [f"{row.litres:,.0f}"] * len(several)
        made.add_row(row.label, *cells, *total, _bar(row, most, shades), row.note)
    sums = [sum(row.uses[meter].litres for row in rows if meter in row.uses) for meter in names]
    everything = [sum(sums)] * len(several)
    made.add_row("total", *(f"{litres:,.0f}" for litres in (*sums, *everything)), style="bold")
    return made


def _cell(use: Usage | None) -> str:
    if use is None:
        return ""
    return "≈ " * (use.estimated_l >= _ONE_LITRE) + f"{use.litres:,.0f}"


def _bar(row: _Row, most: float, shades: Mapping[Water | None, str]) -> Text:
    """Cold and hot one after the other; rounded so that the whole is right."""
    made, so_far = Text(), 0.0
    for water in _ORDER:
        begun = round(so_far / most * _BAR)
        so_far += row.of(water)
        length = round(so_far / most * _BAR) - begun
        made.append(shades[water] * length, style=_STYLES.get(water, ""))
    return made


def _legend(uses: Sequence[Usage], shades: Mapping[Water | None, str]) -> Text:
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

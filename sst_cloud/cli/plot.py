"""`sst-cloud usage --plot`: hot and cold as bars, even on machines without a display."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sst_cloud.enums import Water
from sst_cloud.text import printable
from sst_cloud.usage import Period, Usage

from .tables import WHOLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

FORMATS: Final = (".png", ".svg", ".pdf")

_COLOURS: Final[Mapping[Water | None, str]] = {
    Water.COLD: "#3d8fd1",
    None: "#9aa5b1",
    Water.HOT: "#e2604f",
}
_PALER: Final[Mapping[Water | None, str]] = {
    Water.COLD: "#9dc6e8",
    None: "#ccd2d8",
    Water.HOT: "#f0afa6",
}
_NAMES: Final[Mapping[Water | None, str]] = {Water.COLD: "cold", None: "other", Water.HOT: "hot"}
_INK, _PALE, _GRID = "#2b3440", "#6b7785", "#dfe4ea"
_M3: Final = 1000
_MANY: Final = 130
"""Bars; from this many on, they are drawn without gaps."""
_LEFT, _RIGHT = 0.075, 0.98
"""The edges of the plot, as fractions of the width."""
_APART: Final = 40
"""Pixels between title and legend."""
_FEW: Final = 6
"""Bars; fewer are not drawn wider, but centred."""
_MOST_TICKS: Final = 32

Sums = dict[Water | None, list[float]]
Place = tuple[datetime, int]
"""When a period starts in local time, and whether that time occurs for the second time."""


def check_plot(file: Path) -> None:
    """Raise `ClickException` if it cannot be drawn, before anything is read."""
    if find_spec("matplotlib") is None:
        raise click.ClickException("--plot needs matplotlib: pip install 'sst-cloud[plot]'")
    if file.suffix.lower() not in FORMATS:
        raise click.UsageError(f"--plot writes {', '.join(FORMATS)}, not {file.name!r}")
    if not file.parent.is_dir():
        raise click.ClickException(f"the folder {file.parent} does not exist; create it first")


def draw(uses: Sequence[Usage], by: Period, file: Path) -> None:
    """Draw the usage into a file. Raises `ClickException` if there is nothing to draw."""
    from matplotlib import rc_context  # noqa: PLC0415  takes half a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    if not uses:
        raise click.ClickException(
            "no meter has two readings in that time, so there is nothing to draw"
        )
    places = sorted({_place(use) for use in uses})
    litres = _sums(uses, places, lambda use: use.litres)
    estimated = _sums(uses, places, lambda use: use.estimated_l)
    most = max(map(sum, zip(*litres.values(), strict=True)))
    factor, unit = (1 / _M3, "m³") if most >= _M3 else (1, "L")
    style = rc_context({"font.size": 10, "hatch.linewidth": 1.4, "svg.hashsalt": "sst-cloud"})
    with style, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # an odd name must not make it fail
        figure = Figure(figsize=(10, 4.6), dpi=150, facecolor="white")
        axes = figure.add_axes((_LEFT, 0.13, _RIGHT - _LEFT, 0.69))
        _bars(axes, litres, estimated, factor, _partly_read(uses, places))
        _decorate(axes, unit, most * factor)
        _ticks(axes, [moment for moment, _ in places], by)
        _head(figure, uses, _handles(litres, estimated, partly=any(_partly_read(uses, places))))
        metadata = {"Date": None} if file.suffix.lower() == ".svg" else {}
        try:
            figure.savefig(file, metadata=metadata)
        except OSError as error:
            raise click.ClickException(f"{file} cannot be written: {error.strerror}") from None


def _place(use: Usage) -> Place:
    """The same place for all houses, whatever their time zones."""
    return use.start.replace(tzinfo=None), use.start.fold


def _sums(uses: Iterable[Usage], places: Sequence[Place], amount: Callable[[Usage], float]) -> Sums:
    numbers = {place: number for number, place in enumerate(places)}
    sums: Sums = defaultdict(lambda: [0.0] * len(places))
    for use in uses:
        sums[use.water][numbers[_place(use)]] += amount(use)
    return {water: sums[water] for water in _COLOURS if water in sums}


def _partly_read(uses: Iterable[Usage], places: Sequence[Place]) -> list[bool]:
    """Which periods lack readings, including before the first and after the last."""
    partly = {_place(use) for use in uses if use.missing >= WHOLE}
    return [place in partly for place in places]


def _bars(
    axes: "Axes", litres: Sums, estimated: Sums, factor: float, partly: Sequence[bool]
) -> None:
    """Cold below, hot above, paler if readings are missing.

    The estimated part, at the top of each bar, is hatched.
    """
    count = len(next(iter(litres.values())))
    width = 0.78 if count < _MANY else 1.0
    bottom = [0.0] * count
    for water, amounts in litres.items():
        sure = [
            (amount - part) * factor for amount, part in zip(amounts, estimated[water], strict=True)
        ]
        guessed = [part * factor for part in estimated[water]]
        colours = [(_PALER if part else _COLOURS)[water] for part in partly]
        axes.bar(range(count), sure, width=width, bottom=bottom, color=colours)
        bottom = [low + high for low, high in zip(bottom, sure, strict=True)]
        axes.bar(
            range(count),
            guessed,
            width=width,
            bottom=bottom,
            color=_PALER[water],
            hatch="///",
            edgecolor="white",
            linewidth=0,
        )
        bottom = [low + high for low, high in zip(bottom, guessed, strict=True)]


def _decorate(axes: "Axes", unit: str, most: float) -> None:
    axes.set_ylabel(unit, rotation=0, color=_PALE, ha="right", va="bottom")
    axes.yaxis.set_label_coords(-0.012, 1.02)
    axes.set_ylim(0, most * 1.06 or 1)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.tick_params(colors=_PALE, length=0)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_PALE)


def _handles(litres: Sums, estimated: Sums, *, partly: bool) -> list["Patch"]:
    """The entries of the legend."""
    from matplotlib.patches import Patch  # noqa: PLC0415

    sums = {water: sum(amounts) for water, amounts in litres.items()}
    large = max(sums.values()) >= _M3
    handles = [
        Patch(
            color=_COLOURS[water],
            label=f"{_NAMES[water]}  " + (f"{used / _M3:,.2f} m³" if large else f"{used:,.0f} L"),
        )
        for water, used in sums.items()
    ]
    if partly:
        handles.append(Patch(color=_PALER[None], label="partly read"))
    if any(sum(amounts) >= 1 for amounts in estimated.values()):
        handles.append(
            Patch(facecolor=_PALER[None], edgecolor="white", hatch="///", label="estimated")
        )
    return handles


def _head(figure: "Figure", uses: Sequence[Usage], handles: list["Patch"]) -> None:
    """Title and legend side by side, or one below the other if space is short."""
    style: dict[str, Any] = {"size": 14, "color": _INK, "weight": "bold", "va": "center"}
    title = figure.text(_LEFT, 0.925, _title(uses), parse_math=False, **style)
    legend = figure.legend(
        handles=handles,
        loc="center right",
        bbox_to_anchor=(_RIGHT, 0.925),
        ncols=len(handles),
        frameon=False,
        labelcolor=_INK,
        handlelength=1.0,
        handleheight=1.0,
        columnspacing=1.8,
        borderpad=0,
    )
    if title.get_window_extent().x1 + _APART > legend.get_window_extent().x0:
        title.set_y(0.955)
        legend.set_loc("center left")
        legend.set_bbox_to_anchor((_LEFT, 0.885), figure.transSubfigure)
    for longest in range(len(_where(uses)), 0, -1):
        if title.get_window_extent().x1 <= figure.bbox.width * _RIGHT:
            break
        title.set_text(_title(uses, longest))


def _where(uses: Sequence[Usage]) -> str:
    houses = {use.house_id: use.house or f"house {use.house_id}" for use in uses}
    return printable(", ".join(houses.values()))


def _title(uses: Sequence[Usage], longest: int | None = None) -> str:
    """The place, cut to this many characters, and the dates."""
    where = _where(uses)
    if longest is not None and longest < len(where):
        where = f"{where[: longest - 1].rstrip()}…"
    first = min(use.start.replace(tzinfo=None) for use in uses)
    end = max(use.end.replace(tzinfo=None) for use in uses)
    last = end - timedelta(seconds=1)
    if first.day == end.day == 1 and first.hour == end.hour == 0:
        begin, until = f"{first:%B %Y}", f"{last:%B %Y}"
    else:
        begin, until = f"{first.day} {first:%B %Y}", f"{last.day} {last:%B %Y}"
    if begin == until:
        return f"{where}, {begin}"
    if first.year == last.year:
        begin = begin.removesuffix(f" {first:%Y}")
    if f"{first:%B %Y}" == f"{last:%B %Y}":
        begin = begin.removesuffix(f" {first:%B}")
    return f"{where}, {begin} \N{EN DASH} {until}"


def _ticks(axes: "Axes", moments: Sequence[datetime], by: Period) -> None:
    """Label as many periods as are readable, and the larger ones that start there."""
    wanted = next(
        (
            places
            for choose in _CHOICES[by]
            if len(places := [n for n, moment in enumerate(moments) if choose(moment)])
            <= _MOST_TICKS
        ),
        [],
    )
    labels, told, told_year = [], "", str(moments[-1].year)
    for moment in (moments[place] for place in wanted):
        large, year = _LARGE[by](moment), str(moment.year)
        label = f"{_SMALL[by](moment)}\n{large if large != told else ' '}"
        labels.append(label if year in (told_year, large) else f"{label}\n{year}")
        told, told_year = large, year
    axes.set_xticks(wanted, labels)
    beside = max(0, _FEW - len(moments)) / 2
    axes.set_xlim(-0.6 - beside, len(moments) - 0.4 + beside)


_CHOICES: Final[Mapping[Period, Sequence[Callable[[datetime], bool]]]] = {
    "hour": (
        lambda moment: moment.hour % 2 == 0,
        lambda moment: moment.hour % 6 == 0,
        lambda moment: moment.hour == 0,
        lambda moment: moment.hour == 0 and moment.weekday() == 0,
        lambda moment: moment.hour == 0 and moment.day == 1,
    ),
    "day": (
        lambda _: True,
        lambda moment: moment.weekday() == 0,
        lambda moment: moment.day == 1,
        lambda moment: moment.day == 1 and moment.month == 1,
    ),
    "week": (
        lambda _: True,
        lambda moment: moment.day <= 7,
        lambda moment: moment.day <= 7 and moment.month == 1,
    ),
    "month": (lambda _: True, lambda moment: moment.month == 1),
}
_SMALL: Final[Mapping[Period, Callable[[datetime], str]]] = {
    "hour": lambda moment: f"{moment:%H}",
    "day": lambda moment: f"{moment.day}",
    "week": lambda moment: f"{moment.day}",
    "month": lambda moment: f"{moment:%b}",
}
_LARGE: Final[Mapping[Period, Callable[[datetime], str]]] = {
    "hour": lambda moment: f"{moment.day} {moment:%b}",
    "day": lambda moment: f"{moment:%b}",
    "week": lambda moment: f"{moment:%b}",
    "month": lambda moment: f"{moment:%Y}",
}

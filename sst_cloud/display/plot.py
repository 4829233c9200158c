"""Usage as a bar chart in a file: hot and cold water; needs no display."""

import errno
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sst_cloud.enums import Water
from sst_cloud.extras import require
from sst_cloud.metering.usage import MAX_MISSING, Period, Usage
from sst_cloud.wording import printable

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
_PALE_COLOURS: Final[Mapping[Water | None, str]] = {
    Water.COLD: "#9dc6e8",
    None: "#ccd2d8",
    Water.HOT: "#f0afa6",
}
_NAMES: Final[Mapping[Water | None, str]] = {Water.COLD: "cold", None: "other", Water.HOT: "hot"}
_INK, _PALE, _GRID = "#2b3440", "#6b7785", "#dfe4ea"
_M3: Final = 1000
_MANY_BARS: Final = 130
"""From this many bars on, they are drawn without gaps."""
_LEFT, _RIGHT = 0.075, 0.98
"""The edges of the plot, as fractions of the width."""
_TITLE_GAP: Final = 40
"""Least number of pixels between title and legend."""
_FEW_BARS: Final = 6
"""Fewer bars than this are not drawn wider, but centred."""
_MAX_TICKS: Final = 32

Sums = dict[Water | None, list[float]]
PeriodStart = tuple[datetime, int]
"""When a period starts in local time, and whether that time occurs for the second time."""


def check_plot(file: Path) -> None:
    """Raise the errors that `draw` would raise for this file, before there is anything to draw."""
    require("a plot", "matplotlib", extra="plot")
    if file.suffix.lower() not in FORMATS:
        raise ValueError(f"a plot is {', '.join(FORMATS)}, not {file.name!r}")
    if not file.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "this folder does not exist; create it first", str(file.parent)
        )


def draw(usages: Sequence[Usage], by: Period, file: Path) -> None:
    """Draw the usage into a file: .png, .svg or .pdf.

    Raises ValueError if there is nothing to draw or the format is another one, OSError if the file
    cannot be written, ModuleNotFoundError without matplotlib.
    """
    check_plot(file)
    from matplotlib import rc_context  # noqa: PLC0415  takes half a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    if not usages:
        raise ValueError("no meter has two readings in that time, so there is nothing to draw")
    starts = sorted({_period_start(usage) for usage in usages})
    litres = _sums(usages, starts, lambda usage: usage.litres)
    estimated = _sums(usages, starts, lambda usage: usage.estimated_l)
    max_litres = max(map(sum, zip(*litres.values(), strict=True)))
    factor, unit = (1 / _M3, "m³") if max_litres >= _M3 else (1, "L")
    style = rc_context({"font.size": 10, "hatch.linewidth": 1.4, "svg.hashsalt": "sst-cloud"})
    with style, warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing"
        )  # a name with rare characters must not fail
        figure = Figure(figsize=(10, 4.6), dpi=150, facecolor="white")
        axes = figure.add_axes((_LEFT, 0.13, _RIGHT - _LEFT, 0.69))
        _bars(axes, litres, estimated, factor, _partly_read(usages, starts))
        _decorate(axes, unit, max_litres * factor)
        _ticks(axes, [moment for moment, _ in starts], by)
        _head(figure, usages, _handles(litres, estimated, partly=any(_partly_read(usages, starts))))
        metadata = {"Date": None} if file.suffix.lower() == ".svg" else {}
        figure.savefig(file, metadata=metadata)


def _period_start(usage: Usage) -> PeriodStart:
    """The same for all houses, whatever their time zones."""
    return usage.start.replace(tzinfo=None), usage.start.fold


def _sums(
    usages: Iterable[Usage], starts: Sequence[PeriodStart], amount: Callable[[Usage], float]
) -> Sums:
    numbers = {start: number for number, start in enumerate(starts)}
    sums: Sums = defaultdict(lambda: [0.0] * len(starts))
    for usage in usages:
        sums[usage.water][numbers[_period_start(usage)]] += amount(usage)
    return {water: sums[water] for water in _COLOURS if water in sums}


def _partly_read(usages: Iterable[Usage], starts: Sequence[PeriodStart]) -> list[bool]:
    """Which periods lack readings, including before the first and after the last."""
    partly = {_period_start(usage) for usage in usages if usage.missing >= MAX_MISSING}
    return [start in partly for start in starts]


def _bars(
    axes: "Axes", litres: Sums, estimated: Sums, factor: float, partly: Sequence[bool]
) -> None:
    """Cold below, hot above, paler if readings are missing.

    The estimated part, at the top of each bar, is hatched.
    """
    count = len(next(iter(litres.values())))
    width = 0.78 if count < _MANY_BARS else 1.0
    bottom = [0.0] * count
    for water, amounts in litres.items():
        measured = [
            (amount - part) * factor for amount, part in zip(amounts, estimated[water], strict=True)
        ]
        estimated_parts = [part * factor for part in estimated[water]]
        colours = [(_PALE_COLOURS if part else _COLOURS)[water] for part in partly]
        axes.bar(range(count), measured, width=width, bottom=bottom, color=colours)
        bottom = [low + high for low, high in zip(bottom, measured, strict=True)]
        axes.bar(
            range(count),
            estimated_parts,
            width=width,
            bottom=bottom,
            color=_PALE_COLOURS[water],
            hatch="///",
            edgecolor="white",
            linewidth=0,
        )
        bottom = [low + high for low, high in zip(bottom, estimated_parts, strict=True)]


def _decorate(axes: "Axes", unit: str, maximum: float) -> None:
    axes.set_ylabel(unit, rotation=0, color=_PALE, ha="right", va="bottom")
    axes.yaxis.set_label_coords(-0.012, 1.02)
    axes.set_ylim(0, maximum * 1.06 or 1)
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
    in_m3 = max(sums.values()) >= _M3
    handles = [
        Patch(
            color=_COLOURS[water],
            label=f"{_NAMES[water]}  " + (f"{used / _M3:,.2f} m³" if in_m3 else f"{used:,.0f} L"),
        )
        for water, used in sums.items()
    ]
    if partly:
        handles.append(Patch(color=_PALE_COLOURS[None], label="partly read"))
    if any(sum(amounts) >= 1 for amounts in estimated.values()):
        handles.append(
            Patch(facecolor=_PALE_COLOURS[None], edgecolor="white", hatch="///", label="estimated")
        )
    return handles


def _head(figure: "Figure", usages: Sequence[Usage], handles: list["Patch"]) -> None:
    """Title and legend side by side, or one below the other if space is short."""
    style: dict[str, Any] = {"size": 14, "color": _INK, "weight": "bold", "va": "center"}
    title = figure.text(_LEFT, 0.925, _title(usages), parse_math=False, **style)
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
    if title.get_window_extent().x1 + _TITLE_GAP > legend.get_window_extent().x0:
        title.set_y(0.955)
        legend.set_loc("center left")
        legend.set_bbox_to_anchor((_LEFT, 0.885), figure.transSubfigure)
    for max_length in range(len(_house_names(usages)), 0, -1):
        if title.get_window_extent().x1 <= figure.bbox.width * _RIGHT:
            break
        title.set_text(_title(usages, max_length))


def _house_names(usages: Sequence[Usage]) -> str:
    houses = {usage.house_id: usage.house or f"house {usage.house_id}" for usage in usages}
    return printable(", ".join(houses.values()))


def _title(usages: Sequence[Usage], max_length: int | None = None) -> str:
    """The names of the houses, cut to this many characters, and the dates."""
    names = _house_names(usages)
    if max_length is not None and max_length < len(names):
        names = f"{names[: max_length - 1].rstrip()}…"
    first = min(usage.start.replace(tzinfo=None) for usage in usages)
    end = max(usage.end.replace(tzinfo=None) for usage in usages)
    last = end - timedelta(seconds=1)
    if first.day == end.day == 1 and first.hour == end.hour == 0:
        begin, until = f"{first:%B %Y}", f"{last:%B %Y}"
    else:
        begin, until = f"{first.day} {first:%B %Y}", f"{last.day} {last:%B %Y}"
    if begin == until:
        return f"{names}, {begin}"
    if first.year == last.year:
        begin = begin.removesuffix(f" {first:%Y}")
    if f"{first:%B %Y}" == f"{last:%B %Y}":
        begin = begin.removesuffix(f" {first:%B}")
    return f"{names}, {begin} \N{EN DASH} {until}"


def _ticks(axes: "Axes", moments: Sequence[datetime], by: Period) -> None:
    """Label as many periods as are readable, and the larger ones that start there."""
    ticks = next(
        (
            indexes
            for has_tick in _TICK_FILTERS[by]
            if len(indexes := [n for n, moment in enumerate(moments) if has_tick(moment)])
            <= _MAX_TICKS
        ),
        [],
    )
    labels, previous, previous_year = [], "", str(moments[-1].year)
    for moment in (moments[index] for index in ticks):
        group, year = _GROUP_LABELS[by](moment), str(moment.year)
        label = f"{_TICK_LABELS[by](moment)}\n{group if group != previous else ' '}"
        labels.append(label if year in (previous_year, group) else f"{label}\n{year}")
        previous, previous_year = group, year
    axes.set_xticks(ticks, labels)
    margin = max(0, _FEW_BARS - len(moments)) / 2
    axes.set_xlim(-0.6 - margin, len(moments) - 0.4 + margin)


_TICK_FILTERS: Final[Mapping[Period, Sequence[Callable[[datetime], bool]]]] = {
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
_TICK_LABELS: Final[Mapping[Period, Callable[[datetime], str]]] = {
    "hour": lambda moment: f"{moment:%H}",
    "day": lambda moment: f"{moment.day}",
    "week": lambda moment: f"{moment.day}",
    "month": lambda moment: f"{moment:%b}",
}
_GROUP_LABELS: Final[Mapping[Period, Callable[[datetime], str]]] = {
    "hour": lambda moment: f"{moment.day} {moment:%b}",
    "day": lambda moment: f"{moment:%b}",
    "week": lambda moment: f"{moment:%b}",
    "month": lambda moment: f"{moment:%Y}",
}

"""A snapshot as a tree, and as a table with problems first."""

from collections.abc import Iterator, Sequence
from typing import Final

import attrs
from rich.console import Console, ConsoleOptions, RenderResult
from rich.jupyter import JupyterMixin
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from sst_cloud.display.grouping import DeviceReadings, by_house, by_point
from sst_cloud.enums import Quality
from sst_cloud.extraction import readings_from
from sst_cloud.models import Snapshot
from sst_cloud.readings import Reading
from sst_cloud.wording import (
    format_minute,
    label_of,
    point_of,
    printable,
    problem_of,
    value_of,
)

from .tables import new_table

_OTHER_LINES: Final = 3
"""Lines of the screen besides the points: the time, the headings, the cursor."""
_NAME_WIDTH: Final = 20
"""Columns that a name may take in a single-line row."""


def snapshot_tree(snapshot: Snapshot) -> Tree:
    """Houses, devices, and what they report."""
    heading = ", ".join(filter(None, (snapshot.source, format_minute(snapshot.time))))
    root = Tree(Text(printable(heading)))
    for house, devices in by_house(snapshot, readings_from(snapshot)):
        house_branch = root.add(_bold_name(house.name, house.timezone or ""))
        for device_readings in devices:
            device_branch = house_branch.add(_device(device_readings))
            for line in _point_lines(device_readings.readings):
                device_branch.add(line)
    return root


def _device(device_readings: DeviceReadings) -> Text:
    device = device_readings.device
    if device is None:
        return Text(f"device {device_readings.id}", "bold")
    access = "" if device.access_status is None else f"  {device.access_status}"
    return _bold_name(device.name or str(device.id), f"{device.model}{access}")


def _bold_name(name: str, details: str) -> Text:
    return Text.assemble((printable(name), "bold"), f"  {printable(details)}")


def _point_lines(readings: Sequence[Reading]) -> Iterator[Text]:
    """A line for each part of a device, with all its readings."""
    for point in by_point(readings):
        values = ", ".join(_value(reading) for reading in point)
        alarm = any(problem_of(reading) for reading in point)
        name = printable(point_of(point[0]))
        yield Text.assemble(name, "  ", (values, "bold red" if alarm else ""))


def _value(reading: Reading) -> str:
    stale = " (stale)" if reading.quality is Quality.STALE else ""
    return f"{label_of(reading)} {value_of(reading)}{stale}"


@attrs.frozen
class SnapshotTable(JupyterMixin):
    """The time, and a line for each point, those with problems first; cut to a terminal's height.

    `hint` follows the time, and `error` is shown below it, in red.
    """

    snapshot: Snapshot
    hint: str = ""
    error: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"{self.snapshot.time.astimezone():%Y-%m-%d %H:%M:%S}  {self.hint}".rstrip())
        if self.error:
            yield Text(printable(self.error), "bold red")
        points = [
            point
            for _, devices in by_house(self.snapshot, readings_from(self.snapshot))
            for device_readings in devices
            for point in by_point(device_readings.readings)
        ]
        points.sort(key=lambda point: not any(map(problem_of, point)))
        max_lines = (
            console.height - _OTHER_LINES - bool(self.error) if console.is_terminal else len(points)
        )
        visible = points if len(points) <= max_lines else points[: max(0, max_lines - 1)]
        yield _table(visible, with_house=len(self.snapshot.houses) > 1)
        if len(visible) < len(points):
            yield Text(f"… and {len(points) - len(visible)} more")


def _table(points: Sequence[Sequence[Reading]], *, with_house: bool) -> Table:
    table = new_table("house", "device", "point", "reports")
    for column in table.columns[:-1]:
        column.no_wrap, column.overflow, column.max_width = True, "ellipsis", _NAME_WIDTH
    if not with_house:
        del table.columns[0]
    for point in points:
        first = point[0]
        names = [first.house, first.device or str(first.device_id), point_of(first)]
        problems = [problem for reading in point if (problem := problem_of(reading))]
        others = [
            reading
            for reading in point
            if not (reading.quantity.problems or problem_of(reading))  # what is fine is left out
        ]
        reports = [*problems, *map(_value, others)] or ["ok"]
        table.add_row(
            *(Text(printable(name)) for name in names[not with_house :]),
            Text(", ".join(reports), no_wrap=True, overflow="ellipsis"),
            style="bold red" if problems else "",
        )
    return table

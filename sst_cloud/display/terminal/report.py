"""The report for the water utility, as a table and as text."""

from datetime import datetime
from io import StringIO
from typing import Final

import attrs
from rich.console import Console, ConsoleOptions, RenderResult
from rich.jupyter import JupyterMixin
from rich.text import Text

from sst_cloud.display.meter_titles import meter_titles
from sst_cloud.enums import Water
from sst_cloud.metering.utility_report import Report

from .tables import add_row, new_table

_TEXT_WIDTH: Final = 120
"""Characters per line of a report as text."""


@attrs.frozen
class ReportTable(JupyterMixin):
    """The report of one house: its heading, a row for each meter, and the notes."""

    report: Report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report = self.report
        period = f"{report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M}"
        yield Text(f"{report.title}: {period}", "bold")
        yield ""
        columns = ("before, m³", "now, m³", "used, m³")
        table = new_table("meter", "water", columns[0], "read", columns[1], "read", columns[2],
                          right=columns)  # fmt: skip
        titles = meter_titles(report.meters)
        meters = {(meter.device_id, meter.point_id): meter for meter in report.meters}
        for key, title in titles.items():
            meter = meters[key]
            add_row(
                table,
                title,
                meter.water,
                meter.first_m3,
                _short_time(meter.first_time),
                meter.last_m3,
                _short_time(meter.last_time),
                meter.used_m3,
            )
        waters = {meter.water for meter in report.meters}
        for water, used_m3 in ((Water.COLD, report.cold_m3), (Water.HOT, report.hot_m3)):
            if water in waters:
                add_row(table, f"all {water}", water, "", "", "", "", used_m3)
        yield table
        if any(meter.notes for meter in report.meters):
            yield ""
        for key, title in titles.items():
            for note in meters[key].notes:
                yield Text(f"Note: {title}: {note}.")


def report_text(report: Report) -> str:
    """A report as plain text, for a mail."""
    buffer = StringIO()
    Console(file=buffer, width=_TEXT_WIDTH, highlight=False).print(ReportTable(report))
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def _short_time(moment: datetime) -> str:
    """A time without the year, which is in the heading, and without line breaks."""
    return f"{moment:%d %b %H:%M}".replace(" ", "\N{NO-BREAK SPACE}")

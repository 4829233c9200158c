"""`sst-cloud report`: meter readings for the water utility."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from sst_cloud.cli.config import config_option
from sst_cloud.cli.meter_titles import meter_titles
from sst_cloud.cli.output import (
    add_row,
    check_one_format,
    csv_option,
    json_option,
    new_table,
    print_csv,
    print_json,
    print_message,
    stdout_console,
    to_json_value,
)
from sst_cloud.cli.params import Month
from sst_cloud.cli.selection import house_option
from sst_cloud.cli.settings import Settings, state_option, verbose_option
from sst_cloud.cli.store_options import (
    HouseFilter,
    HouseZones,
    flow_option,
    store_argument,
    volume_readings,
    zone_option,
)
from sst_cloud.enums import Water
from sst_cloud.errors import SSTCloudError
from sst_cloud.metering.utility_report import MeterReport, Report, last_report_month, report_period
from sst_cloud.metering.utility_report import report as report_of
from sst_cloud.readings import Reading
from sst_cloud.wording import printable

if TYPE_CHECKING:
    from rich.console import Console

    from sst_cloud.cli.receivers import Receiver
    from sst_cloud.notify.mail import Message

_LONGEST_MONTH: Final = timedelta(days=31)
_TEXT_WIDTH: Final = 120
"""Characters per line of a report that is sent."""
_COLUMNS: Final = tuple(field.name for field in attrs.fields(MeterReport) if field.name != "notes")


@click.command()
@store_argument
@click.option("--month", type=Month(), help="Default: the latest whose report day is over.")
@click.option(
    "--day",
    type=click.IntRange(1, 31),
    help="Report day of the month. Default: the house's own, or the last.",
)
@click.option(
    "--decimals",
    type=click.IntRange(0, 3),
    default=0,
    show_default=True,
    help="Decimals of a cubic metre, rounded down.",
)
@house_option
@zone_option
@config_option
@state_option
@flow_option
@click.option(
    "--send-to",
    "send_to",
    multiple=True,
    metavar="WHERE",
    help="Send it to mailto:me@example.com, https://… or a command; repeatable.",
)
@json_option
@csv_option
@verbose_option
@click.pass_obj
def report(  # noqa: PLR0913  one per option
    settings: Settings,
    *,
    store: str,
    month: date | None,
    day: int | None,
    decimals: int,
    house_names: tuple[str, ...],
    zone: tzinfo | None,
    max_flow: float,
    send_to: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show the meter readings for the water utility.

    STORE is where the readings are, such as sqlite:home.db. The totals are those at the end of the
    report day, in cubic metres, rounded down. With --send-to, a mail address gets the text (set
    SST_CLOUD_SMTP to the server, such as smtps://me@mail.example.com), a URL gets JSON by POST, and
    a command gets JSON on stdin: an object for each house.
    """
    check_one_format(as_json=as_json, as_csv=as_csv)
    from sst_cloud.cli.receivers import receiver_from  # noqa: PLC0415  needs aiohttp

    receivers = [receiver_from(text, settings) for text in send_to]
    house_zones = HouseZones.from_state_folder(settings.state, zone)
    now = settings.clock.now()
    builder = _ReportBuilder(settings, house_zones, now, month, day, decimals, max_flow)
    reports, oldest = asyncio.run(builder.reports(store, house_names))
    house_zones.warn_if_zone_guessed({report.house_id for report in reports})
    for house_report in reports:
        if house_report.end > now:
            print_message(f"Note: {report_title(house_report)}: the report day is not over yet.")
    if as_json:
        print_json(reports)
    elif as_csv:
        _print_reports_as_csv(reports)
    else:
        _print_reports(stdout_console(), reports)
    if not reports:
        print_message(builder.reason_if_empty(oldest))
    messages = [_message(report) for report in reports]
    successes = [_send(receiver, messages) for receiver in receivers]
    if not all(successes):
        raise click.exceptions.Exit(1)


def _send(receiver: "Receiver", messages: Sequence["Message"]) -> bool:
    """Send reports to one receiver; prints an error, and returns whether it got them."""
    if not messages:
        return False
    try:
        asyncio.run(receiver.send(messages))
    except SSTCloudError as error:
        print_message(f"Error: not sent {receiver.name}: {error}")
        return False
    print_message(f"Sent {receiver.name}.")
    return True


@attrs.frozen
class _ReportBuilder:
    settings: Settings
    house_zones: HouseZones
    now: datetime
    month: date | None
    day: int | None
    decimals: int
    max_flow: float

    async def reports(
        self, store: str, house_names: Sequence[str]
    ) -> tuple[list[Report], Reading | None]:
        """A report for each house, by its own time zone and report day; the oldest reading."""
        month = (self.month or (self.now - timedelta(days=32)).date()).replace(day=1)
        begin = datetime(month.year, month.month, 1, tzinfo=UTC)
        house_filter = HouseFilter(house_names)
        readings: dict[int, list[Reading]] = defaultdict(list)
        until = begin + _LONGEST_MONTH if self.month else None
        async for reading in volume_readings(
            self.settings, store, begin - _LONGEST_MONTH, until, self.now
        ):
            if reading in house_filter:
                readings[reading.house_id].append(reading)
        house_filter.raise_if_missing()
        reports = [
            report
            for house_id, house_readings in sorted(readings.items())
            for report in self._house_reports(house_id, house_readings)
        ]
        all_readings = (
            reading for house_readings in readings.values() for reading in house_readings
        )
        return reports, min(all_readings, key=lambda reading: reading.time, default=None)

    def reason_if_empty(self, oldest: Reading | None) -> str:
        """Why there is no report: the period, and the time of the first reading."""
        zone = self.house_zones.zone(oldest.house_id) if oldest else self.house_zones.default
        start, end = self._period(oldest.house_id if oldest else None, zone)
        period = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
        reason = f"No meter was read by the end of {period}, so there is nothing to report"
        if oldest is None:
            return f"{reason}."
        return f"{reason}: the first reading is from {oldest.time.astimezone(zone):%Y-%m-%d %H:%M}."

    def _period(self, house_id: int | None, zone: tzinfo) -> tuple[datetime, datetime]:
        house = self.house_zones.houses.get(house_id) if house_id is not None else None
        day = self.day or (house.report_date if house else None)
        return report_period(self.month or last_report_month(self.now, day, zone), day, zone)

    def _house_reports(self, house_id: int, readings: Sequence[Reading]) -> list[Report]:
        start, end = self._period(house_id, self.house_zones.zone(house_id))
        return report_of(
            readings,
            start,
            end,
            decimals=self.decimals,
            max_flow=self.max_flow,
            now=self.now,
        )


def report_title(report: Report) -> str:
    """The house and the month."""
    house = printable(report.house or f"House {report.house_id}")
    return f"{house}, {report.end - timedelta(days=1):%B %Y}"


def _print_reports(console: "Console", reports: Sequence[Report]) -> None:
    for number, report in enumerate(reports):
        heading = (
            f"{report_title(report)}: {report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M}"
        )
        console.print("\n" * bool(number) + heading, style="bold", markup=False)
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
        console.print()
        console.print(table)
        console.print("\n" * any(meter.notes for meter in report.meters), end="")
        for key, title in titles.items():
            for note in meters[key].notes:
                console.print(f"Note: {title}: {note}.", markup=False)


def _short_time(moment: datetime) -> str:
    """A time without the year, which is in the heading, and without line breaks."""
    return f"{moment:%d %b %H:%M}".replace(" ", "\N{NO-BREAK SPACE}")


def _print_reports_as_csv(reports: Sequence[Report]) -> None:
    def rows() -> Iterator[list[Any]]:
        for report in reports:
            for meter in report.meters:
                values = (getattr(meter, column) for column in _COLUMNS)
                cells = [
                    value.isoformat() if isinstance(value, datetime) else value for value in values
                ]
                house = [report.month, report.house_id, report.house]
                yield [*house, *cells, "; ".join(meter.notes)]

    print_csv(["month", "house_id", "house", *_COLUMNS, "notes"], rows())


def _message(report: Report) -> "Message":
    """A report to send, with the text that is printed."""
    from rich.console import Console  # noqa: PLC0415

    from sst_cloud.notify.mail import Message  # noqa: PLC0415

    buffer = StringIO()
    _print_reports(Console(file=buffer, width=_TEXT_WIDTH, highlight=False), [report])
    text = "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())
    return Message(f"Water meters: {report_title(report)}", f"{text}\n", to_json_value(report))

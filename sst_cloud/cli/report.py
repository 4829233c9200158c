"""`sst-cloud report`: meter readings for the water utility."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from sst_cloud.enums import Water
from sst_cloud.errors import SSTCloudError
from sst_cloud.readings import Reading
from sst_cloud.report import MeterReport, Report, last_report_month, report_period
from sst_cloud.report import report as report_of
from sst_cloud.text import printable

from .account import house_option
from .config import config_option
from .output import add_row, console, json_option, plain, print_json, say, table
from .settings import Settings, state_option, verbose_option
from .stores import YEARS, Places, Wanted, flow_option, store_argument, volumes, zone_option
from .titles import titles
from .usage import csv_option, only_one_form, print_rows

if TYPE_CHECKING:
    from rich.console import Console

    from .sending import Letter, Receiver

_MONTH: Final = timedelta(days=31)
_PAGE: Final = 120
"""Width of a text that is sent."""
_COLUMNS: Final = tuple(field.name for field in attrs.fields(MeterReport) if field.name != "notes")


class Month(click.ParamType[date]):
    """A month as `2026-10`."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The first day of the month."""
        if isinstance(value, date):
            return value
        try:
            month = datetime.strptime(value, "%Y-%m").replace(tzinfo=UTC).date()
        except ValueError:
            month = None
        if month is None or month.year not in YEARS:
            self.fail(f"{value!r} is not a month; write one like 2026-10", param, ctx)
        return month


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
    "receivers",
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
    wanted: tuple[str, ...],
    zone: tzinfo | None,
    max_flow: float,
    receivers: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show the meter readings for the water utility.

    STORE is where the readings are, such as sqlite:home.db. The totals are those at the end of the
    report day, in cubic metres, rounded down. With --send-to, a mail address gets the text (set
    SST_CLOUD_SMTP to the server, such as smtps://me@mail.example.com), a URL gets JSON by POST, and
    a command gets JSON on stdin: an object for each house.
    """
    only_one_form(as_json=as_json, as_csv=as_csv)
    from .sending import receiver_from  # noqa: PLC0415  needs aiohttp

    to = [receiver_from(receiver, settings) for receiver in receivers]
    places = Places.known(settings.state, zone)
    now = settings.clock.now()
    maker = _Maker(settings, places, now, month, day, decimals, max_flow)
    reports, oldest = asyncio.run(maker.reports(store, wanted))
    places.say_if_guessed({report.house_id for report in reports})
    for found in reports:
        if found.end > now:
            say(f"Note: {title(found)}: the report day is not over yet.")
    if as_json:
        print_json(reports)
    elif as_csv:
        _print_csv(reports)
    else:
        _show(console(), reports)
    if not reports:
        say(maker.why_nothing(oldest))
    letters = [_letter(found) for found in reports]
    sent = [_send(receiver, letters) for receiver in to]
    if not all(sent):
        raise click.exceptions.Exit(1)


def _send(receiver: "Receiver", letters: Sequence["Letter"]) -> bool:
    """Whether one receiver got them; an error is printed, and does not affect the others."""
    if not letters:
        return False
    try:
        asyncio.run(receiver.hand_over(letters))
    except (click.ClickException, SSTCloudError) as error:
        say(f"Error: not sent {receiver.name}: {error}")
        return False
    say(f"Sent {receiver.name}.")
    return True


@attrs.frozen
class _Maker:
    settings: Settings
    places: Places
    now: datetime
    month: date | None
    day: int | None
    decimals: int
    max_flow: float

    async def reports(
        self, store: str, wanted: Sequence[str]
    ) -> tuple[list[Report], Reading | None]:
        """A report for each house, by its own time zone and report day; the oldest reading."""
        first = (self.month or (self.now - timedelta(days=32)).date()).replace(day=1)
        begin = datetime(first.year, first.month, 1, tzinfo=UTC)
        houses = Wanted(wanted)
        readings: dict[int, list[Reading]] = defaultdict(list)
        until = begin + _MONTH if self.month else None
        async for reading in volumes(self.settings, store, begin - _MONTH, until, self.now):
            if reading in houses:
                readings[reading.house_id].append(reading)
        houses.complain()
        reports = [
            report
            for house_id, found in sorted(readings.items())
            for report in self._of_house(house_id, found)
        ]
        everything = (reading for found in readings.values() for reading in found)
        return reports, min(everything, key=lambda reading: reading.time, default=None)

    def why_nothing(self, oldest: Reading | None) -> str:
        """Why there is no report: the period, and the time of the first reading."""
        zone = self.places.zone(oldest.house_id) if oldest else self.places.default
        start, end = self._period(oldest.house_id if oldest else None, zone)
        period = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
        words = f"No meter was read by the end of {period}, so there is nothing to report"
        if oldest is None:
            return f"{words}."
        return f"{words}: the first reading is from {oldest.time.astimezone(zone):%Y-%m-%d %H:%M}."

    def _period(self, house_id: int | None, zone: tzinfo) -> tuple[datetime, datetime]:
        house = self.places.houses.get(house_id) if house_id is not None else None
        day = self.day or (house.report_date if house else None)
        return report_period(self.month or last_report_month(self.now, day, zone), day, zone)

    def _of_house(self, house_id: int, readings: Sequence[Reading]) -> list[Report]:
        start, end = self._period(house_id, self.places.zone(house_id))
        return report_of(
            readings,
            start,
            end,
            decimals=self.decimals,
            max_flow=self.max_flow,
            now=self.now,
        )


def title(report: Report) -> str:
    """The house and the month."""
    house = printable(report.house or f"House {report.house_id}")
    return f"{house}, {report.end - timedelta(days=1):%B %Y}"


def _show(out: "Console", reports: Sequence[Report]) -> None:
    for number, report in enumerate(reports):
        heading = f"{title(report)}: {report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M}"
        out.print("\n" * bool(number) + heading, style="bold", markup=False)
        numbers = ("before, m³", "now, m³", "used, m³")
        made = table("meter", "water", numbers[0], "read", numbers[1], "read", numbers[2],
                     right=numbers)  # fmt: skip
        names = titles(report.meters)
        meters = {(meter.device_id, meter.point_id): meter for meter in report.meters}
        for key, name in names.items():
            meter = meters[key]
            add_row(
                made,
                name,
                meter.water,
                meter.first_m3,
                _when(meter.first_time),
                meter.last_m3,
                _when(meter.last_time),
                meter.used_m3,
            )
        waters = {meter.water for meter in report.meters}
        for water, used in ((Water.COLD, report.cold_m3), (Water.HOT, report.hot_m3)):
            if water in waters:
                add_row(made, f"all {water}", water, "", "", "", "", used)
        out.print()
        out.print(made)
        out.print("\n" * any(meter.notes for meter in report.meters), end="")
        for key, name in names.items():
            for note in meters[key].notes:
                out.print(f"Note: {name}: {note}.", markup=False)


def _when(moment: datetime) -> str:
    """Short, without line breaks; the year is in the heading."""
    return f"{moment:%d %b %H:%M}".replace(" ", "\N{NO-BREAK SPACE}")


def _print_csv(reports: Sequence[Report]) -> None:
    def rows() -> Iterator[list[Any]]:
        for report in reports:
            for meter in report.meters:
                values = (getattr(meter, column) for column in _COLUMNS)
                cells = [v.isoformat() if isinstance(v, datetime) else v for v in values]
                house = [report.month, report.house_id, report.house]
                yield [*house, *cells, "; ".join(meter.notes)]

    print_rows(["month", "house_id", "house", *_COLUMNS, "notes"], rows())


def _letter(report: Report) -> "Letter":
    """A report to send: its text is the same as when printed."""
    from rich.console import Console  # noqa: PLC0415

    from .sending import Letter  # noqa: PLC0415

    page = StringIO()
    _show(Console(file=page, width=_PAGE, highlight=False), [report])
    text = "\n".join(line.rstrip() for line in page.getvalue().splitlines())
    return Letter(f"Water meters: {title(report)}", f"{text}\n", plain(report))

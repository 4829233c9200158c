"""`sst-cloud report`: meter readings for the water utility."""

import asyncio
from collections.abc import Sequence
from datetime import date, tzinfo
from typing import TYPE_CHECKING, Final

import attrs
import click

from sst_cloud.cli.config import config_option
from sst_cloud.cli.output import (
    check_one_format,
    csv_option,
    json_option,
    print_csv,
    print_json,
    print_message,
    stdout_console,
)
from sst_cloud.cli.params import Month
from sst_cloud.cli.selection import house_option
from sst_cloud.cli.settings import Settings, state_option, verbose_option
from sst_cloud.cli.store_options import (
    HouseZones,
    flow_option,
    read_store,
    store_argument,
    zone_option,
)
from sst_cloud.errors import SinkOptionsError, SSTCloudError
from sst_cloud.json_values import json_value
from sst_cloud.metering.utility_report import MeterReport, Report, utility_reports

if TYPE_CHECKING:
    from sst_cloud.notify import Receiver

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
    receivers = [_receiver(text, settings) for text in send_to]
    house_zones = HouseZones.from_state_folder(settings.state, zone)
    now = settings.clock.now()
    result = read_store(
        settings,
        store,
        lambda history: utility_reports(
            history,
            month=month,
            day=day,
            days=house_zones.days,
            zone=house_zones.default,
            zones=house_zones.zones,
            houses=house_names,
            decimals=decimals,
            max_flow=max_flow,
            now=now,
        ),
    )
    reports = result.reports
    house_zones.warn_if_zone_guessed({report.house_id for report in reports})
    for house_report in reports:
        if house_report.end > now:
            print_message(f"Note: {house_report.title}: the report day is not over yet.")
    if as_json:
        print_json(reports)
    elif as_csv:
        _print_reports_as_csv(reports)
    else:
        _print_reports(reports)
    if not reports:
        print_message(result.reason)
    successes = [_send(receiver, reports) for receiver in receivers]
    if not all(successes):
        raise click.exceptions.Exit(1)


def _receiver(text: str, settings: Settings) -> "Receiver":
    from sst_cloud.notify import receiver_from  # noqa: PLC0415  needs aiohttp

    try:
        return receiver_from(
            text,
            secrets=settings.secrets,
            env=settings.handler_env,
            withheld=settings.withheld_secrets,
            clock=settings.clock,
        )
    except SinkOptionsError as error:
        raise click.UsageError(f"--send-to: {error}") from None


def _send(receiver: "Receiver", reports: Sequence[Report]) -> bool:
    """Send reports to one receiver; prints an error, and returns whether it got them."""
    from sst_cloud.notify import report_message  # noqa: PLC0415

    if not reports:
        return False
    try:
        asyncio.run(receiver.send([report_message(report) for report in reports]))
    except SSTCloudError as error:
        print_message(f"Error: not sent {receiver.name}: {error}")
        return False
    print_message(f"Sent {receiver.name}.")
    return True


def _print_reports(reports: Sequence[Report]) -> None:
    from sst_cloud.display.terminal import ReportTable  # noqa: PLC0415  needs rich

    console = stdout_console()
    for number, report in enumerate(reports):
        if number:
            console.print()
        console.print(ReportTable(report))


def _print_reports_as_csv(reports: Sequence[Report]) -> None:
    rows = (
        [
            *(report.month, report.house_id, report.house),
            *(json_value(getattr(meter, column)) for column in _COLUMNS),
            "; ".join(meter.notes),
        ]
        for report in reports
        for meter in report.meters
    )
    print_csv(["month", "house_id", "house", *_COLUMNS, "notes"], rows)

"""`sst-cloud usage`: water usage from the readings in a store."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

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
from sst_cloud.cli.params import Duration, Moment, format_duration
from sst_cloud.cli.selection import house_option
from sst_cloud.cli.settings import Settings, state_option, verbose_option
from sst_cloud.cli.store_options import (
    HouseZones,
    flow_option,
    read_store,
    store_argument,
    zone_option,
)
from sst_cloud.cli.time_range import LAST_HELP, TimeRange, local_time
from sst_cloud.enums import Water
from sst_cloud.json_values import json_value
from sst_cloud.metering.stored_usage import stored_usage
from sst_cloud.metering.usage import GAP, Period, Usage

_COLUMNS: Final = tuple(field.name for field in attrs.fields(Usage) if field.name != "breaks")


@click.command()
@store_argument
@click.option("--from", "since", type=Moment(), help="For example 2026-11 or 2026-11-23T17:20.")
@click.option("--to", "until", type=Moment(end=True), help="A month or a day is included in full.")
@click.option("--last", type=Duration(), help=LAST_HELP)
@click.option(
    "--by",
    type=click.Choice(["hour", "day", "week", "month"]),
    default="day",
    show_default=True,
    help="Weeks start on Monday.",
)
@click.option(
    "--water", type=click.Choice([water.value for water in Water]), help="Only hot or cold water."
)
@house_option
@zone_option
@config_option
@state_option
@flow_option
@click.option(
    "--gap",
    type=Duration(),
    default=format_duration(GAP),
    show_default=True,
    help="Readings further apart than this leave a gap.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw a picture instead: .png, .svg or .pdf.",
)
@json_option
@csv_option
@verbose_option
@click.pass_obj
def usage(  # noqa: PLR0913  one per option
    settings: Settings,
    *,
    store: str,
    since: datetime | None,
    until: datetime | None,
    last: timedelta | None,
    by: Period,
    water: str | None,
    house_names: tuple[str, ...],
    zone: tzinfo | None,
    max_flow: float,  # litres per hour
    gap: timedelta,
    plot: Path | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show water usage by hour, day, week or month, in litres.

    STORE is where the readings are, such as sqlite:home.db. Days follow each house's time zone.
    """
    check_one_format(as_json=as_json, as_csv=as_csv)
    if plot is not None:
        from sst_cloud.display.plot import check_plot  # noqa: PLC0415  needs matplotlib

        with _plot_errors(click.UsageError):
            check_plot(plot)
    house_zones = HouseZones.from_state_folder(settings.state, zone)
    now = settings.clock.now()
    time_range = TimeRange.from_options(
        since,
        until,
        last,
        by=by,
        now=local_time(now, house_zones.default),
        unlimited=as_json or as_csv or plot is not None,
    )
    result = read_store(
        settings,
        store,
        lambda history: stored_usage(
            history,
            by=by,
            zone=house_zones.default,
            zones=house_zones.zones,
            since=time_range.since,
            until=time_range.until,
            houses=house_names,
            water=water,
            gap=gap,
            max_flow=max_flow,
            now=now,
        ),
    )
    usages = result.usages
    house_zones.warn_if_zone_guessed({usage.house_id for usage in usages})
    if plot is not None:
        from sst_cloud.display.plot import draw  # noqa: PLC0415

        with _plot_errors(click.ClickException):
            draw(usages, by, plot)
        print_message(f"Saved {plot}.")
    if as_json:
        print_json(usages)
    elif as_csv:
        _print_usages_as_csv(usages)
    elif not usages:
        print_message(time_range.reason_if_empty(now, result.oldest) or result.reason)
    elif plot is None:
        from sst_cloud.display.terminal import UsageTable  # noqa: PLC0415  needs rich

        console, table = stdout_console(), UsageTable(usages, by, gap)
        if not table.has_all_meters(console):
            meters = len({usage.meter for usage in usages})
            print_message(f"Note: {meters} meters do not fit; use --csv to see them all")
        console.print(table, crop=False)
        if time_range.default_length is not None and time_range.starts_after(result.oldest):
            print_message(
                f"Note: showing the last {time_range.default_length.days} days; use --from for more"
            )


@contextmanager
def _plot_errors(error_type: type[click.ClickException]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise click.ClickException(
            f"--plot: {error.filename} cannot be written: {error.strerror}"
        ) from None
    except ModuleNotFoundError as error:
        raise click.ClickException(f"--plot: {error}") from None
    except ValueError as error:
        raise error_type(f"--plot: {error}") from None


def _print_usages_as_csv(usages: Sequence[Usage]) -> None:
    rows = (
        [*(json_value(getattr(usage, column)) for column in _COLUMNS), len(usage.breaks)]
        for usage in usages
    )
    print_csv([*_COLUMNS, "breaks"], rows)

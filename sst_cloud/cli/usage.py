"""`sst-cloud usage`: water usage from the readings in a store."""

import asyncio
import csv
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

import attrs
import click

from sst_cloud.enums import Water
from sst_cloud.readings import Reading
from sst_cloud.usage import GAP, Period, Tally, Usage

from .account import house_option
from .config import config_option
from .durations import Duration, spell
from .output import json_option, print_json, say
from .settings import Settings, state_option, verbose_option
from .stores import Moment, Places, Wanted, flow_option, store_argument, volumes, zone_option
from .window import LAST_HELP, Window, local

_COLUMNS: Final = tuple(field.name for field in attrs.fields(Usage) if field.name != "breaks")

csv_option: Final = click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")


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
    default=spell(GAP),
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
    wanted: tuple[str, ...],
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
    only_one_form(as_json=as_json, as_csv=as_csv)
    if plot is not None:
        from .plot import check_plot  # noqa: PLC0415  needs matplotlib

        check_plot(plot)
    places = Places.known(settings.state, zone)
    now = settings.clock.now()
    window = Window.of(
        since,
        until,
        last,
        by=by,
        now=local(now, places.default),
        everything=as_json or as_csv or plot is not None,
    )
    tally = Tally(
        by=by,
        zone=places.default,
        zones=places.zones,
        since=window.since,
        until=window.until,
        gap=gap,
        max_flow=max_flow,
    )
    coverage = asyncio.run(_count(settings, store, tally, Wanted(wanted), water))
    uses = tally.usages()
    places.say_if_guessed({use.house_id for use in uses})
    if plot is not None:
        from .plot import draw  # noqa: PLC0415

        draw(uses, by, plot)
        say(f"Saved {plot}.")
    if as_json:
        print_json(uses)
    elif as_csv:
        _print_csv(uses)
    elif not uses:
        say(window.why_nothing(now, coverage.oldest) or coverage.why_nothing())
    elif plot is None:
        from .tables import print_usage  # noqa: PLC0415  needs rich

        print_usage(uses, by, gap)
        if window.last is not None and window.leaves_out(coverage.oldest):
            say(f"Note: showing the last {window.last.days} days; use --from for more")


@attrs.define
class _Seen:
    """The readings seen."""

    oldest: datetime | None = None
    of_meters: Counter[object] = attrs.field(factory=Counter)

    def add(self, reading: Reading) -> None:
        self.oldest = self.oldest or reading.time
        self.of_meters[reading.series] += 1

    def why_nothing(self) -> str:
        most = max(self.of_meters.values(), default=0)
        if most == 0:
            return "There are no readings of such a meter in the store."
        if most == 1:
            return "Only one reading so far; usage needs at least two."
        return "No meter has two readings in that time; usage needs at least two."


async def _count(
    settings: Settings, store: str, tally: Tally, wanted: Wanted, water: str | None
) -> _Seen:
    coverage = _Seen()
    now = settings.clock.now()
    async for reading in volumes(settings, store, tally.since, tally.until, now):
        if reading in wanted and water in (None, reading.water):
            tally.add(reading)
            coverage.add(reading)
    wanted.complain()
    return coverage


def only_one_form(*, as_json: bool, as_csv: bool) -> None:
    """Raise `UsageError` for two output formats at once."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv cannot be combined")


def print_rows(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print as CSV."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _print_csv(uses: Sequence[Usage]) -> None:
    rows = (
        [
            value.isoformat() if isinstance(value, datetime) else value
            for value in (getattr(use, column) for column in _COLUMNS)
        ]
        + [len(use.breaks)]
        for use in uses
    )
    print_rows([*_COLUMNS, "breaks"], rows)

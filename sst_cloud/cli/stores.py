"""What `latest`, `usage` and `report` share: stores, times, and houses."""

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs
import click

from sst_cloud.collector.looking import known_houses
from sst_cloud.errors import OutboxError
from sst_cloud.flow import MAX_FLOW
from sst_cloud.models import House
from sst_cloud.nearest import totals_around
from sst_cloud.readings import Reading
from sst_cloud.sink import CheckedHistory, History, Sink

from .output import say
from .settings import Settings
from .units import LITRES_PER_M3, FiniteRange


class Zone(click.ParamType[tzinfo]):
    """An IANA time zone."""

    name = "zone"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tzinfo:
        """Look up the zone."""
        if isinstance(value, tzinfo):
            return value
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"{value!r} is not a time zone; write one like Europe/Moscow", param, ctx)


_SHAPES: Final[Sequence[tuple[str, str, Callable[[datetime], datetime]]]] = (
    (r"\d{4}", "{}-01-01", lambda start: start.replace(year=start.year + 1)),
    (r"\d{4}-\d\d", "{}-01", lambda start: (start + timedelta(days=32)).replace(day=1)),
    (r"\d{4}-W\d\d", "{}-1", lambda start: start + timedelta(days=7)),
    (r"\d{4}-\d\d-\d\d", "{}", lambda start: start + timedelta(days=1)),
    (r"\d{4}-\d\d-\d\d[T ].+", "{}", lambda start: start),
)
"""Formats of a time: pattern, what it is parsed as, and the end of the period it names."""
YEARS: Final = range(1970, 3000)


@attrs.frozen
class Moment(click.ParamType[datetime]):
    """A year, month, week, day, or date and time in ISO 8601; its start, or its end.

    Without an offset it is local time, and naive: each house has its own time zone.
    """

    end: bool = False
    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Parse a time."""
        if isinstance(value, datetime):
            return value
        for shape, pattern, after in _SHAPES:
            if re.fullmatch(shape, value):
                with suppress(ValueError):
                    start = datetime.fromisoformat(pattern.format(value))
                    if start.year in YEARS:
                        return after(start) if self.end else start
        shown = "2026-11, 2026-11-23 or 2026-11-23T17:20"
        raise click.BadParameter(f"{value!r} is not a time; write one like {shown}", ctx, param)


def _required(ctx: click.Context, _param: click.Parameter, store: str | None) -> str:
    if not store:
        raise click.UsageError("give a store, such as sqlite:home.db, or set SST_CLOUD_STORE", ctx)
    return store


store_argument: Final = click.argument(
    "store", envvar="SST_CLOUD_STORE", required=False, callback=_required
)
zone_option: Final = click.option(
    "--timezone", "zone", type=Zone(), help="Default: each house's own, from the collector."
)
flow_option: Final = click.option(
    "--max-flow",
    type=FiniteRange(min=0, min_open=True),
    default=MAX_FLOW / LITRES_PER_M3,
    show_default=True,
    callback=lambda _ctx, _param, m3: m3 * LITRES_PER_M3,
    help="Flow limit of the pipe in m³/h: a faster rise is not counted.",
)


@attrs.frozen
class Places:
    """The houses a collector of this machine has seen, and their time zones."""

    houses: Mapping[int, House]
    zones: Mapping[int, tzinfo]
    """Empty if a zone was given, which then applies to all."""
    default: tzinfo
    given: bool

    @classmethod
    def known(cls, state: Path, zone: tzinfo | None) -> "Places":
        """The houses as last seen by the collector with this state folder."""
        try:
            houses = {house.id: house for house in known_houses(state)}
        except OutboxError:  # reporting its problems is up to the collector
            houses = {}
        if zone is not None:
            return cls(houses, {}, zone, given=True)
        zones = {id_: zone for id_, house in houses.items() if (zone := house.zone)}
        return cls(houses, zones, _zone_of_this_machine(), given=False)

    def zone(self, house_id: int) -> tzinfo:
        """The time zone of a house."""
        return self.zones.get(house_id, self.default)

    def say_if_guessed(self, house_ids: set[int]) -> None:
        """Print to stderr if this machine's time zone is used for some house."""
        if not self.given and not house_ids.issubset(self.zones):
            say(f"Note: using this machine's time zone, {self.default}; change it with --timezone")


def _zone_of_this_machine() -> tzinfo:
    import tzlocal  # noqa: PLC0415  only needed if a house's zone is unknown

    try:
        return tzlocal.reload_localzone()  # not the cached one
    except (ZoneInfoNotFoundError, ValueError, OSError):  # conflicting settings
        return UTC


@attrs.define
class Wanted:
    """Filters readings by house, and remembers the houses seen."""

    names: Sequence[str]
    """Names and ids; empty for all."""
    seen: dict[int, str] = attrs.field(factory=dict, init=False)

    def __contains__(self, reading: Reading) -> bool:
        """Whether a reading is from a house that was asked for."""
        self.seen[reading.house_id] = reading.house
        return not self.names or bool({reading.house, str(reading.house_id)} & set(self.names))

    def complain(self) -> None:
        """Raise `ClickException` if a house that was asked for was never seen."""
        there = {*self.seen.values(), *map(str, self.seen)}
        for name in self.names:
            if name not in there:
                known = ", ".join(f"{house} ({id_})" for id_, house in self.seen.items()) or "none"
                raise click.ClickException(
                    f"there are no readings of a house {name!r} in that time, only of: {known}"
                )


_SLACK: Final = timedelta(days=2)
"""More than local time in any unknown zone can be off."""
_AHEAD: Final = timedelta(days=1)
"""Readings dated further than this in the future were stored while a clock was wrong."""


async def volumes(
    settings: Settings, store: str, since: datetime | None, until: datetime | None, now: datetime
) -> AsyncIterator[Reading]:
    """The totals of the meters between two moments, with each meter's nearest before and after.

    They are oldest first per meter. Readings dated in the future are skipped, with a note.
    """
    first = None if since is None else utc(since) - _SLACK
    last = None if until is None else utc(until) + _SLACK
    limit = now + _AHEAD
    ahead: list[datetime] = []
    async with settings.open_sink(store) as sink:
        past = await history(sink, store)
        async for reading in totals_around(past, first, last, limit):
            if reading.time > limit:
                ahead.append(reading.time)
            else:
                yield reading
    if ahead:
        are = "1 reading is" if len(ahead) == 1 else f"{len(ahead)} readings are"
        day = f"{'up to ' * (len(ahead) > 1)}{ahead[-1]:%Y-%m-%d}"
        say(f"Note: {are} dated in the future ({day}) and skipped; was a clock wrong?")


def utc(moment: datetime) -> datetime:
    """In UTC; local time in an unknown zone may be off, but by less than any margin here."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


async def history(sink: Sink, store: str) -> History:
    """The sink, if it can be read and has something to read. Raises `ClickException`."""
    if not isinstance(sink, History):
        scheme = store.partition(":")[0]
        raise click.ClickException(f"the {scheme} sink can only be written to, not read")
    if isinstance(sink, CheckedHistory):
        await sink.check_readable()
    return sink

"""What `latest`, `usage` and `report` share: stores, times, and houses."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs
import click

from sst_cloud.collector.looking import known_houses
from sst_cloud.enums import Quality, Quantity
from sst_cloud.errors import OutboxError
from sst_cloud.flow import MAX_FLOW, REFRESH
from sst_cloud.models import House
from sst_cloud.readings import Reading
from sst_cloud.sink import CheckedHistory, History, Sink, open_sink
from sst_cloud.totals import only_repeats

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
            click.echo(
                f"Note: using this machine's time zone, {self.default}; change it with --timezone",
                err=True,
            )


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
_FURTHER: Final = (timedelta(days=7), timedelta(days=100), None)
"""How far to search for the nearest totals, in steps; None means everything."""
_ENOUGH: Final = 4
"""Successive totals, an update of the cloud apart, needed to recognise a glitch."""


async def volumes(
    store: str, since: datetime | None, until: datetime | None, now: datetime
) -> AsyncIterator[Reading]:
    """The totals of the meters between two moments, with each meter's nearest before and after.

    They are oldest first per meter. Readings dated in the future are skipped, with a note.
    """
    first = None if since is None else utc(since) - _SLACK
    last = None if until is None else utc(until) + _SLACK
    limit = now + _AHEAD
    ahead: list[datetime] = []
    async with open_sink(store) as sink:
        past = await history(sink, store)
        newest = () if first is last is None else await past.latest()
        meters = [reading for reading in newest if reading.quantity is Quantity.VOLUME]
        if first is not None:
            for reading in await _before(past, first, meters):
                yield reading
        async for reading in past.read(Quantity.VOLUME, first, last):
            if reading.time > limit:
                ahead.append(reading.time)
            else:
                yield reading
        if last is not None and last < limit:
            async for reading in _after(past, last, limit, meters):
                yield reading
    if ahead:
        are = "1 reading is" if len(ahead) == 1 else f"{len(ahead)} readings are"
        day = f"{'up to ' * (len(ahead) > 1)}{ahead[-1]:%Y-%m-%d}"
        click.echo(
            f"Note: {are} dated in the future ({day}) and skipped; was a clock wrong?", err=True
        )


async def _before(past: History, moment: datetime, meters: Sequence[Reading]) -> list[Reading]:
    """The newest totals of each meter before a moment. `meters` are the very last ones."""
    found: dict[object, list[Reading]] = {}
    until: datetime | None = moment
    for further in _FURTHER:
        since = moment - further if further else None
        rows: dict[object, list[Reading]] = defaultdict(list)
        async for reading in past.read(Quantity.VOLUME, since, until):
            row = rows[reading.series]
            if not _tells(row, reading):
                continue
            if row[1:] and row[-1].time - row[-2].time < REFRESH:
                row.pop()
            row.append(reading)
            del row[:-_ENOUGH]
        for series, row in rows.items():
            if not _settled(found.get(series, ())):
                found[series] = row + found.get(series, [])
        for last in meters:  # meters that are gone
            if last.time < moment and last.quality is Quality.GOOD:
                found.setdefault(last.series, [last])
        if all(_settled(found.get(last.series, ())) for last in meters):
            break
        until = since
    return sorted((r for row in found.values() for r in row), key=lambda reading: reading.time)


async def _after(
    past: History, moment: datetime, limit: datetime, meters: Sequence[Reading]
) -> AsyncIterator[Reading]:
    """The oldest totals of each meter from a moment on. `meters` are the very last ones."""
    rows: dict[object, list[Reading]] = {last.series: [] for last in meters if last.time >= moment}
    since = moment
    for further in _FURTHER:
        until = min(moment + further, limit) if further else limit
        async for reading in past.read(Quantity.VOLUME, since, until):
            row = rows.setdefault(reading.series, [])
            apart = not row or reading.time - row[-1].time >= REFRESH
            if len(row) < _ENOUGH and apart and _tells(row, reading):
                row.append(reading)
                yield reading
                if all(len(row) == _ENOUGH for row in rows.values()):
                    return
        if all(map(_settled, rows.values())):
            return
        since = until


def _tells(row: Sequence[Reading], reading: Reading) -> bool:
    """Whether a total adds information to a series."""
    suspect = reading.quality is Quality.SUSPECT
    return not suspect and not (row and only_repeats(row[-1], reading))


def _settled(row: Sequence[Reading]) -> bool:
    """Whether a meter was actually read, rather than repeated for a silent module."""
    good = any(reading.quality is Quality.GOOD for reading in row)
    return good or len({reading.value for reading in row}) > 1


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

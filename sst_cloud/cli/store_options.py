"""What `latest`, `usage` and `report` share: stores, time zones, and houses."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfoNotFoundError

import attrs
import click

from sst_cloud.errors import OutboxError
from sst_cloud.metering.bracketing import totals_around, utc
from sst_cloud.metering.plausibility import MAX_FLOW
from sst_cloud.models import House
from sst_cloud.outbox.state_folder import known_houses
from sst_cloud.readings import Reading
from sst_cloud.sink import CheckedHistory, History, Sink

from .output import print_message
from .params import LITRES_PER_M3, FiniteRange, Zone
from .settings import Settings


def _require_store(ctx: click.Context, _param: click.Parameter, store: str | None) -> str:
    if not store:
        raise click.UsageError("give a store, such as sqlite:home.db, or set SST_CLOUD_STORE", ctx)
    return store


store_argument: Final = click.argument(
    "store", envvar="SST_CLOUD_STORE", required=False, callback=_require_store
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
class HouseZones:
    """The houses in the collector's state folder, and their time zones."""

    houses: Mapping[int, House]
    zones: Mapping[int, tzinfo]
    """Empty if `default` applies to all houses."""
    default: tzinfo
    from_option: bool
    """Whether `default` is from `--timezone`."""

    @classmethod
    def from_state_folder(cls, state: Path, zone: tzinfo | None) -> "HouseZones":
        """The houses that the collector with this state folder last read."""
        try:
            houses = {house.id: house for house in known_houses(state)}
        except OutboxError:  # the collector reports its problems
            houses = {}
        if zone is not None:
            return cls(houses, {}, zone, from_option=True)
        zones = {id_: zone for id_, house in houses.items() if (zone := house.zone)}
        return cls(houses, zones, _zone_of_this_machine(), from_option=False)

    def zone(self, house_id: int) -> tzinfo:
        """The time zone of a house."""
        return self.zones.get(house_id, self.default)

    def warn_if_zone_guessed(self, house_ids: set[int]) -> None:
        """Print to stderr if this machine's time zone is used for some house."""
        if not self.from_option and not house_ids.issubset(self.zones):
            print_message(
                f"Note: using this machine's time zone, {self.default}; change it with --timezone"
            )


def _zone_of_this_machine() -> tzinfo:
    import tzlocal  # noqa: PLC0415  only needed if a house's zone is unknown

    try:
        return tzlocal.reload_localzone()  # not the cached one
    except (ZoneInfoNotFoundError, ValueError, OSError):  # conflicting settings
        return UTC


@attrs.define
class HouseFilter:
    """Filters readings by house, and notes all their houses."""

    names: Sequence[str]
    """Names and ids; empty for all."""
    houses: dict[int, str] = attrs.field(factory=dict, init=False)
    """Id → name of the houses of all readings."""

    def __contains__(self, reading: Reading) -> bool:
        """Whether a reading is from one of the named houses."""
        self.houses[reading.house_id] = reading.house
        return not self.names or bool({reading.house, str(reading.house_id)} & set(self.names))

    def raise_if_missing(self) -> None:
        """Raise `ClickException` if a named house has no readings."""
        house_names = {*self.houses.values(), *map(str, self.houses)}
        for name in self.names:
            if name not in house_names:
                listing = (
                    ", ".join(f"{house} ({id_})" for id_, house in self.houses.items()) or "none"
                )
                raise click.ClickException(
                    f"there are no readings of a house {name!r} in that time, only of: {listing}"
                )


_ZONE_MARGIN: Final = timedelta(days=2)
"""More than local times of two zones can differ."""
_MAX_AHEAD: Final = timedelta(days=1)
"""Readings dated further than this in the future were stored while a clock was wrong."""


async def volume_readings(
    settings: Settings, store: str, since: datetime | None, until: datetime | None, now: datetime
) -> AsyncIterator[Reading]:
    """The meters' totals between two moments, and the nearest before and after, oldest first.

    The order is per meter. Readings dated in the future are skipped, with a note.
    """
    first = None if since is None else utc(since) - _ZONE_MARGIN
    last = None if until is None else utc(until) + _ZONE_MARGIN
    limit = now + _MAX_AHEAD
    future_times: list[datetime] = []
    async with settings.open_sink(store) as sink:
        readable = await require_history(sink, store)
        async for reading in totals_around(readable, first, last, limit):
            if reading.time > limit:
                future_times.append(reading.time)
            else:
                yield reading
    if future_times:
        subject = "1 reading is" if len(future_times) == 1 else f"{len(future_times)} readings are"
        day = f"{'up to ' * (len(future_times) > 1)}{future_times[-1]:%Y-%m-%d}"
        print_message(
            f"Note: {subject} dated in the future ({day}) and skipped; was a clock wrong?"
        )


async def require_history(sink: Sink, store: str) -> History:
    """The sink, for reading. Raises `ClickException` if it cannot be read."""
    if not isinstance(sink, History):
        scheme = store.partition(":")[0]
        raise click.ClickException(f"the {scheme} sink can only be written to, not read")
    if isinstance(sink, CheckedHistory):
        await sink.check_readable()
    return sink

"""What `latest`, `usage` and `report` share: stores, time zones, and houses."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final, TypeVar
from zoneinfo import ZoneInfoNotFoundError

import attrs
import click

from sst_cloud.errors import OutboxError
from sst_cloud.metering.plausibility import MAX_FLOW
from sst_cloud.outbox.state_folder import known_houses
from sst_cloud.sink import History

from .output import print_message
from .params import LITRES_PER_M3, FiniteRange, Zone
from .settings import Settings

T = TypeVar("T")


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


def read_store(settings: Settings, store: str, read: Callable[[History], Awaitable[T]]) -> T:
    """What a function reads from a store."""

    async def opened() -> T:
        async with settings.open_history(store) as history:
            return await read(history)

    return asyncio.run(opened())


@attrs.frozen
class HouseZones:
    """Time zones and report days of the houses in the collector's state folder, by house id."""

    days: Mapping[int, int]
    zones: Mapping[int, tzinfo]
    """Empty if `default` applies to all houses."""
    default: tzinfo
    from_option: bool
    """Whether `default` is from `--timezone`."""

    @classmethod
    def from_state_folder(cls, state: Path, zone: tzinfo | None) -> "HouseZones":
        """The houses that the collector with this state folder last read."""
        try:
            houses = known_houses(state)
        except OutboxError:  # the collector reports its problems
            houses = ()
        days = {house.id: house.report_date for house in houses if house.report_date}
        if zone is not None:
            return cls(days, {}, zone, from_option=True)
        zones = {house.id: zone for house in houses if (zone := house.zone)}
        return cls(days, zones, _zone_of_this_machine(), from_option=False)

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

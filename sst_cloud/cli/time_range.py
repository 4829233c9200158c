"""The time range of `usage`: from `--from`, `--to` and `--last`, or a default."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Final

import attrs
import click

from sst_cloud.metering.bracketing import utc
from sst_cloud.metering.usage import Period, start_of_last

LAST_HELP: Final = (
    "Only this long before --to, or before now, such as 7d or 4w. "
    "Default for the table: 31d by day, 2d by hour."
)
_DEFAULT_LENGTHS: Final[Mapping[Period, timedelta]] = {
    "hour": timedelta(days=2),
    "day": timedelta(days=31),
}
_MAX_UTC_OFFSET: Final = timedelta(hours=14)


@attrs.frozen
class TimeRange:
    """Start and end; local time if they have no time zone."""

    since: datetime | None
    until: datetime | None
    default_length: timedelta | None = None
    """The length, if no option sets it."""

    @classmethod
    def from_options(  # noqa: PLR0913  three options and their context
        cls,
        since: datetime | None,
        until: datetime | None,
        last: timedelta | None,
        *,
        by: Period,
        now: datetime,
        unlimited: bool,
    ) -> "TimeRange":
        """From the options; by default all readings if `unlimited`, else what fits on a screen."""
        if last is not None and since is not None:
            raise click.UsageError("--from and --last cannot be combined")
        if since is not None and until is not None and _is_after(since, until):
            raise click.UsageError("--from is after --to")
        if last is not None:
            return cls(start_of_last(last, by, until or now), until)
        default_length = _DEFAULT_LENGTHS.get(by)
        if since is not None or until is not None or unlimited or default_length is None:
            return cls(since, until)
        return cls(start_of_last(default_length, by, now), None, default_length)

    def starts_after(self, moment: datetime | None) -> bool:
        """Whether the range starts after a moment."""
        return self.since is not None and moment is not None and utc(self.since) > moment

    def reason_if_empty(self, now: datetime, oldest: datetime | None) -> str | None:
        """Why the range has no readings, if known; `oldest` is the time of the first one."""
        if self.since is not None and _is_after(self.since, now):
            return "--from is in the future, so there are no readings yet."
        if self.default_length is not None and self.starts_after(oldest):
            days = self.default_length.days
            return f"There are no readings in the last {days} days; use --from for more."
        return None


def local_time(now: datetime, zone: tzinfo) -> datetime:
    """The local time in a zone, without the zone, as houses may have other zones."""
    return now.astimezone(zone).replace(tzinfo=None)


def _is_after(moment: datetime, other: datetime) -> bool:
    """Whether a moment is after another, whatever zone a time without a zone is in."""
    comparable = (moment.tzinfo is None) == (other.tzinfo is None)
    return utc(moment) - utc(other) >= (timedelta(0) if comparable else _MAX_UTC_OFFSET)

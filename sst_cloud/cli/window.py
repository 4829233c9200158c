"""The time range of `usage`: from `--from`, `--to` and `--last`, or a default."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Final

import attrs
import click

from sst_cloud.usage import Period

from .stores import utc

LAST_HELP: Final = (
    "Only this long before --to, or before now, such as 7d or 4w. "
    "Default for the table: 31d by day, 2d by hour."
)
_LAST: Final[Mapping[Period, timedelta]] = {"hour": timedelta(days=2), "day": timedelta(days=31)}
_LENGTHS: Final[Mapping[Period, timedelta]] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=28),
}
_OFF_BY: Final = timedelta(hours=14)
"""The largest UTC offset."""


@attrs.frozen
class Window:
    """Start and end; without a time zone they are local time."""

    since: datetime | None
    until: datetime | None
    last: timedelta | None = None
    """The length, if it was chosen by default."""

    @classmethod
    def of(  # noqa: PLR0913  three options, and what they mean
        cls,
        since: datetime | None,
        until: datetime | None,
        last: timedelta | None,
        *,
        by: Period,
        now: datetime,
        everything: bool,
    ) -> "Window":
        """From the options; by default, `everything` or as much as a screen can show."""
        if last is not None and since is not None:
            raise click.UsageError("--from and --last cannot be combined")
        if since is not None and until is not None and _is_after(since, until):
            raise click.UsageError("--from is after --to")
        if last is not None:
            return cls(_beginning(until or now, last, by), until)
        chosen = _LAST.get(by)
        if since is not None or until is not None or everything or chosen is None:
            return cls(since, until)
        return cls(_beginning(now, chosen, by), None, chosen)

    def leaves_out(self, moment: datetime | None) -> bool:
        """Whether a moment lies before it."""
        return self.since is not None and moment is not None and utc(self.since) > moment

    def why_nothing(self, now: datetime, oldest: datetime | None) -> str | None:
        """Why it is empty, if because of the times; `oldest` is the time of the first reading."""
        if self.since is not None and _is_after(self.since, now):
            return "--from is in the future, so there are no readings yet."
        if self.last is not None and self.leaves_out(oldest):
            return f"There are no readings in the last {self.last.days} days; use --from for more."
        return None


def local(now: datetime, zone: tzinfo) -> datetime:
    """The local time, for whatever zone each house has."""
    return now.astimezone(zone).replace(tzinfo=None)


def _is_after(one: datetime, other: datetime) -> bool:
    """Whether it certainly is: local time in an unknown zone may be off by hours."""
    comparable = (one.tzinfo is None) == (other.tzinfo is None)
    return utc(one) - utc(other) >= (timedelta(0) if comparable else _OFF_BY)


def _beginning(end: datetime, last: timedelta, by: Period) -> datetime:
    """The start of the range: `last` before the end, rounded to whole periods."""
    inside = end - timedelta(microseconds=1) - max(timedelta(0), last - _LENGTHS[by])
    hour = inside.replace(minute=0, second=0, microsecond=0)
    if by == "hour":
        return hour
    days = {"day": 0, "week": hour.weekday(), "month": hour.day - 1}[by]
    return hour.replace(hour=0) - timedelta(days=days)

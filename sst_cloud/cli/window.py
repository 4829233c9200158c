"""Which time `usage` looks at: what `--from`, `--to` and `--last` say, or a good part of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Final

import attrs
import click

from sst_cloud.usage import Period

from .stores import utc

LAST_HELP: Final = (
    "Only so much before --to, or before now, such as 7d or 4w. "
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
"""The most that local time differs from UTC."""


@attrs.frozen
class Window:
    """From when to when; without a time zone it is local time."""

    since: datetime | None
    until: datetime | None
    last: timedelta | None = None
    """How much of it was chosen for whom nobody told."""

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
        """As options say; if they say nothing, `everything` or what a screen can show."""
        if last is not None and since is not None:
            raise click.UsageError("--from and --last exclude each other")
        if since is not None and until is not None and _is_after(since, until):
            raise click.UsageError("--from is after --to")
        if last is not None:
            return cls(_beginning(until or now, last, by), until)
        chosen = _LAST.get(by)
        if since is not None or until is not None or everything or chosen is None:
            return cls(since, until)
        return cls(_beginning(now, chosen, by), None, chosen)

    def leaves_out(self, moment: datetime | None) -> bool:
        """Whether what was read at a moment lies before it."""
        return self.since is not None and moment is not None and utc(self.since) > moment

    def why_nothing(self, now: datetime, oldest: datetime | None) -> str | None:
        """Why nothing is in it, if the times are why; `oldest` is when there was a reading."""
        if self.since is not None and _is_after(self.since, now):
            return "--from lies in the future, so nothing can be said."
        if self.last is not None and self.leaves_out(oldest):
            return f"Nothing is stored of the last {self.last.days} days; --from shows more."
        return None


def local(now: datetime, zone: tzinfo) -> datetime:
    """The time on the wall, for whichever zone each house has."""
    return now.astimezone(zone).replace(tzinfo=None)


def _is_after(one: datetime, other: datetime) -> bool:
    """For certain: local time of nobody knows whom may be off by hours."""
    comparable = (one.tzinfo is None) == (other.tzinfo is None)
    return utc(one) - utc(other) >= (timedelta(0) if comparable else _OFF_BY)


def _beginning(end: datetime, last: timedelta, by: Period) -> datetime:
    """The beginning of the first of so many periods, of which the end lies in the last."""
    inside = end - timedelta(microseconds=1) - max(timedelta(0), last - _LENGTHS[by])
    hour = inside.replace(minute=0, second=0, microsecond=0)
    if by == "hour":
        return hour
    days = {"day": 0, "week": hour.weekday(), "month": hour.day - 1}[by]
    return hour.replace(hour=0) - timedelta(days=days)

"""A house and its calendar of workdays and days off."""

from datetime import datetime, tzinfo
from functools import lru_cache

from ._base import Entity, model


@model
class Workdays(Entity):
    """Which days are workdays. Weekdays are numbered from 0 = Monday."""

    id: int | None = None
    house_id: int | None = None
    current_day: str | None = None
    """`vacation`, or presumably `workday`."""
    workdays_count: int | None = None
    vacations_count: int | None = None
    current_week: int | None = None
    is_custom: bool | None = None
    vacations: tuple[int, ...] = ()
    """Weekdays that are days off."""
    start_day: int | None = None
    start_date: str | None = None
    next_workday: str | None = None
    next_vacation: str | None = None


@model
class House(Entity):
    """A house, flat or other place with devices."""

    id: int
    name: str = ""
    timezone: str | None = None
    """IANA name, such as `Europe/Moscow`."""
    workdays: Workdays | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    uid: str | None = None
    in_home: bool | None = None
    behaviour: str | None = None
    close_valves: int | None = None
    """Meaning unknown; 2 has been seen."""
    report_date: int | None = None
    """Presumably the day of the month on which the meters are reported."""
    owner: str | None = None
    """The owner's e-mail."""
    users: tuple[int, ...] = ()

    @property
    def zone(self) -> tzinfo | None:
        """The time zone; None if it is missing or unknown here."""
        return _zone(self.timezone) if self.timezone else None


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo | None:
    """Cached, as Python looks through several folders for a name that is unknown."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415  rarely needed

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None

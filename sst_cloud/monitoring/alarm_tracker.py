"""Alarms: each is reported once when it starts and once when it is over."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Self

import attrs

from sst_cloud.readings import Reading
from sst_cloud.wording import device_in_words, point_in_words

from .events import Event, EventKind

_MESSAGES: Final = {
    EventKind.LEAK: ("Leak", "The leak is over"),
    EventKind.SENSOR_LOST: ("A sensor is lost", "The sensor is back"),
    EventKind.VALVE_CLOSED: ("The valves have closed", "The valves are open again"),
    EventKind.BATTERY_LOW: ("The battery is low", "The battery is good again"),
    EventKind.DEVICE_STALE: ("The device has stopped reporting", "The device reports again"),
    EventKind.NO_READINGS: ("There are no readings", "There are readings again"),
}
"""How the message begins when an alarm starts, and when it is over."""

PlaceId = tuple[int | None, int | None, str | None, str | None]
"""House, device, point, point id; None where they do not apply."""

ActiveSince = Mapping[tuple[EventKind, PlaceId], datetime | None]
"""When an alarm started; None if it is known not to be active."""


@attrs.frozen
class Place:
    """What an alarm is about, as ids and in words."""

    place_id: PlaceId
    in_words: str
    house: str | None = None
    device: str | None = None
    name: str | None = None

    @classmethod
    def whole_source(cls, name: str) -> Self:
        """Everything that a source gives."""
        return cls((None, None, None, None), name)

    @classmethod
    def point(cls, reading: Reading) -> Self:
        """The point of a reading."""
        place_id = (reading.house_id, reading.device_id, reading.point.value, reading.point_id)
        return cls(place_id, point_in_words(reading), reading.house, reading.device, reading.name)

    @classmethod
    def whole_device(cls, house_id: int, device_id: int, house: str, device: str) -> Self:
        """A whole device, with all its points."""
        in_words = device_in_words(house_id, device_id, house, device)
        return cls((house_id, device_id, None, None), in_words, house, device)


class AlarmTracker:
    """The alarms after one poll, and the events they cause."""

    def __init__(self, now: datetime, active_since: ActiveSince) -> None:
        self.now = now
        self.active_since: dict[tuple[EventKind, PlaceId], datetime | None] = dict(active_since)
        self.events: list[Event] = []

    def is_active(self, kind: EventKind, place: Place) -> bool:
        """Whether an alarm has been reported and is not over."""
        return self.active_since.get((kind, place.place_id)) is not None

    def is_known(self, kind: EventKind, place: Place) -> bool:
        """Whether it is known to be active or not."""
        return (kind, place.place_id) in self.active_since

    def set(
        self,
        kind: EventKind,
        place: Place,
        *,
        on: bool,
        stale: bool = False,
        details: Mapping[str, float] | None = None,
    ) -> None:
        """Set an alarm, or clear it. The event at its end has its duration.

        It is `stale` if its device has not reported since.
        """
        since = self.active_since.get((kind, place.place_id))
        self.active_since[kind, place.place_id] = (since or self.now) if on else None
        if on is (since is not None):
            return
        house_id, device_id, point, point_id = place.place_id
        event = Event(
            time=self.now,
            kind=kind,
            over=not on,
            message=f"{_MESSAGES[kind][not on]}{', as last reported' * stale}: {place.in_words}",
            house_id=house_id,
            house=place.house,
            device_id=device_id,
            device=place.device,
            point=point,
            point_id=point_id,
            name=place.name,
            details={
                **(details or {}),
                **({"stale": True} if stale else {}),
                **({"hours": hours(self.now - since)} if since else {}),
            },
        )
        self.events.append(event)


def hours(duration: timedelta) -> float:
    """A duration in hours, never negative, as clocks may be set back."""
    return max(0.0, round(duration / timedelta(hours=1), 1))

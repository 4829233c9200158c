"""Troubles: each is reported once when it starts and once when it is over."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Self

import attrs

from sst_cloud.readings import Reading

from .events import Event, EventKind, device_in_words, point_in_words

_SAID: Final = {
    EventKind.LEAK: ("Leak", "The leak is over"),
    EventKind.SENSOR_LOST: ("A sensor is lost", "The sensor is back"),
    EventKind.VALVE_CLOSED: ("The valves have closed", "The valves are open again"),
    EventKind.BATTERY_LOW: ("The battery is low", "The battery is good again"),
    EventKind.DEVICE_STALE: ("The device has stopped reporting", "The device reports again"),
    EventKind.NO_READINGS: ("There are no readings", "There are readings again"),
}
"""How the message starts when a trouble starts, and when it is over."""

Where = tuple[int | None, int | None, str | None, str | None]
"""House, device, point, point id; None where they do not apply."""

Since = Mapping[tuple[EventKind, Where], datetime | None]
"""When a trouble started; None if all is known to be well."""


@attrs.frozen
class Place:
    """What a trouble is about, as ids and in words."""

    where: Where
    in_words: str
    house: str | None = None
    device: str | None = None
    name: str | None = None

    @classmethod
    def point(cls, reading: Reading) -> Self:
        """The point of a reading."""
        where = (reading.house_id, reading.device_id, reading.point.value, reading.point_id)
        return cls(where, point_in_words(reading), reading.house, reading.device, reading.name)

    @classmethod
    def whole_device(cls, house_id: int, device_id: int, house: str, device: str) -> Self:
        """A whole device, with all its points."""
        words = device_in_words(house_id, device_id, house, device)
        return cls((house_id, device_id, None, None), words, house, device)


EVERYWHERE: Final = Place((None, None, None, None), "the whole account")


class Troubles:
    """The troubles after one poll, and the events they cause."""

    def __init__(self, now: datetime, since: Since) -> None:
        self.now = now
        self.since: dict[tuple[EventKind, Where], datetime | None] = dict(since)
        self.events: list[Event] = []

    def lasts(self, kind: EventKind, place: Place) -> bool:
        """Whether a trouble has been reported and is not over."""
        return self.since.get((kind, place.where)) is not None

    def known(self, kind: EventKind, place: Place) -> bool:
        """Whether its state is known, good or bad."""
        return (kind, place.where) in self.since

    def say(
        self,
        kind: EventKind,
        place: Place,
        *,
        on: bool,
        stale: bool = False,
        details: Mapping[str, float] | None = None,
    ) -> None:
        """Report that a trouble is there, or is not. The event at its end has its duration.

        It is `stale` if it was last reported by a device that has since gone silent.
        """
        since = self.since.get((kind, place.where))
        self.since[kind, place.where] = (since or self.now) if on else None
        if on is (since is not None):
            return
        house_id, device_id, point, point_id = place.where
        event = Event(
            time=self.now,
            kind=kind,
            over=not on,
            message=f"{_SAID[kind][not on]}{', as last reported' * stale}: {place.in_words}",
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


def hours(lasted: timedelta) -> float:
    """A duration in hours, never negative, as clocks may be set back."""
    return max(0.0, round(lasted / timedelta(hours=1), 1))

"""Troubles: each is told once when it begins and once when it is over."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Self

import attrs

from sst_cloud.readings import Reading

from .events import Event, EventKind, device_in_words, point_in_words

_SAID: Final = {
    EventKind.LEAK: ("Leak", "No leak any more"),
    EventKind.SENSOR_LOST: ("A sensor is lost", "The sensor is back"),
    EventKind.VALVE_CLOSED: ("The valves have closed", "The valves are open again"),
    EventKind.BATTERY_LOW: ("The battery is low", "The battery is good again"),
    EventKind.DEVICE_STALE: ("The device has fallen silent", "The device reports again"),
    EventKind.NO_READINGS: ("There are no readings", "There are readings again"),
}
"""How a sentence begins when a trouble does, and when it is over."""

Where = tuple[int | None, int | None, str | None, str | None]
"""House, device, point, id of the point; as much of it as the trouble is about."""

Since = Mapping[tuple[EventKind, Where], datetime | None]
"""Since when a trouble lasts; None where all is known to be well."""


@attrs.frozen
class Place:
    """What a trouble is about, in ids and in words."""

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
        """A device with all its points."""
        words = device_in_words(house_id, device_id, house, device)
        return cls((house_id, device_id, None, None), words, house, device)


EVERYWHERE: Final = Place((None, None, None, None), "the whole account")


class Troubles:
    """The troubles of one poll, and what is new about them."""

    def __init__(self, now: datetime, since: Since) -> None:
        self.now = now
        self.since: dict[tuple[EventKind, Where], datetime | None] = dict(since)
        self.events: list[Event] = []

    def lasts(self, kind: EventKind, place: Place) -> bool:
        """Whether a trouble has been told and is not over."""
        return self.since.get((kind, place.where)) is not None

    def known(self, kind: EventKind, place: Place) -> bool:
        """Whether anything has ever been said of it, good or bad."""
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
        """A trouble is there, or it is not. How long it lasted is told at its end.

        It is `stale` if a device that is silent by now reported it last.
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
    """A duration in hours, never less than none: clocks are set back."""
    return max(0.0, round(lasted / timedelta(hours=1), 1))

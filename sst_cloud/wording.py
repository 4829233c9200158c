"""Readings and their parts in words, and text that is safe for a terminal."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from .models.wireless_sensor import LOW_BATTERY
from .quantities import Quantity
from .readings import Reading


def value_of(reading: Reading) -> str:
    """A value with its unit; meters in cubic metres, as on their dials."""
    if isinstance(reading.value, bool):
        return "yes" if reading.value else "no"
    if reading.quantity.is_total and reading.unit == "L":
        return f"{reading.value / 1000:.3f} m³"
    return f"{reading.value} {reading.unit}".rstrip()


def label_of(reading: Reading) -> str:
    """What is measured: hot or cold water for a meter, otherwise the quantity."""
    return reading.water or quantity_of(reading)


def quantity_of(reading: Reading) -> str:
    """The quantity in words: `air temperature`."""
    return reading.quantity.replace("_", " ")


def point_of(reading: Reading) -> str:
    """The owner's name for the point, or else its kind."""
    kind = reading.point.replace("_", " ")
    return reading.name or (kind if _is_device(reading) else f"{kind} {reading.point_id}")


def problem_of(reading: Reading) -> str | None:
    """A problem that a reading shows, in two words; None if there is none."""
    percent = reading.quantity is Quantity.BATTERY and reading.unit == Quantity.BATTERY.unit
    if percent and reading.value < LOW_BATTERY:
        return f"battery {value_of(reading)}"
    return reading.quantity.problems.get(reading.value)


def count(number: int, noun: str) -> str:
    """A number of things, with a plural in -s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_minute(moment: datetime | None) -> str:
    """A time in UTC, to the minute; empty for None."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%MZ}"


def duration_in_words(duration: timedelta) -> str:
    """An approximate duration in words."""
    seconds = int(duration.total_seconds())
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def age_in_words(moment: datetime | None, now: datetime) -> str:
    """The time since a moment in words; `never` for None."""
    if moment is None:
        return "never"
    if moment > now:
        return f"{duration_in_words(moment - now)} ahead"
    return duration_in_words(now - moment)


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago something was, in words; `never` for None."""
    age = age_in_words(moment, now)
    return age if moment is None or moment > now else f"{age} ago"


_BREAKS: Final = re.compile(r"[\t\n\r]+")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Unicode's control characters, and those that change the writing direction."""


def printable(text: str) -> str:
    """On one line, without characters that a terminal would interpret."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _BREAKS.sub(" ", text))


def point_in_words(reading: Reading) -> str:
    """Where a reading comes from: `Kitchen sink of Bathroom in Flat`."""
    device = device_in_words(reading.house_id, reading.device_id, reading.house, reading.device)
    return device if _is_device(reading) else f"{point_of(reading)} of {device}"


def _is_device(reading: Reading) -> bool:
    """Whether a reading is about the device itself, and not about a part of it."""
    return reading.point_id == reading.point


def device_in_words(house_id: int, device_id: int, house: str, device: str) -> str:
    """A device and its house, by name if they have one: `Bathroom in Flat`."""
    return f"{device or f'device {device_id}'} in {house or f'house {house_id}'}"

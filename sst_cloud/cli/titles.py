"""Unique titles for meters."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from sst_cloud.text import printable


class Meter(Protocol):
    """A meter of a house."""

    @property
    def device_id(self) -> int:
        """The id of its module."""

    @property
    def device(self) -> str:
        """The name of its module."""

    @property
    def point_id(self) -> str:
        """Its own id."""

    @property
    def name(self) -> str | None:
        """The owner's name for it."""


M = TypeVar("M", bound=Meter)

_FORMS: Final[Sequence[Callable[[Meter], str]]] = (
    lambda meter: meter.name or f"{meter.device} {meter.point_id}",
    lambda meter: f"{meter.device} {meter.name or meter.point_id}",
    lambda meter: f"{meter.name or meter.device} {meter.point_id}",
    lambda meter: f"{meter.device} {meter.device_id} {meter.name or ''} {meter.point_id}",
)
"""Each is more specific than the one before."""


def titles(meters: Iterable[M]) -> dict[tuple[int, str], str]:
    """The shortest unique title of each meter of a house, by device and id; in natural order."""
    found = {(meter.device_id, meter.point_id): meter for meter in meters}
    made = dict.fromkeys(sorted(found, key=lambda key: (key[0], natural(key[1]))), "")
    for form in _FORMS:
        often = Counter(made.values())
        for key, title in made.items():
            if often[title] > 1 or not title:
                made[key] = printable(form(found[key]))
    return made


def natural(text: str) -> tuple[str | tuple[int, str], ...]:
    """A key for natural sorting: 9 before 10."""
    parts = re.split(r"([0-9]+)", text)
    return tuple(_number(part) if at % 2 else part for at, part in enumerate(parts))


def _number(digits: str) -> tuple[int, str]:
    """Sorts like the number, which may have more digits than Python converts."""
    digits = digits.lstrip("0")
    return len(digits), digits

"""Unique titles for meters, and their natural order."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from sst_cloud.wording import printable


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

_TITLE_FORMATS: Final[Sequence[Callable[[Meter], str]]] = (
    lambda meter: meter.name or f"{meter.device} {meter.point_id}",
    lambda meter: f"{meter.device} {meter.name or meter.point_id}",
    lambda meter: f"{meter.name or meter.device} {meter.point_id}",
    lambda meter: f"{meter.device} {meter.device_id} {meter.name or ''} {meter.point_id}",
)
"""Each is more specific than the one before."""


def meter_titles(meters: Iterable[M]) -> dict[tuple[int, str], str]:
    """The shortest unique title of each meter of a house, by device and id, naturally sorted."""
    by_id = {(meter.device_id, meter.point_id): meter for meter in meters}
    titles_by_id = dict.fromkeys(sorted(by_id, key=lambda key: (key[0], natural_key(key[1]))), "")
    for title_format in _TITLE_FORMATS:
        counts = Counter(titles_by_id.values())
        for key, title in titles_by_id.items():
            if counts[title] > 1 or not title:
                titles_by_id[key] = printable(title_format(by_id[key]))
    return titles_by_id


def natural_key(text: str) -> tuple[str | tuple[int, str], ...]:
    """A key for natural sorting: 9 before 10."""
    parts = re.split(r"([0-9]+)", text)
    return tuple(_number(part) if index % 2 else part for index, part in enumerate(parts))


def _number(digits: str) -> tuple[int, str]:
    """Sorts like the number, which may have more digits than Python converts."""
    digits = digits.lstrip("0")
    return len(digits), digits

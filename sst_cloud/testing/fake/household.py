"""How much water a realistic household uses: a pure function of time."""

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final

import attrs

EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""Meters count from then on, so that totals do not depend on when they are first read."""

_DAY: Final = timedelta(days=1)
_HOURS: Final = 24
_ON_WORKDAYS: Final = (1, 0, 0, 0, 0, 1, 6, 14, 12, 6, 4, 4, 5, 5, 4, 4, 5, 7, 11, 13, 14, 11, 7, 3)
"""Shares of a day's water by local hour: none at night, peaks in the morning and evening."""
_AT_WEEKENDS: Final = (3, 2, 0, 0, 0, 0, 0, 1, 4, 9, 14, 15, 12, 9, 7, 6, 6, 7, 9, 11, 12, 11, 9, 6)
"""The same for Saturday and Sunday: up late, to bed late, and at home all day."""
_WEEKEND_FACTOR: Final = 1.25
_SATURDAY: Final = 5


@attrs.define
class WaterUse:
    """Water used at one tap. The same `seed` gives the same usage."""

    daily_l: float
    """Litres on an average weekday."""
    seed: int
    utc_offset: timedelta = timedelta(hours=3)
    _totals: list[float] = attrs.field(factory=lambda: [0.0], init=False, repr=False)
    """Litres used before day 0, 1, 2 … since the epoch; extended on demand."""
    _last_day: tuple[int, list[float]] = attrs.field(default=(-1, []), init=False, repr=False)
    """The last day computed, and the litres used by the start of each of its hours."""

    def litres(self, moment: datetime) -> float:
        """Litres used from the epoch until a moment; 0 before it. Never decreases."""
        local = moment + self.utc_offset
        if local <= EPOCH:
            return 0.0
        day, rest = divmod(local - EPOCH, _DAY)
        while len(self._totals) <= day:
            self._totals.append(self._totals[-1] + self._litres_of_day(len(self._totals) - 1))
        if self._last_day[0] != day:
            self._last_day = day, self._by_hour(day)
        by_hour = self._last_day[1]
        hour, fraction = divmod(rest / timedelta(hours=1), 1)
        at_start, at_end = by_hour[int(hour)], by_hour[int(hour) + 1]
        return self._totals[day] + at_start + fraction * (at_end - at_start)

    def _litres_of_day(self, day: int) -> float:
        factor = _WEEKEND_FACTOR if _is_weekend(day) else 1.0
        return self.daily_l * factor * (0.7 + 0.6 * self._random(day, -1))

    def _by_hour(self, day: int) -> list[float]:
        """Litres used since midnight at 0:00, 1:00 … 24:00."""
        hourly_shares = _AT_WEEKENDS if _is_weekend(day) else _ON_WORKDAYS
        shares = [hourly_shares[hour] * (0.4 + self._random(day, hour)) for hour in range(_HOURS)]
        total = self._litres_of_day(day)
        cumulative = accumulate(shares[:-1], initial=0.0)
        return [*(total * share / sum(shares) for share in cumulative), total]

    def _random(self, day: int, hour: int) -> float:
        """A deterministic pseudo-random number in [0, 1)."""
        digest = hashlib.blake2b(f"{self.seed}/{day}/{hour}".encode(), digest_size=4).digest()
        return int.from_bytes(digest) / 2**32


def _is_weekend(day: int) -> bool:
    return (EPOCH + day * _DAY).weekday() >= _SATURDAY

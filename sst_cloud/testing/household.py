"""How much water a realistic household uses: a pure function of time."""

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final

import attrs

EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""Meters count from here, so that totals do not depend on when they are first read."""

_DAY: Final = timedelta(days=1)
_HOURS: Final = 24
_BY_HOUR: Final = (1, 0, 0, 0, 0, 1, 6, 14, 12, 6, 4, 4, 5, 5, 4, 4, 5, 7, 11, 13, 14, 11, 7, 3)
"""Shares of a day's water by local hour: none at night, peaks at breakfast and in the evening."""
_BY_HOUR_OFF: Final = (3, 2, 0, 0, 0, 0, 0, 1, 4, 9, 14, 15, 12, 9, 7, 6, 6, 7, 9, 11, 12, 11, 9, 6)
"""The same for Saturday and Sunday: up late, to bed late, and at home all day."""
_WEEKEND: Final = 1.25
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
    _latest: tuple[int, list[float]] = attrs.field(default=(-1, []), init=False, repr=False)
    """The last day asked for, and the litres used by the start of each of its hours."""

    def litres(self, moment: datetime) -> float:
        """Litres used from the epoch until a moment; 0 before it. Never decreases."""
        local = moment + self.utc_offset
        if local <= EPOCH:
            return 0.0
        day, rest = divmod(local - EPOCH, _DAY)
        while len(self._totals) <= day:
            self._totals.append(self._totals[-1] + self._of_day(len(self._totals) - 1))
        if self._latest[0] != day:
            self._latest = day, self._by_hour(day)
        by_hour = self._latest[1]
        hour, part = divmod(rest / timedelta(hours=1), 1)
        before, after = by_hour[int(hour)], by_hour[int(hour) + 1]
        return self._totals[day] + before + part * (after - before)

    def _of_day(self, day: int) -> float:
        weekend = _WEEKEND if _is_weekend(day) else 1.0
        return self.daily_l * weekend * (0.7 + 0.6 * self._chance(day, -1))

    def _by_hour(self, day: int) -> list[float]:
        """Litres used since midnight at 0:00, 1:00 … 24:00."""
        usual = _BY_HOUR_OFF if _is_weekend(day) else _BY_HOUR
        shares = [usual[hour] * (0.4 + self._chance(day, hour)) for hour in range(_HOURS)]
        whole = self._of_day(day)
        so_far = accumulate(shares[:-1], initial=0.0)
        return [*(whole * share / sum(shares) for share in so_far), whole]

    def _chance(self, day: int, hour: int) -> float:
        """A deterministic pseudo-random number in [0, 1)."""
        digest = hashlib.blake2b(f"{self.seed}/{day}/{hour}".encode(), digest_size=4).digest()
        return int.from_bytes(digest) / 2**32


def _is_weekend(day: int) -> bool:
    return (EPOCH + day * _DAY).weekday() >= _SATURDAY

"""How much water a believable household uses: a pure function of time."""

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final

import attrs

EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""Meters have counted since then, so that their totals do not depend on who asks, or when."""

_DAY: Final = timedelta(days=1)
_HOURS: Final = 24
_BY_HOUR: Final = (1, 0, 0, 0, 0, 1, 6, 14, 12, 6, 4, 4, 5, 5, 4, 4, 5, 7, 11, 13, 14, 11, 7, 3)
"""Shares of a day's water by local hour: nobody at night, breakfast, and the evening."""
_WEEKEND: Final = 1.25
_SATURDAY: Final = 5


@attrs.define
class WaterUse:
    """The water of one tap. Same `seed`, same water."""

    daily_l: float
    """Litres on an average weekday."""
    seed: int
    utc_offset: timedelta = timedelta(hours=3)
    _totals: list[float] = attrs.field(factory=lambda: [0.0], init=False, repr=False)
    """Litres used before day 0, 1, 2 … since the epoch; grows as days are asked for."""

    def litres(self, moment: datetime) -> float:
        """Litres used from the epoch until a moment; 0 before it. Never falls."""
        local = moment + self.utc_offset
        if local <= EPOCH:
            return 0.0
        day, rest = divmod(local - EPOCH, _DAY)
        while len(self._totals) <= day:
            self._totals.append(self._totals[-1] + self._of_day(len(self._totals) - 1))
        hour, part = divmod(rest / timedelta(hours=1), 1)
        shares = self._shares(day)
        so_far = (list(accumulate(shares, initial=0.0))[int(hour)]) + part * shares[int(hour)]
        return self._totals[day] + self._of_day(day) * so_far / sum(shares)

    def _of_day(self, day: int) -> float:
        weekend = (EPOCH + day * _DAY).weekday() >= _SATURDAY
        return self.daily_l * (_WEEKEND if weekend else 1.0) * (0.7 + 0.6 * self._chance(day, -1))

    def _shares(self, day: int) -> list[float]:
        return [_BY_HOUR[hour] * (0.4 + self._chance(day, hour)) for hour in range(_HOURS)]

    def _chance(self, day: int, hour: int) -> float:
        """A number in [0, 1) that looks random and is always the same."""
        digest = hashlib.blake2b(f"{self.seed}/{day}/{hour}".encode(), digest_size=4).digest()
        return int.from_bytes(digest) / 2**32

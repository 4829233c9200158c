"""A water meter of the fake cloud, and when the cloud updates it."""

from datetime import datetime, timedelta
from typing import Any

import attrs

from sst_cloud.source import DEFAULT_REFRESH

from .household import EPOCH, WaterUse


def last_refresh(now: datetime) -> datetime:
    """When the cloud last received new values."""
    return now - (now - EPOCH) % DEFAULT_REFRESH


def django_time(moment: datetime) -> str:
    """A time in the cloud's format."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + "417306Z"


@attrs.define(kw_only=True)
class FakeCounter:
    """A water meter. Set `daily_l` to 0 to stop it."""

    name: str | None = None
    hot: bool = False
    id: int = 0
    """0: assigned by the cloud."""
    line: int = 0
    """0: assigned by the device."""
    step_l: int = 10
    start_l: int = 0
    """The meter's total at the start of 2024, litres."""
    daily_l: float = 150.0
    """Litres used on an average weekday."""
    glitches: list[int] = attrs.field(factory=list)
    """Values that the next responses contain instead of the true one, each once."""
    _use: WaterUse | None = attrs.field(default=None, init=False, repr=False, eq=False)

    def value_l(self, now: datetime, utc_offset: timedelta = timedelta(hours=3)) -> int:
        """The total in litres as known to the cloud at this moment, in whole pulses."""
        if self._use is None or self._use.daily_l != self.daily_l:
            self._use = WaterUse(self.daily_l, self.id, utc_offset)
        litres = self._use.litres(last_refresh(now))
        return self.start_l + int(litres // self.step_l) * self.step_l

    def payload(self, now: datetime, device_id: int, utc_offset: timedelta) -> dict[str, Any]:
        """The meter's payload."""
        value = self.value_l(now, utc_offset)
        return {
            "id": self.id,
            "name": self.name,
            "line": self.line,
            "for_hot_water": self.hot,
            "max_value": 0,
            "step": self.step_l,
            "value": self.glitches.pop(0) if self.glitches else value,
            "prev_value": self.value_l(now - DEFAULT_REFRESH, utc_offset),
            "prev_step": self.step_l,
            "device": device_id,
        }

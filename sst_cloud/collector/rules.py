"""What a household may set: when a total is doubted, and what is worth an event."""

from datetime import time, timedelta

import attrs
from attrs.validators import ge, gt

from sst_cloud.flow import MAX_FLOW
from sst_cloud.models.wireless_sensor import LOW_BATTERY

_SOME_TIME = gt(timedelta(0))


@attrs.frozen(kw_only=True)
class JudgeRules:
    """When a meter's total is suspect, and when it is a new truth."""

    max_flow: float = attrs.field(default=MAX_FLOW, validator=gt(0))
    """Litres per hour that the pipe can deliver."""
    confirmations: int = attrs.field(default=2, validator=ge(0))
    """How many later polls have to agree with a suspect total before it is believed, and for how
    many times as long as the cloud needs to learn a new one."""


@attrs.frozen(kw_only=True)
class WatchRules:
    """When something is worth telling."""

    battery_percent: int = LOW_BATTERY
    """A battery under this is low, whatever the sensor itself says."""
    continuous_flow: timedelta = attrs.field(default=timedelta(hours=24), validator=_SOME_TIME)
    """How long water may run without a pause."""
    pause: timedelta = attrs.field(default=timedelta(hours=1), validator=_SOME_TIME)
    """How long a meter must stand still for a pause."""
    night: tuple[time, time] = (time(1), time(5))
    """From when until when, in local time of the house, nobody uses much; may go over midnight,
    and is off where both are the same."""
    night_litres: int = 30
    """More than this on one meter in one night is told."""
    silence: timedelta = attrs.field(default=timedelta(hours=3), validator=_SOME_TIME)
    """How long there may be no readings."""
    max_flow: float = attrs.field(default=MAX_FLOW, validator=gt(0))
    """As in `JudgeRules`: more than this is no water that has run."""

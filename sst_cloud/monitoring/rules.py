"""Settings per household: when a total is suspect, and when an alarm is raised."""

from datetime import time, timedelta

import attrs
from attrs.validators import ge, gt

from sst_cloud.metering.plausibility import MAX_FLOW
from sst_cloud.models.wireless_sensor import LOW_BATTERY

_POSITIVE = gt(timedelta(0))


@attrs.frozen(kw_only=True)
class ValidationRules:
    """When a meter's total is suspect, and when it is trusted."""

    max_flow: float = attrs.field(default=MAX_FLOW, validator=gt(0))
    """What the pipe can deliver, in litres per hour."""
    confirmations: int = attrs.field(default=2, validator=ge(0))
    """How many later polls must agree with a suspect total before it is trusted, over at least as
    many refresh intervals of the source."""


@attrs.frozen(kw_only=True)
class AlarmRules:
    """When an alarm is raised."""

    battery_percent: int = LOW_BATTERY
    """A battery below this is low, whatever the sensor itself reports."""
    continuous_flow: timedelta = attrs.field(default=timedelta(hours=24), validator=_POSITIVE)
    """How long water may run without a pause."""
    pause: timedelta = attrs.field(default=timedelta(hours=1), validator=_POSITIVE)
    """How long a meter must stand still to count as a pause."""
    night: tuple[time, time] = (time(1), time(5))
    """Start and end, in the house's local time, of the hours when little water is used; may span
    midnight, and is off if both are the same."""
    night_litres: int = 30
    """More than this on one meter in one night is an event."""
    silence: timedelta = attrs.field(default=timedelta(hours=3), validator=_POSITIVE)
    """How long readings may be missing."""
    max_flow: float = attrs.field(default=MAX_FLOW, validator=gt(0))
    """As in `ValidationRules`: a faster rise is not counted as water used."""

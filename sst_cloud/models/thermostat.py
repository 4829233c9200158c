"""Floor thermostats and their schedules."""

from bisect import bisect_right
from datetime import datetime, tzinfo
from typing import Final

from sst_cloud.enums import TemperatureSensor, ThermostatMode

from ._base import model
from .device import Device

MINUTES_A_DAY: Final = 24 * 60
MINUTES_A_WEEK: Final = 7 * MINUTES_A_DAY


@model
class ScheduleEntry:
    """A temperature from a given minute on."""

    minute: int
    """Minute of the week, local time, from Monday 00:00."""
    temperature: int
    """Degrees Celsius."""


@model
class Schedule:
    """A week of target temperatures; each lasts until the next, the last wraps to the first."""

    entries: tuple[ScheduleEntry, ...]
    """Sorted by minute; never empty."""

    def at(self, local: datetime) -> int:
        """The scheduled temperature in degrees Celsius at a local time."""
        minute = local.weekday() * MINUTES_A_DAY + local.hour * 60 + local.minute
        following = bisect_right(self.entries, minute, key=lambda entry: entry.minute)
        return self.entries[following - 1].temperature


@model
class Thermostat(Device):
    """A floor thermostat. Temperatures are in degrees Celsius."""

    is_on: bool | None = None
    mode: ThermostatMode | str | None = None
    heating: bool | None = None
    """Whether the relay is closed."""
    manual_temperature: int | None = None
    """The target in manual mode. It keeps its last value in schedule mode: see `target_at`."""
    air_temperature: float | None = None
    floor_temperature: float | None = None
    """MCS300 reports a single temperature, which is taken to be this one."""
    controlling_sensor: TemperatureSensor | None = None
    """The sensor chosen to control the heating."""
    schedule: Schedule | None = None
    brightness: int | None = None
    """Display brightness, 0 to 9; EcoSmart 25 only."""
    air_limit: int | None = None
    """The `temperature_air` of the settings."""
    air_correction: int | None = None
    vacation_temperature: int | None = None
    pre_heating: bool | None = None
    self_training: bool | None = None
    open_window_detection: bool | None = None
    open_window_minutes: int | None = None

    @property
    def current_temperature(self) -> float | None:
        """The temperature at the controlling sensor; None if unknown."""
        if self.controlling_sensor is TemperatureSensor.AIR:
            return self.air_temperature
        if self.controlling_sensor is TemperatureSensor.FLOOR:
            return self.floor_temperature
        temperatures = [t for t in (self.air_temperature, self.floor_temperature) if t is not None]
        return temperatures[0] if len(temperatures) == 1 else None

    def target_at(self, moment: datetime, zone: tzinfo | None) -> float | None:
        """The target temperature at a moment; `zone` is its house's time zone.

        None if unknown: it is off, the mode is neither manual nor schedule, or the schedule or
        the zone is missing.
        """
        if self.is_on is False:
            return None
        if self.mode is ThermostatMode.MANUAL:
            return self.manual_temperature
        if self.mode is ThermostatMode.CHART and self.schedule is not None and zone is not None:
            return self.schedule.at(moment.astimezone(zone))
        return None

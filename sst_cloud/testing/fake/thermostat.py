"""A simulated thermostat: its settings, its schedule and its temperature.

The temperature is a function of time and of past commands: it approaches the target exponentially
and then swings around it, as the relay switches on and off.
"""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from math import cos, exp, pi, sin
from typing import Any, Final, Literal

import attrs

from sst_cloud.cloud.device_types import DeviceType

from .leak_module import on_off

Setpoint = tuple[datetime, float]
"""A time, and the target from then on."""

_MEMORY: Final = timedelta(hours=24)
"""After this an earlier target no longer affects the temperature."""
_HOUR: Final = timedelta(hours=1)
_TIME_CONSTANT: Final = 2.0
"""Hours after which 37 % of a difference is left."""
_SWING_AMPLITUDE: Final = 0.6
_SWING_PERIOD: Final = 0.75
_UNHEATED: Final = 17.0
_AIR_BELOW_FLOOR: Final = 3
_DAY: Final = 1440

COMFORT: Final = 26
ECONOMICAL: Final = 20
WORKDAY: Final = [["06:30:00", "09:00:00"], ["18:00:00", "23:00:00"]]
VACATION: Final = [["08:00:00", "23:30:00"]]
"""The device's `time_setting`. Saturday and Sunday are days off."""


def weekly_chart() -> list[tuple[int, int]]:
    """A schedule in type 6's format: warm at 9, cool at 23, in minutes since Monday 00:00."""
    return [(day * _DAY + minute, t) for day in range(7) for minute, t in ((540, 24), (1380, 20))]


def daily_chart() -> list[tuple[int, int]]:
    """A schedule in type 1's format: four entries a day, in minutes since midnight."""
    workday, day_off = [(390, 26), (540, 20), (1080, 26), (1380, 20)], [(480, 26), (720, 24)]
    return workday * 5 + [*day_off, (1080, 26), (1410, 20)] * 2


@attrs.define(kw_only=True, eq=False)
class FakeThermostat:
    """The state of a thermostat. Each type reports and accepts only the settings that it has."""

    on: bool = True
    mode: Literal["manual", "chart"] = "manual"
    manual: int = 24
    """The target in manual mode, °C; kept but unused in chart mode."""
    sensor: Literal["floor", "air"] = "floor"
    """The controlling sensor; only type 6 reports it, the others use the floor."""
    chart: list[tuple[int, int]] = attrs.field(factory=list)
    """(minute, °C): of the week for type 6, of the day for type 1 (28 of them); otherwise empty."""
    air_limit: int = 35
    correction: int = -3
    vacation: int = 12
    love: int = 28
    curr: int = 24
    """The `settings.curr_temperature`; its meaning is not known."""
    bright: int = 5
    open_window: bool = False
    _past: list[tuple[datetime, "FakeThermostat"]] = attrs.field(
        factory=list, init=False, repr=False
    )
    """Earlier settings of the last day, and when they ended."""

    def remember(self, moment: datetime) -> None:
        """Record the settings in force until now, before a command changes them."""
        self._past = [
            (until, settings) for until, settings in self._past if until > moment - _MEMORY
        ]
        self._past.append((moment, attrs.evolve(self)))

    def target(self, local: datetime) -> float:
        """The target at a moment of the house's local time."""
        if not self.on:
            return _UNHEATED
        return self.manual if self.mode == "manual" else self._scheduled(local)[1]

    def controlled(self, local: datetime, seed: int = 0) -> tuple[float, bool]:
        """The temperature at the controlling sensor, and whether the relay is on."""
        setpoints = list(self._setpoints(local))
        temperature = setpoints[0][1]
        ends = [*(start for start, _ in setpoints[1:]), local]
        for (start, target), end in zip(setpoints, ends, strict=True):
            hours = (end - start) / _HOUR
            temperature = target + (temperature - target) * exp(-hours / _TIME_CONSTANT)
        target = setpoints[-1][1]
        phase = 2 * pi * (_hours(local) / _SWING_PERIOD + seed * 0.37)
        if abs(temperature - target) > 1:
            return temperature, self.on and temperature < target
        return temperature + _SWING_AMPLITUDE * sin(phase), self.on and cos(phase) > 0

    def payload(self, type_: int, local: datetime, seed: int = 0) -> dict[str, Any]:
        """The fields specific to this type, in two parts: before and after the common ones."""
        temperature, heating = self.controlled(local, seed)
        floor = round(temperature) + (_AIR_BELOW_FLOOR if self.sensor == "air" else 0)
        air = round(temperature) if self.sensor == "air" else round(19 + 0.2 * (temperature - 19))
        temperatures = {"temperature_air": air, "temperature_floor": floor}
        common: dict[str, Any] = {"relay_status": on_off(heating)}
        settings: dict[str, Any] = {"mode": self.mode, "status": on_off(self.on)}
        if type_ == DeviceType.ECOSMART_25:
            return {
                "chart": [list(entry) for entry in self.chart],
                "detector": 1,
                "settings": self._ecosmart(),
                **common,
                "current_temperature": temperatures,
            }
        if type_ == DeviceType.MCS350:
            now = local.hour * 60 + local.minute
            today = self.chart[local.weekday() * 4 : local.weekday() * 4 + 4]
            return {
                "chart": [list(entry) for entry in self.chart],
                "detector": 1,
                "settings": settings | self._mcs350(),
                **common,
                "current_temperature": {
                    # the current part of the day's schedule, and the day, as in the frame
                    "event": sum(minute <= now for minute, _ in today),
                    "day_of_week": local.weekday(),
                    **temperatures,
                },
                "open_window_minutes": 0,
            }
        settings["temperature_manual"] = self.manual
        if type_ == DeviceType.EQUATION:
            settings |= {
                "temperature_air": self.air_limit,
                "temperature_correction_air": self.correction,
            }
            return {"settings": settings, **common, "current_temperature": temperatures}
        if type_ == DeviceType.OKE_20:
            measured: Any = {"temperature_floor": floor}
        else:
            measured = floor  # type 0: a bare number
        return {"settings": settings, **common, "current_temperature": measured}

    def _mcs350(self) -> dict[str, Any]:
        return {
            "self_training": {
                "air": "unselected",
                "floor": "selected",
                "status": "off",
                "open_window": "selected" if self.open_window else "unselected",
            },
            "temperature_air": self.air_limit,
            "temperature_manual": self.manual,
            "temperature_vacation": self.vacation,
            "temperature_correction_air": self.correction,
        }

    def _ecosmart(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "bright": self.bright,
            "status": on_off(self.on),
            "sensor_set": {
                "air": "selected" if self.sensor == "air" else "unselected",
                "floor": "selected" if self.sensor == "floor" else "unselected",
                "pre_heating": "unselected",
            },
            "temperature_air": self.air_limit,
            "curr_temperature": self.curr,
            "open_window_status": {
                "open_window": "selected" if self.open_window else "unselected",
                "open_window_minutes": 0,
            },
            "temperature_manual": self.manual,
            "temperature_correction_air": self.correction,
        }

    def _setpoints(self, local: datetime) -> Iterator[Setpoint]:
        """The targets of the last day, oldest first, each with its start."""
        start = local - _MEMORY
        periods = [*self._past, (local, self)]
        for until, settings in periods:
            end = min(until.astimezone(local.tzinfo), local)
            if end <= start:
                continue
            yield start, settings.target(start)
            if settings.on and settings.mode == "chart":
                yield from sorted(settings.changes(start, end))
            start = end

    def changes(self, start: datetime, end: datetime) -> Iterator[Setpoint]:
        """The switching points of the schedule between two moments at most a day apart."""
        for minute, target in self._week():
            days, rest = divmod(minute, _DAY)
            day = start.date() + timedelta(days=(days - start.weekday()) % 7)
            moment = datetime.combine(day, time(rest // 60, rest % 60), tzinfo=start.tzinfo)
            if start < moment < end:
                yield moment, target

    def _scheduled(self, local: datetime) -> Setpoint:
        minute = local.weekday() * _DAY + local.hour * 60 + local.minute
        week = self._week()
        return local, next((t for at, t in reversed(week) if at <= minute), week[-1][1])

    def _week(self) -> list[tuple[int, int]]:
        """The schedule in minutes of the week, whatever the device's own format."""
        if len(self.chart) == 28:
            return [(n // 4 * _DAY + minute, t) for n, (minute, t) in enumerate(self.chart)]
        if self.chart:
            return sorted(self.chart)
        week: list[tuple[int, int]] = []
        for day in range(7):
            for start, end in VACATION if day in (5, 6) else WORKDAY:
                week += [
                    (day * _DAY + _minutes(start), COMFORT),
                    (day * _DAY + _minutes(end), ECONOMICAL),
                ]
        return week


def _minutes(text: str) -> int:
    moment = time.fromisoformat(text)
    return moment.hour * 60 + moment.minute


def _hours(moment: datetime) -> float:
    return moment.timestamp() / 3600

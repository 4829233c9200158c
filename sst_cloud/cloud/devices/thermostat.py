"""Thermostats: MCS 300 and 350, Equation, OKE-20, EcoSmart 25."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from sst_cloud import tlv_frame
from sst_cloud.cloud.payload_values import Read, flag, mapping_or_empty
from sst_cloud.enums import TemperatureSensor, ThermostatMode
from sst_cloud.models import Schedule, ScheduleEntry
from sst_cloud.models.thermostat import MINUTES_A_DAY, MINUTES_A_WEEK


def thermostat_fields(
    parsed: Mapping[str, Any], frame: tlv_frame.Frame, read: Read
) -> dict[str, Any]:
    """What a thermostat reports."""
    settings = mapping_or_empty(parsed.get("settings"))
    current = parsed.get("current_temperature")
    temperatures = mapping_or_empty(current)
    sensor_settings = mapping_or_empty(settings.get("sensor_set")) or mapping_or_empty(
        settings.get("self_training")
    )
    window = mapping_or_empty(settings.get("open_window_status"))
    floor = temperatures.get("temperature_floor") if temperatures else current
    return {
        "is_on": flag(settings.get("status")),
        "mode": read(settings.get("mode"), ThermostatMode | str),
        "heating": flag(parsed.get("relay_status")),
        "manual_temperature": read(settings.get("temperature_manual"), int),
        "air_temperature": read(temperatures.get("temperature_air"), float),
        "floor_temperature": read(floor, float),
        "controlling_sensor": _controlling_sensor(sensor_settings),
        "schedule": _schedule(_chart(parsed.get("chart"), read) or frame.chart),
        "brightness": read(settings.get("bright"), int),
        "air_limit": read(settings.get("temperature_air"), int),
        "air_correction": read(settings.get("temperature_correction_air"), int),
        "vacation_temperature": read(settings.get("temperature_vacation"), int),
        "pre_heating": flag(sensor_settings.get("pre_heating")),
        "self_training": flag(mapping_or_empty(settings.get("self_training")).get("status")),
        "open_window_detection": flag(
            window.get("open_window", sensor_settings.get("open_window"))
        ),
        "open_window_minutes": read(
            window.get("open_window_minutes", parsed.get("open_window_minutes")), int
        ),
    }


def _controlling_sensor(sensor_settings: Mapping[str, Any]) -> TemperatureSensor | None:
    selected = [sensor for sensor in TemperatureSensor if flag(sensor_settings.get(sensor.value))]
    return selected[0] if len(selected) == 1 else None


def _chart(chart: Any, read: Read) -> Sequence[tuple[int, int]]:
    entries = read(chart, tuple[tuple[int, int], ...]) if chart is not None else ()
    return entries or ()


def _schedule(chart: Sequence[tuple[int, int]]) -> Schedule | None:
    """A schedule by minutes of the week, or by minutes of the day with as many for each day."""
    minutes = [minute for minute, _ in chart]
    per_day, remainder = divmod(len(chart), 7)
    if minutes and not remainder and all(0 <= minute < MINUTES_A_DAY for minute in minutes):
        minutes = [
            index // per_day * MINUTES_A_DAY + minute for index, minute in enumerate(minutes)
        ]
    if not minutes or minutes[0] < 0 or minutes[-1] >= MINUTES_A_WEEK:
        return None
    if any(later < earlier for earlier, later in pairwise(minutes)):
        return None
    return Schedule(
        entries=tuple(
            ScheduleEntry(minute=minute, temperature=temperature)
            for minute, (_, temperature) in zip(minutes, chart, strict=True)
        )
    )

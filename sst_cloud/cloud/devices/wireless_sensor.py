"""Wireless leak sensors."""

from collections.abc import Mapping
from typing import Any, Final

from sst_cloud.cloud.payload_values import (
    MAX_ELEMENTS,
    Read,
    flag,
    id_text,
    mapping_or_empty,
    unique_names,
    whole_number,
)

_HIGHEST_LEVEL: Final = 4
"""Old firmware of wireless sensors reports the battery as a level from 0 to this."""


def wireless_sensor_fields(payload: Mapping[str, Any], read: Read) -> dict[str, Any]:
    """What a wireless sensor reports."""
    signal = read(payload.get("signal_level"), int)
    lost = flag(payload.get("sensor_lost"))
    return {
        "leak": flag(payload.get("attention")),
        "lost": signal == 0 if lost is None and signal is not None else lost,
        "battery_low": flag(payload.get("battery_discharge")),
        "signal_level": signal,
        "serial_number": _serial_number(payload),
    }


def _serial_number(payload: Mapping[str, Any]) -> str | None:
    return id_text(payload.get("serial_number")) or None


def sensor_list_fields(payloads: Any) -> list[dict[str, Any]]:
    """Fields of each sensor that depend on the others of its device: unique id and percentage."""
    payloads = payloads[:MAX_ELEMENTS] if isinstance(payloads, list) else []
    sensors = [mapping_or_empty(payload) for payload in payloads]
    serial_numbers = [_serial_number(sensor) for sensor in sensors]
    point_ids = unique_names(
        [
            serial_number or f"{id_text(sensor.get('line'))}/{id_text(sensor.get('name'))}"
            for sensor, serial_number in zip(sensors, serial_numbers, strict=True)
        ]
    )
    batteries = [whole_number(sensor.get("battery")) for sensor in sensors]
    in_percent = any(battery is not None and battery > _HIGHEST_LEVEL for battery in batteries)
    fields = []
    for point_id, serial_number, battery in zip(point_ids, serial_numbers, batteries, strict=True):
        is_percent = (in_percent or serial_number) and battery is not None and 0 <= battery <= 100
        fields.append({"point_id": point_id, "battery_percent": battery if is_percent else None})
    return fields

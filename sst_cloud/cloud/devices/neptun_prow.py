"""Neptun ProW+ WiFi."""

from collections.abc import Mapping
from typing import Any

from sst_cloud.cloud.payload_values import Read, flag, mapping_or_empty
from sst_cloud.enums import ValveState
from sst_cloud.models import ValveGroup

from .wired_lines import wired_lines


def neptun_prow_fields(
    payload: Mapping[str, Any], parsed: Mapping[str, Any], read: Read
) -> dict[str, Any]:
    """What a Neptun ProW+ WiFi reports."""
    settings = mapping_or_empty(parsed.get("settings"))
    status = mapping_or_empty(settings.get("status")) or mapping_or_empty(parsed.get("status"))
    valves = ValveGroup(
        number=1,
        state=read(settings.get("valve_settings"), ValveState | str),
        alarm=flag(status.get("alert")),
    )
    washing = settings.get("dry_flag", status.get("dry_flag"))
    return {
        "valve_groups": (valves,) if settings or status else (),
        "lines": wired_lines(payload, parsed.get("lines_status"), settings.get("lines_in"), read),
        "floor_washing": flag(washing),
        "closes_valves_for_lost_sensor": flag(settings.get("close_valve_flag")),
        "sensors_lost": flag(status.get("sensors_lost")),
        "sensors_battery_low": flag(status.get("sensors_discharge")),
        "battery_low": flag(status.get("battery_discharge")),
    }

"""Neptun Smart, and Neptun Smart+."""

from collections.abc import Mapping
from typing import Any

from sst_cloud.cloud.payload_values import Read, flag, mapping_or_empty
from sst_cloud.enums import Grouping, SlotType, ValveState
from sst_cloud.models import Slot, SlotCounter, ValveGroup

from .wired_lines import wired_lines


def neptun_smart_fields(
    payload: Mapping[str, Any], parsed: Mapping[str, Any], read: Read
) -> dict[str, Any]:
    """What a Neptun Smart reports."""
    settings = mapping_or_empty(parsed.get("module_settings"))
    config, status = (
        mapping_or_empty(settings.get("module_config")),
        mapping_or_empty(settings.get("module_status")),
    )
    grouping = read(config.get("grouping"), Grouping | str)
    first, second = (
        ValveGroup(
            number=number,
            state=read(config.get(f"{ordinal}_group_valves_state"), ValveState | str),
            alarm=flag(status.get(f"{ordinal}_group_alarm")),
        )
        for number, ordinal in ((1, "first"), (2, "second"))
    )
    groups: tuple[ValveGroup, ...] = (first, second) if config or status else ()
    if groups and grouping is Grouping.ONE_GROUP:
        alarms = {first.alarm, second.alarm} - {None}
        groups = (ValveGroup(number=1, state=first.state, alarm=any(alarms) if alarms else None),)
    slots = parsed.get("slots_settings")
    return {
        "grouping": grouping,
        "valve_groups": groups,
        "lines": wired_lines(payload, settings.get("wire_lines_status"), None, read),
        "floor_washing": flag(status.get("washing_floors_mode")),
        "closes_valves_for_lost_sensor": flag(config.get("close_valves_for_lost_sensor")),
        "closed_for_lost_sensor": (
            flag(status.get("close_valves_for_lost_sensor_at_first_group")),
            flag(status.get("close_valves_for_lost_sensor_at_second_group")),
        ),
        "sensors_lost": flag(status.get("wireless_sensors_lost")),
        "sensors_battery_low": flag(status.get("wireless_sensors_battery_discharge")),
        "adding_sensors": flag(status.get("wireless_device_connection")),
        "keyboard_blocked": flag(config.get("keyboard_block_state")),
        "slots": tuple(
            _slot(slot, read)
            for slot in (slots if isinstance(slots, list) else ())
            if isinstance(slot, Mapping)
        ),
    }


def _slot(slot: Mapping[str, Any], read: Read) -> Slot:
    counters = mapping_or_empty(slot.get("config")).get("counters")
    return Slot(
        number=read(slot.get("number"), int),
        type=read(slot.get("type"), SlotType | str),
        counters=tuple(
            SlotCounter(
                line=read(counter.get("line"), int),
                value_l=read(counter.get("value"), int),
                step_l=read(counter.get("step"), int),
                is_on=flag(counter.get("status")),
                error=read(counter.get("error"), str),
                connection_type=read(counter.get("connection_type"), str),
            )
            for counter in (counters if isinstance(counters, list) else ())
            if isinstance(counter, Mapping)
        ),
    )

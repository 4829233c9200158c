"""Nested and encoded parts of payloads → fields of models.

Lenient throughout: what cannot be read is None or empty. Facts come from recorded payloads where
available, otherwise from public clients of the API.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from . import frame
from ._json import loads, whole_number
from .enums import (
    AccessStatus,
    DeviceType,
    Grouping,
    LineKind,
    SlotType,
    TemperatureSensor,
    ThermostatMode,
    ValveState,
    Water,
)
from .models import (
    Counter,
    Device,
    NeptunProW,
    NeptunSmart,
    Schedule,
    ScheduleEntry,
    Slot,
    SlotCounter,
    Thermostat,
    UnknownDevice,
    ValveGroup,
    WiredLine,
    WirelessSensor,
)
from .models.thermostat import MINUTES_A_DAY, MINUTES_A_WEEK

Read = Callable[[Any, Any], Any]
"""Value and type → the value as that type, or None."""

_CLASSES: Final[Mapping[int, type[Device]]] = {
    DeviceType.MCS300: Thermostat,
    DeviceType.MCS350: Thermostat,
    DeviceType.NEPTUN_PROW: NeptunProW,
    DeviceType.EQUATION: Thermostat,
    DeviceType.EQUATION_PROW: NeptunProW,
    DeviceType.OKE_20: Thermostat,
    DeviceType.ECOSMART_25: Thermostat,
    DeviceType.NEPTUN_SMART: NeptunSmart,
}
_FLAGS: Final = {
    **dict.fromkeys(("yes", "on", "true", "selected", "blocked"), True),
    **dict.fromkeys(("no", "off", "false", "unselected", "unblocked"), False),
}
LONGEST: Final = 50_000
"""Elements of one list that are read: a thousand times as many as in any house."""
_LEVELS: Final = 4
"""Old firmware of wireless sensors reports the battery as a level from 0 to this."""


def device_class(type_: Any) -> type[Device]:
    """The class of a device, by its type number."""
    number = whole_number(type_)
    return UnknownDevice if number is None else _CLASSES.get(number, UnknownDevice)


def flag(value: Any) -> bool | None:
    """Parse the cloud's many words for yes and no."""
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    return _FLAGS.get(value.lower()) if isinstance(value, str) else None


def open_json(value: Any) -> Mapping[str, Any]:
    """Parse JSON that the cloud keeps in a string. If empty or malformed, an empty mapping."""
    if isinstance(value, str):
        try:
            value = loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def fields(payload: Mapping[str, Any], type_: type, read: Read) -> dict[str, Any]:
    """The fields of a model that are not plain values of its payload."""
    if issubclass(type_, Counter):
        hot = flag(payload.get("for_hot_water"))
        return {"water": None if hot is None else Water.HOT if hot else Water.COLD}
    if issubclass(type_, WirelessSensor):
        return _wireless_sensor(payload, read)
    return _any_device(payload, type_, read) if issubclass(type_, Device) else {}


def _any_device(payload: Mapping[str, Any], type_: type[Device], read: Read) -> dict[str, Any]:
    parsed = open_json(payload.get("parsed_configuration"))
    own_frame = _frame(payload.get("configuration"), read)
    found = _device(payload, parsed, own_frame, read)
    if type_ is NeptunProW:
        found |= _neptun_prow(payload, parsed, read)
    elif type_ is NeptunSmart:
        found |= _neptun_smart(payload, parsed, read)
    elif type_ is Thermostat:
        found |= _thermostat(parsed, own_frame, read)
    return found


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _frame(configuration: Any, read: Read) -> frame.Frame:
    if not isinstance(configuration, str) or not configuration:
        return frame.Frame({})
    decoded = read(configuration, frame.Frame)
    return decoded if isinstance(decoded, frame.Frame) else frame.Frame({})


def _device(
    payload: Mapping[str, Any], parsed: Mapping[str, Any], own_frame: frame.Frame, read: Read
) -> dict[str, Any]:
    own_id = read(parsed.get("device_id"), str) or own_frame.device_id or ""
    digits = own_id[2:]
    return {
        "parsed_configuration": parsed,
        "access_status": read(parsed.get("access_status"), AccessStatus | str),
        "signal_level": read(parsed.get("signal_level"), int),
        "firmware": ".".join(digits) if digits.isdecimal() and digits.isascii() else None,
        "reported_at": own_frame.clock,
        "lines_enabled": read(
            payload.get("lines_enabled", payload.get("lines_enable")),
            tuple[bool | str | None, ...],
        )
        or (),
    }


def _neptun_prow(
    payload: Mapping[str, Any], parsed: Mapping[str, Any], read: Read
) -> dict[str, Any]:
    settings = _object(parsed.get("settings"))
    status = _object(settings.get("status")) or _object(parsed.get("status"))
    valves = ValveGroup(
        number=1,
        state=read(settings.get("valve_settings"), ValveState | str),
        alarm=flag(status.get("alert")),
    )
    washing = settings.get("dry_flag", status.get("dry_flag"))
    return {
        "valve_groups": (valves,) if settings or status else (),
        "lines": _lines(payload, parsed.get("lines_status"), settings.get("lines_in"), read),
        "floor_washing": flag(washing),
        "closes_valves_for_lost_sensor": flag(settings.get("close_valve_flag")),
        "sensors_lost": flag(status.get("sensors_lost")),
        "sensors_battery_low": flag(status.get("sensors_discharge")),
        "battery_low": flag(status.get("battery_discharge")),
    }


def _neptun_smart(
    payload: Mapping[str, Any], parsed: Mapping[str, Any], read: Read
) -> dict[str, Any]:
    settings = _object(parsed.get("module_settings"))
    config, status = _object(settings.get("module_config")), _object(settings.get("module_status"))
    grouping = read(config.get("grouping"), Grouping | str)
    first, second = (
        ValveGroup(
            number=number,
            state=read(config.get(f"{word}_group_valves_state"), ValveState | str),
            alarm=flag(status.get(f"{word}_group_alarm")),
        )
        for number, word in ((1, "first"), (2, "second"))
    )
    groups: tuple[ValveGroup, ...] = (first, second) if config or status else ()
    if groups and grouping is Grouping.ONE_GROUP:
        alarms = {first.alarm, second.alarm} - {None}
        groups = (ValveGroup(number=1, state=first.state, alarm=any(alarms) if alarms else None),)
    slots = parsed.get("slots_settings")
    return {
        "grouping": grouping,
        "valve_groups": groups,
        "lines": _lines(payload, settings.get("wire_lines_status"), None, read),
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
    counters = _object(slot.get("config")).get("counters")
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


def _lines(
    payload: Mapping[str, Any], statuses: Any, kinds: Any, read: Read
) -> tuple[WiredLine, ...]:
    """Lines in the order of their JSON; names are matched by position, as far as they go."""
    names = payload.get("line_names")
    names = names if isinstance(names, list) else []
    kinds, statuses = _object(kinds), _object(statuses)
    own_keys = _told_apart([read(key, str) or "" for key in statuses])
    lines = []
    for number, ((key, status), own_key) in enumerate(
        zip(statuses.items(), own_keys, strict=True), start=1
    ):
        kind = read(kinds.get(key), LineKind | str)
        line = WiredLine(
            point_id=own_key,
            number=number,
            name=read(names[number - 1], str) or None if number <= len(names) else None,
            leak=None if kind is LineKind.COUNTER else flag(status),
            kind=kind,
        )
        lines.append(line)
    return tuple(lines)


def _thermostat(parsed: Mapping[str, Any], own_frame: frame.Frame, read: Read) -> dict[str, Any]:
    settings = _object(parsed.get("settings"))
    current = parsed.get("current_temperature")
    temperatures = _object(current)
    chosen = _object(settings.get("sensor_set")) or _object(settings.get("self_training"))
    window = _object(settings.get("open_window_status"))
    floor = temperatures.get("temperature_floor") if temperatures else current
    return {
        "is_on": flag(settings.get("status")),
        "mode": read(settings.get("mode"), ThermostatMode | str),
        "heating": flag(parsed.get("relay_status")),
        "manual_temperature": read(settings.get("temperature_manual"), int),
        "air_temperature": read(temperatures.get("temperature_air"), float),
        "floor_temperature": read(floor, float),
        "controlling_sensor": _controlling_sensor(chosen),
        "schedule": _schedule(_chart(parsed.get("chart"), read) or own_frame.chart),
        "brightness": read(settings.get("bright"), int),
        "air_limit": read(settings.get("temperature_air"), int),
        "air_correction": read(settings.get("temperature_correction_air"), int),
        "vacation_temperature": read(settings.get("temperature_vacation"), int),
        "pre_heating": flag(chosen.get("pre_heating")),
        "self_training": flag(_object(settings.get("self_training")).get("status")),
        "open_window_detection": flag(window.get("open_window", chosen.get("open_window"))),
        "open_window_minutes": read(
            window.get("open_window_minutes", parsed.get("open_window_minutes")), int
        ),
    }


def _controlling_sensor(chosen: Mapping[str, Any]) -> TemperatureSensor | None:
    selected = [sensor for sensor in TemperatureSensor if flag(chosen.get(sensor.value))]
    return selected[0] if len(selected) == 1 else None


def _chart(chart: Any, read: Read) -> Sequence[tuple[int, int]]:
    entries = read(chart, tuple[tuple[int, int], ...]) if chart is not None else ()
    return entries or ()


def _schedule(chart: Sequence[tuple[int, int]]) -> Schedule | None:
    """A schedule by minutes of the week, or by minutes of the day with as many for each day."""
    minutes = [minute for minute, _ in chart]
    per_day, rest = divmod(len(chart), 7)
    if minutes and not rest and all(0 <= minute < MINUTES_A_DAY for minute in minutes):
        minutes = [at // per_day * MINUTES_A_DAY + minute for at, minute in enumerate(minutes)]
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


def _wireless_sensor(payload: Mapping[str, Any], read: Read) -> dict[str, Any]:
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
    return _word(payload.get("serial_number")) or None


def sensors_of_one_device(payloads: Any) -> list[dict[str, Any]]:
    """Wireless sensors with what depends on the others: a unique id, and percent or level."""
    payloads = payloads[:LONGEST] if isinstance(payloads, list) else []
    sensors = [_object(payload) for payload in payloads]
    serials = [_serial_number(sensor) for sensor in sensors]
    point_ids = _told_apart(
        [
            serial or f"{_word(sensor.get('line'))}/{_word(sensor.get('name'))}"
            for sensor, serial in zip(sensors, serials, strict=True)
        ]
    )
    batteries = [whole_number(sensor.get("battery")) for sensor in sensors]
    percent = any(battery is not None and battery > _LEVELS for battery in batteries)
    found = []
    for point_id, serial, battery in zip(point_ids, serials, batteries, strict=True):
        sure = (percent or serial) and battery is not None and 0 <= battery <= 100
        found.append({"point_id": point_id, "battery_percent": battery if sure else None})
    return found


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, with `#2`, `#3` … added to duplicates unless that name is taken."""
    taken, last = set(names), dict[str, int]()
    found = []
    for name in names:
        number, apart = last.get(name, 0) + 1, name
        while number > 1 and (apart := f"{name}#{number}") in taken:
            number += 1
        last[name] = number  # all numbers up to here are taken: none is tried twice
        taken.add(apart)
        found.append(apart)
    return found


def _word(value: Any) -> str:
    """A line or a name as part of an id; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    text = str(value)[:100] if isinstance(value, str) or abs(value) < 2**63 else ""
    return text.encode("utf-8", "replace").decode()

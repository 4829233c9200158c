"""What is expected of the devices in `payloads/`: fields of models, as plain values."""

from datetime import UTC, datetime
from typing import Any

from sst_cloud import NeptunProW, NeptunSmart, Thermostat, UnknownDevice

REPORTED = datetime(2026, 11, 23, 8, 58, 30, tzinfo=UTC)
LONG_AGO = datetime(2026, 11, 23, 7, 55, tzinfo=UTC)
CLASSES: dict[str, type] = {
    "mcs300": Thermostat,
    "mcs350": Thermostat,
    "neptun_prow": NeptunProW,
    "equation": Thermostat,
    "equation_prow": NeptunProW,
    "oke_20": Thermostat,
    "ecosmart_25": Thermostat,
    "neptun_smart": NeptunSmart,
    "unknown": UnknownDevice,
}
NAMES = ("Under the boiler", "Washing machine", "Cold", "Hot")
RUSSIAN = ("Раковина", "Стиральная машина", "Кухня", "Котёл")


def prow_lines(names: tuple[str | None, ...], leaks: tuple[int, ...] = ()) -> tuple[Any, ...]:
    kinds = ("wired_sensor", "wired_sensor", "counter", "counter")
    padded = (*names, None, None, None, None)
    return tuple(
        (f"line_{n}", n, name, None if kind == "counter" else n in leaks, kind)
        for n, name, kind in zip(range(1, 5), padded, kinds, strict=False)
    )


def smart_lines(names: tuple[str | None, ...], leaks: tuple[int, ...] = ()) -> tuple[Any, ...]:
    return tuple((*line[:3], line[1] in leaks, None) for line in prow_lines(names, leaks))


METERS = ((1, 28450, 10, True, "none", "none"), (2, 9120, 10, True, "none", "none"))
COMMON: dict[str, dict[str, Any]] = {
    "mcs300": {
        "model": "Teploluxe MCS300",
        "firmware": "1.0.7",
        "is_on": True,
        "mode": "manual",
        "heating": True,
        "manual_temperature": 24,
        "air_temperature": None,
        "floor_temperature": 23.0,
        "controlling_sensor": None,
        "current_temperature": 23.0,
        "schedule": None,
    },
    "mcs350": {
        "model": "Teploluxe MCS350",
        "firmware": "2.0.9",
        "is_on": True,
        "mode": "chart",
        "heating": True,
        "manual_temperature": 22,
        "vacation_temperature": 14,
        "air_temperature": 21.0,
        "floor_temperature": 24.0,
        "controlling_sensor": "floor",
        "current_temperature": 24.0,
        "air_limit": 33,
        "air_correction": -2,
        "self_training": False,
        "open_window_detection": True,
        "open_window_minutes": 30,
    },
    "equation": {
        "model": "Equation WiFi",
        "firmware": "1.1.2",
        "mode": "manual",
        "heating": False,
        "manual_temperature": 27,
        "controlling_sensor": "air",
        "current_temperature": 26.0,
        "pre_heating": False,
        "air_correction": 1,
        "group_id": 71,
    },
    "oke_20": {
        "model": "OK Electro OKE-20",
        "firmware": "1.0.1",
        "is_on": True,
        "mode": "manual",
        "manual_temperature": 29,
        "air_temperature": None,
        "floor_temperature": 27.0,
        "controlling_sensor": None,
        "current_temperature": 27.0,
        "brightness": None,
    },
    "ecosmart_25": {
        "model": "EcoSmart 25",
        "firmware": "1.3.1",
        "mode": "chart",
        "heating": True,
        "manual_temperature": 26,
        "air_temperature": 22.0,
        "floor_temperature": 25.0,
        "controlling_sensor": "floor",
        "current_temperature": 25.0,
        "brightness": 7,
        "air_limit": 34,
        "air_correction": -1,
        "open_window_detection": True,
        "open_window_minutes": 20,
        "signal_level": 4,
        "access_status": "available",
        "name": "Тёплый пол",
    },
    "neptun_prow": {
        "model": "Neptun ProW+ WiFi",
        "firmware": "2.1.4",
        "valve_groups": ((1, "opened", False),),
        "lines": prow_lines(NAMES),
        "floor_washing": False,
        "closes_valves_for_lost_sensor": True,
        "sensors_lost": False,
        "alarm": False,
        "signal_level": 3,
    },
    "equation_prow": {
        "model": "Equation ProW+ WiFi",
        "firmware": "2.0.9",
        "valve_groups": ((1, "closed", False),),
        "lines": prow_lines(("Проводная линия 1",)),
        "floor_washing": False,
        "alarm": False,
        "signal_level": 2,
    },
    "neptun_smart": {
        "model": "Neptun Smart",
        "firmware": "1.2.1",
        "grouping": "one_group",
        "valve_groups": ((1, "opened", False),),
        "lines": smart_lines(RUSSIAN),
        "floor_washing": False,
        "keyboard_blocked": False,
        "adding_sensors": False,
        "closes_valves_for_lost_sensor": True,
        "closed_for_lost_sensor": (False, False),
        "sensors_lost": False,
        "sensors_battery_low": False,
        "slots": ((1, "radio", ()), (2, "counters", METERS), (3, "empty", ()), (4, "empty", ())),
        "alarm": False,
        "access_status": "available",
    },
    "unknown": {"firmware": "9.0.0", "model": "type 11", "name": "New thing", "signal_level": 1},
}
"""Fields common to all devices of a folder, unless EXPECTED has another value."""
NOTHING_INSIDE: dict[str, Any] = {
    "valve_groups": (),
    "lines": (),
    "floor_washing": None,
    "closes_valves_for_lost_sensor": None,
    "sensors_lost": None,
    "signal_level": None,
    "access_status": None,
}
EXPECTED: dict[str, dict[str, Any]] = {
    "mcs300/device": {},
    "mcs300/device_off": {"is_on": False, "heating": False},
    "mcs300/device_schedule_not_told": {"mode": "chart"},
    "mcs350/device": {},
    "mcs350/device_manual": {
        "mode": "manual",
        "controlling_sensor": "air",
        "current_temperature": 21.0,
    },
    "mcs350/device_schedule_in_both": {},
    "mcs350/device_both_sensors": {"controlling_sensor": None, "current_temperature": None},
    "equation/device": {},
    "equation/device_vacation": {"mode": "vacation", "previous_mode": "chart", "group_id": None},
    "oke_20/device": {},
    "oke_20/device_no_temperature": {"floor_temperature": None, "current_temperature": None},
    "ecosmart_25/device": {},
    "ecosmart_25/device_manual": {
        "mode": "manual",
        "controlling_sensor": "air",
        "current_temperature": 22.0,
        "heating": False,
    },
    "ecosmart_25/device_schedule_in_frame": {},
    "ecosmart_25/device_offline": {
        "access_status": "unavailable",
        "is_connected": False,
        "signal_level": 0,
        "reported_at": LONG_AGO,
    },
    "ecosmart_25/device_broken_frame": {"reported_at": None},
    "neptun_prow/device": {"wireless_sensors_names": ("Shower", None)},
    "neptun_prow/device_alarm": {
        "valve_groups": ((1, "closed", True),),
        "lines": prow_lines(NAMES, (2,)),
        "alarm": True,
    },
    "neptun_prow/device_fewer_names": {
        "lines": prow_lines(("Under the boiler",)),
        "line_names": ("Under the boiler", None),
        "lines_enabled": (True, True, False),
        "sensors_lost": True,
    },
    "neptun_prow/device_empty_configuration": NOTHING_INSIDE
    | {"firmware": None, "reported_at": None, "is_connected": None, "updated_at": None},
    "neptun_prow/device_status_on_top": {
        "valve_groups": ((1, "opened", True),),
        "floor_washing": True,
        "alarm": True,
    },
    "neptun_prow/device_offline": {
        "access_status": "unavailable",
        "is_connected": False,
        "signal_level": 0,
        "reported_at": None,
    },
    "equation_prow/device": {},
    "equation_prow/device_floor_washing": {
        "floor_washing": True,
        "valve_groups": ((1, "opened", False),),
        "lines": prow_lines((), (1,)),
        "alarm": True,
        "signal_level": 3,
    },
    "neptun_smart/device": {},
    "neptun_smart/device_two_groups": {
        "grouping": "two_groups",
        "valve_groups": ((1, "opened", False), (2, "closed", False)),
    },
    "neptun_smart/device_alarm": {
        "grouping": "two_groups",
        "valve_groups": ((1, "opened", False), (2, "closed", True)),
        "lines": smart_lines(RUSSIAN, (3,)),
        "alarm": True,
    },
    "neptun_smart/device_one_group_alarm": {
        "valve_groups": ((1, "closed", True),),
        "alarm": True,
    },
    "neptun_smart/device_floor_washing": {
        "floor_washing": True,
        "keyboard_blocked": True,
        "adding_sensors": True,
        "lines": smart_lines(("Раковина",)),
    },
    "neptun_smart/device_lost_sensor": {
        "grouping": "two_groups",
        "valve_groups": ((1, "closed", False), (2, "opened", False)),
        "sensors_lost": True,
        "sensors_battery_low": True,
        "closed_for_lost_sensor": (True, False),
    },
    "neptun_smart/device_offline": {
        "access_status": "unavailable",
        "is_connected": False,
        "reported_at": LONG_AGO,
    },
    "neptun_smart/device_clock_behind": {"reported_at": LONG_AGO, "is_connected": True},
    "neptun_smart/device_broken_frame": {"reported_at": None},
    "neptun_smart/device_unknown_words": {
        "grouping": "three_groups",
        "valve_groups": ((1, "half", False), (2, "opened", False)),
        "slots": ((1, "radio", ()), (2, "counters", METERS), (3, "namur", ()), (4, "empty", ())),
        "access_status": "sleeping",
    },
    "neptun_smart/device_empty_configuration": NOTHING_INSIDE
    | {
        "firmware": None,
        "reported_at": None,
        "grouping": None,
        "slots": (),
        "keyboard_blocked": None,
        "adding_sensors": None,
        "closed_for_lost_sensor": (None, None),
        "sensors_battery_low": None,
    },
    "neptun_smart/device_only_frame": NOTHING_INSIDE
    | {
        "grouping": None,
        "slots": (),
        "keyboard_blocked": None,
        "adding_sensors": None,
        "closed_for_lost_sensor": (None, None),
        "sensors_battery_low": None,
    },
    "unknown/device": {},
    "unknown/device_bare": {
        "model": "type 8",
        "name": "Newer thing",
        "firmware": None,
        "signal_level": None,
        "is_active": None,
        "time_setting": None,
        "reported_at": None,
    },
}

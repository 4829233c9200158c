"""Every payload of `tests/payloads`, and the objects that structuring makes of it."""

import json
from datetime import UTC, datetime, time
from enum import Enum
from typing import Any

import attrs
import pytest

import payload_files as files
from expected_devices import CLASSES, COMMON, EXPECTED, REPORTED
from sst_cloud import (
    Device,
    Group,
    House,
    NeptunSmart,
    Network,
    News,
    Thermostat,
    TimeSetting,
    UnknownDevice,
    User,
    Water,
    tlv_frame,
)
from sst_cloud.cloud.structuring import Structurer
from sst_cloud.models import Entity


def plain(value: Any) -> Any:
    """Models inside a device as tuples."""
    if isinstance(value, tuple):
        return tuple(attrs.astuple(item) if attrs.has(type(item)) else item for item in value)
    return value


def test_every_payload_folder_and_device_is_expected() -> None:
    folders = {files.folder(name) for name in files.ALL}
    assert folders == {*files.MODELS, "house", "network", "group", "news", "user"}
    assert all((files.ROOT / f"{name}.json").is_file() for name in files.ALL)
    assert set(files.of("device")) == set(EXPECTED)
    for model in files.MODELS:
        assert f"{model}/device" in EXPECTED


@pytest.mark.parametrize("name", files.of("device"))
def test_device_fields_are_as_expected(name: str) -> None:
    model = files.folder(name)
    device = files.device(name)
    assert type(device) is CLASSES[model]
    assert isinstance(device, UnknownDevice) == (model == "unknown")
    expected = {"reported_at": REPORTED} | COMMON[model] | EXPECTED[name]
    assert {field: plain(getattr(device, field)) for field in expected} == expected
    assert device.raw == files.load(name)
    assert isinstance(hash(device), int)
    assert "02:5C" not in repr(device)


@pytest.mark.parametrize("name", sorted(set(files.of("device")) - {"unknown/device_bare"}))
def test_common_device_fields_are_read(name: str) -> None:
    device = files.device(name)
    payload = files.load(name)
    assert (device.id, device.house_id, device.name) == (payload["id"], 1377, payload["name"])
    assert (device.active_network_id, device.timeout) == (905, 180)
    assert device.created_at == datetime(2022, 10, 4, 16, 21, 9, 417306, UTC)
    assert device.mac_address == payload["mac_address"]
    setting = device.time_setting
    assert isinstance(setting, TimeSetting)
    assert setting.device_id == device.id
    assert setting.workday_time_range == (
        (time(6, 15), time(8, 45)),
        (time(17, 30), time(22, 30)),
    )
    assert setting.vacation_time_range == ((time(8, 30), time(23, 0)),)


@pytest.mark.parametrize("name", files.of("device"))
def test_known_words_become_enum_members(name: str) -> None:
    """All other words keep their text: the cases with unknown words are there for that."""
    device = files.device(name)
    words = [device.access_status, getattr(device, "mode", None), getattr(device, "grouping", None)]
    words += [group.state for group in getattr(device, "valve_groups", ())]
    words += [slot.type for slot in getattr(device, "slots", ())]
    words += [line.kind for line in getattr(device, "lines", ())]
    unknown = {word for word in words if word is not None and not isinstance(word, Enum)}
    assert unknown == {
        "equation/device_vacation": {"vacation"},
        "ecosmart_25/device_offline": {"unavailable"},
        "neptun_prow/device_offline": {"unavailable"},
        "neptun_smart/device_offline": {"unavailable"},
        "neptun_smart/device_unknown_words": {"sleeping", "three_groups", "half", "namur"},
    }.get(name, set())


@pytest.mark.parametrize(
    ("name", "length", "some"),
    [
        ("ecosmart_25/device", 14, {0: (390, 25), 1: (1320, 19), 11: (8520, 21), 13: (9960, 18)}),
        ("ecosmart_25/device_schedule_in_frame", 56, {0: (60, 18), 8: (1500, 18), 55: (9960, 19)}),
        ("ecosmart_25/device_broken_frame", 14, {13: (9960, 18)}),
        ("mcs350/device", 28, {0: (390, 24), 3: (1320, 17), 4: (1830, 24), 27: (10020, 17)}),
        ("mcs350/device_schedule_in_both", 28, {0: (390, 24), 27: (10020, 17)}),
    ],
)
def test_schedule_entries_are_read(
    name: str, length: int, some: dict[int, tuple[int, int]]
) -> None:
    device = files.device(name)
    assert isinstance(device, Thermostat)
    assert device.schedule is not None
    entries = [(entry.minute, entry.temperature) for entry in device.schedule.entries]
    assert len(entries) == length
    assert {at: entries[at] for at in some} == some
    assert entries == sorted(entries)


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"unknown/device_bare"}))
def test_frames_agree_with_the_json(name: str) -> None:
    """They are real frames: clock, valves and meters agree with the rest of the payload."""
    text, device = files.load(name)["configuration"], files.device(name)
    if not text or name.endswith("_broken_frame"):
        assert device.reported_at is None
        return
    own = tlv_frame.decode(text)
    assert own.clock == device.reported_at
    assert own.device_id is not None
    assert device.firmware == ".".join(own.device_id[2:])
    inside = files.load(name)["parsed_configuration"]
    parsed = json.loads(inside) if inside else {}
    if isinstance(device, NeptunSmart) and parsed:
        config = parsed["module_settings"]["module_config"]
        states = config["first_group_valves_state"], config["second_group_valves_state"]
        assert own.open_valves == tuple(state == "opened" for state in states)
        meters = [meter for slot in device.slots for meter in slot.counters]
        assert [(m.value_l, m.step_l) for m in own.counters] == [
            (m.value_l, m.step_l) for m in meters
        ]
        assert any(sensor.lost for sensor in own.sensors) == device.sensors_lost
        assert any(sensor.battery_low for sensor in own.sensors) == device.sensors_battery_low
    elif isinstance(device, Thermostat) and "chart" in parsed and own.chart:
        assert [minute for minute, _ in own.chart] == [minute for minute, _ in parsed["chart"]]


# point id, name, line, leak, lost, battery, percent, battery low, signal
SENSORS: dict[str, list[tuple[Any, ...]]] = {
    "neptun_prow/wireless_sensors": [
        ("1/Shower", "Shower", 1, False, False, 97, 97, None, 3),
        ("1/Basin", "Basin", 1, False, False, 64, 64, None, 2),
        ("2/Bidet", "Bidet", 2, True, False, 12, 12, None, 4),
    ],
    "neptun_prow/wireless_sensors_lost": [
        ("1/Shower", "Shower", 1, False, True, 97, 97, None, 0),
        ("2/Basin", "Basin", 2, False, False, 64, 64, None, 1),
    ],
    "neptun_prow/wireless_sensors_null_names": [
        ("2/", None, 2, False, False, 90, 90, None, 3),
        ("2/#2", None, 2, False, False, 88, 88, None, 2),
        ("2/#3", "", 2, True, False, 71, 71, None, 1),
        ("3/", None, 3, False, False, 55, 55, None, 3),
        ("3/2", "2", 3, False, False, 54, 54, None, 3),
    ],
    "neptun_prow/wireless_sensors_old_firmware": [
        ("1/Shower", "Shower", 1, False, False, 4, None, None, 3),
        ("2/Basin", "Basin", 2, False, False, 3, None, None, 4),
        ("2/", None, 2, False, True, 0, None, None, 0),
    ],
    "neptun_prow/wireless_sensors_empty": [],
    "equation_prow/wireless_sensors": [
        ("4/Under the sink", "Under the sink", 4, False, False, 43, 43, None, 2),
    ],
    "neptun_smart/wireless_sensors": [
        ("3217", "Раковина", None, False, False, 93, 93, False, None),
        ("3342", "Раковина", None, True, False, 41, 41, False, None),
    ],
    "neptun_smart/wireless_sensors_lost": [
        ("3217", None, None, False, True, 93, 93, False, None),
        ("3342", None, None, False, False, 3, 3, True, None),
        ("0D-3391", "Котёл", None, False, False, 100, 100, False, None),
    ],
}


@pytest.mark.parametrize("name", files.of("wireless_sensors"))
def test_wireless_sensors_are_as_expected(name: str) -> None:
    sensors = files.sensors(name)
    assert [
        (
            sensor.point_id,
            sensor.name,
            sensor.line,
            sensor.leak,
            sensor.lost,
            sensor.battery,
            sensor.battery_percent,
            sensor.battery_low,
            sensor.signal_level,
        )
        for sensor in sensors
    ] == SENSORS[name]
    assert len({sensor.point_id for sensor in sensors}) == len(sensors)
    assert [sensor.point_id for sensor in files.sensors(name)] == [s.point_id for s in sensors]
    serials = [sensor.serial_number for sensor in sensors]
    smart = files.folder(name) == "neptun_smart"
    assert serials == [sensor.point_id if smart else None for sensor in sensors]


# id, device, litres, litres per pulse, line, water, name, litres before
COUNTERS: dict[str, list[tuple[Any, ...]]] = {
    "neptun_prow/counters": [
        (52107, 41022, 204518, 10, 3, Water.COLD, "Cold", 204518),
        (52108, 41022, 118233, 10, 4, Water.HOT, "Hot", 118223),
    ],
    "equation_prow/counters": [
        (52133, 41041, 77, 1, 3, Water.COLD, "Проводная линия 3", 77),
        (52134, 41041, 0, 1, 4, Water.HOT, None, 0),
    ],
    "neptun_smart/counters": [
        (52171, 41079, 28450, 10, 1, Water.COLD, "Нет", 28450),
        (52172, 41079, 9120, 10, 2, Water.HOT, "Нет", 9120),
    ],
}
COUNTERS["house/counters"] = COUNTERS["neptun_prow/counters"] + COUNTERS["neptun_smart/counters"]


@pytest.mark.parametrize("name", files.of("counters"))
def test_counters_are_as_expected(name: str) -> None:
    assert [
        (
            counter.id,
            counter.device_id,
            counter.value_l,
            counter.step_l,
            counter.line,
            counter.water,
            counter.name,
            counter.previous_value_l,
        )
        for counter in files.counters(name)
    ] == COUNTERS[name]


ACCOUNT: dict[str, tuple[type[Entity], dict[str, Any]]] = {
    "house/house": (
        House,
        {
            "id": 1377,
            "name": "Flat",
            "timezone": "Europe/Moscow",
            "report_date": 21,
            "close_valves": 2,
            "users": (2841,),
            "uid": "4e19c07ab2",
            "created_at": datetime(2022, 10, 4, 16, 18, 40, 28117, UTC),
        },
    ),
    "house/house_bare": (House, {"name": "Дача", "timezone": None, "workdays": None, "users": ()}),
    "house/house_zone_unknown": (House, {"timezone": "Moon/Tranquility", "behaviour": "VAC"}),
    "network/network": (Network, {"name": "attic", "device_ids": (41022, 41063, 41079)}),
    "network/network_bare": (Network, {"name": None, "device_ids": (), "created_at": None}),
    "group/group": (Group, {"id": 71, "name": "Ground floor", "house_id": 1377}),
    "news/news": (
        News,
        {"title": "Maintenance", "published_at": datetime(2023, 10, 19, 9, tzinfo=UTC)},
    ),
    "news/news_bare": (News, {"title": None, "body": "", "published_at": None}),
    "user/user": (User, {"id": 2841, "email": "owner@example.com"}),
    "user/user_bare": (User, {"id": 2842, "profile": None}),
}


@pytest.mark.parametrize(
    "name", [n for n in files.ALL if files.folder(n) == files.endpoint(n)], ids=str
)
def test_other_account_payloads_are_read(name: str) -> None:
    type_, expected = ACCOUNT[name]
    read: Any = Structurer().one(files.load(name), type_, "/")
    assert {field: getattr(read, field) for field in expected} == expected
    assert "@" not in repr(read)


def test_calendar_and_profile_are_read() -> None:
    workdays = Structurer().one(files.load("house/house"), House, "/").workdays
    assert workdays is not None
    assert (workdays.id, workdays.house_id, workdays.current_day) == (1371, 1377, "workday")
    assert (workdays.vacations, workdays.is_custom, workdays.start_date) == ((5, 6), False, None)
    profile = Structurer().one(files.load("user/user"), User, "/").profile
    assert profile is not None
    assert (profile.user_id, profile.language, profile.last_name) == (2841, "ru", None)


@pytest.mark.parametrize("name", files.of("device"))
def test_payloads_contain_no_real_hardware_address(name: str) -> None:
    """Hardware addresses are locally administered ones, also inside frames and strings."""
    payload = files.load(name)
    for text in (payload.get("mac_address"), *json_texts(payload)):
        assert text is None or text.startswith("02:5C:00:00:A0:")


def json_texts(payload: dict[str, Any]) -> list[str | None]:
    inside = payload.get("parsed_configuration")
    addresses = [json.loads(inside).get("mac_address")] if inside else []
    text = payload.get("configuration")
    if text:
        try:
            addresses.append(tlv_frame.decode(text).tags["M"].decode())
        except ValueError:
            addresses.append(None)
    return addresses


def test_all_devices_are_read_from_one_list() -> None:
    payloads = [files.load(name) for name in files.of("device")]
    listing = Structurer().listing(payloads, Device, "/")
    assert listing.unreadable == ()
    assert [device.id for device in listing] == [payload["id"] for payload in payloads]

"""Odd payloads that used to be read wrongly or not at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import payload_files as files
from sst_cloud import (
    Counter,
    Device,
    LeakModule,
    NeptunSmart,
    Point,
    Quantity,
    Snapshot,
    WirelessSensor,
    readings_from,
)
from sst_cloud.cloud.devices.wireless_sensor import sensor_list_fields
from sst_cloud.cloud.structuring import Structurer

COUNTER = files.load("neptun_smart/counters")[0]
SMART = files.load("neptun_smart/device_alarm")


@pytest.mark.parametrize("text", ["+-3", "--3", "-+3", "+", "-", " ", "³"])
def test_sign_without_digits_is_not_a_number(text: str) -> None:
    payloads = [COUNTER, COUNTER | {"value": text}, COUNTER]
    listing = Structurer().listing(payloads, Counter, "/", house_id=1)
    assert (len(listing), len(listing.unreadable)) == (2, 1)


@pytest.mark.parametrize("text", ["+3", "-3", " 3 ", "03"])
def test_number_with_a_sign_is_read(text: str) -> None:
    counter = Structurer().one(COUNTER | {"value": text}, Counter, "/", house_id=1)
    assert abs(counter.value_l) == 3


def sensors(*payloads: Any) -> list[WirelessSensor]:
    return Structurer().listing(
        list(payloads),
        WirelessSensor,
        "/",
        element_fields=sensor_list_fields(list(payloads)),
        house_id=1,
        device_id=2,
    )


def batteries(*values: Any) -> list[tuple[int | None, int | None]]:
    read = sensors(*({"line": at, "battery": value} for at, value in enumerate(values)))
    readings_from(Snapshot(time=files.NOW, wireless_sensors=tuple(read)))
    return [(sensor.battery, sensor.battery_percent) for sensor in read]


def test_boolean_battery_level_is_ignored() -> None:
    assert batteries(True, 90, False) == [(None, None), (90, 90), (None, None)]


def test_battery_level_as_text_or_float_is_read() -> None:
    assert batteries("90", 91.0, 3) == [(90, 90), (91, 91), (3, 3)]
    assert batteries("3", 4.0) == [(3, None), (4, None)]


def test_battery_level_outside_percent_is_kept_as_given() -> None:
    assert batteries(255, -1, 50) == [(255, None), (-1, None), (50, 50)]


@pytest.mark.parametrize(
    "names", [["A", "A", "A#2"], ["A#2", "A", "A"], ["A", "A#2", "A"], [None, "#2", None, None]]
)
def test_sensor_named_like_a_generated_id_keeps_ids_unique(names: list[Any]) -> None:
    read = sensors(*({"line": 1, "name": name} for name in names))
    ids = [sensor.point_id for sensor in read]
    assert len(set(ids)) == len(names)
    assert all(f"1/{name or ''}" in ids for name in set(names))


@given(
    st.lists(st.sampled_from(["a", "a#2", "a#3", "a#4", "a#2#2", "a#02", "#2", ""]), max_size=20)
)
def test_sensors_with_the_same_name_get_the_next_free_number(names: list[str]) -> None:
    taken = set(names)
    expected = []
    for at, name in enumerate(names):
        number, apart = names[: at + 1].count(name), name
        while number > 1 and (apart := f"{name}#{number}") in taken:
            number += 1
        taken.add(apart)
        expected.append(apart)
    read = sensors(*({"serial_number": f"N{name}"} for name in names))
    assert [sensor.point_id[1:] for sensor in read] == expected


@pytest.mark.parametrize("type_", ["7", 7.0])
def test_device_type_in_another_format_is_recognised(type_: Any) -> None:
    device = Structurer().one(SMART | {"type": type_}, Device, "/")
    assert (type(device), device.model) == (NeptunSmart, "Neptun Smart")


def smart(**settings: Any) -> Device:
    parsed = {"module_settings": settings}
    return Structurer().one(SMART | {"parsed_configuration": json.dumps(parsed)}, Device, "/")


def test_alarm_is_read_from_a_partial_configuration() -> None:
    device = smart(module_status={"first_group_alarm": "yes"})
    assert isinstance(device, LeakModule)
    assert device.alarm
    prow = files.load("neptun_prow/device")
    parsed = {"status": {"alert": "on"}}
    device = Structurer().one(prow | {"parsed_configuration": json.dumps(parsed)}, Device, "/")
    assert isinstance(device, LeakModule)
    assert device.alarm


@pytest.mark.parametrize("yes", [True, 1, "yes", "on", "YES", "true"])
def test_alarm_is_read_from_any_word_for_yes(yes: Any) -> None:
    device = smart(wire_lines_status={"line_1": yes})
    assert isinstance(device, LeakModule)
    assert device.alarm
    (sensor,) = sensors({"line": 1, "attention": yes})
    assert sensor.leak is True


def test_line_with_a_meter_is_not_a_leak() -> None:
    """Its contact closes with every pulse; how the cloud shows that is unknown."""
    parsed = {
        "settings": {"lines_in": {"line_1": "counter", "line_2": "wired_sensor"}},
        "lines_status": {"line_1": "yes", "line_2": "no"},
    }
    prow = files.load("neptun_prow/device") | {"parsed_configuration": json.dumps(parsed)}
    device = Structurer().one(prow, Device, "/")
    assert isinstance(device, LeakModule)
    assert [line.leak for line in device.lines] == [None, False]
    assert not device.alarm


def test_lines_keep_unique_ids() -> None:
    device = smart(wire_lines_status={"\ud800": "yes", "?": "no", "?#2": "no"})
    assert isinstance(device, LeakModule)
    assert len({line.point_id for line in device.lines}) == 3
    assert [line.leak for line in device.lines] == [True, False, False]


def test_device_without_signs_of_life_has_no_online_reading() -> None:
    readings = readings_from(files.snapshot("unknown/device_bare"))
    assert not [r for r in readings if r.quantity is Quantity.ONLINE]
    others = readings_from(files.snapshot("unknown/device"))
    assert [
        r.value for r in others if (r.quantity, r.point) == (Quantity.ONLINE, Point.MODULE)
    ] == [True]

"""Every device of the fake cloud: the payload, its parsed configuration, sensors and frame."""

import base64
import binascii
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from sst_cloud.testing import FakeCloud, FakeDevice, FakeModule, FakeSensor, FakeThermostat

from .conftest import ApiClient

LEAK_MODULES = ["ProW+", "Equation ProW+", "Smart", "Smart, two groups"]
THERMOSTATS = ["MCS300", "MCS350", "Equation", "OKE-20", "EcoSmart 25"]
COMMON = {"device_id", "mac_address", "signal_level", "access_status"}


def tags(configuration: str) -> dict[str, bytes]:
    """The tags of a frame, parsed by hand after its CRC-16/CCITT-FALSE is verified."""
    whole = base64.b64decode(configuration)
    assert binascii.crc_hqx(whole[:-2], 0xFFFF) == int.from_bytes(whole[-2:])
    assert whole[:4] == b"\x02TAR"
    assert int.from_bytes(whole[4:6]) == len(whole) - 8
    return dict(_each(whole[6:-2]))


def _each(body: bytes) -> Iterator[tuple[str, bytes]]:
    while body:
        tag, length = struct.unpack(">cH", body[:3])
        yield tag.decode(), body[3 : 3 + length]
        body = body[3 + length :]


async def test_account_has_each_type_once_and_type_7_twice(api: ApiClient) -> None:
    devices = await api.get(f"/houses/{api.cloud.houses[0].id}/devices/")
    assert [device["type"] for device in devices] == [*range(8), 7, 42]
    for device in devices:
        assert set(json.loads(device["parsed_configuration"])) >= COMMON
        assert device["active_network"] == api.cloud.houses[0].networks[0].id
        assert tags(device["configuration"])["M"].decode() == device["mac_address"]


async def test_parsed_configuration_may_be_empty(api: ApiClient) -> None:
    api.device("Smart").unparsed = True
    assert (await api.get(api.path("Smart")))["parsed_configuration"] == ""


@pytest.mark.parametrize("name", ["ProW+", "Equation ProW+"])
async def test_parsed_configuration_of_types_2_and_4(api: ApiClient, name: str) -> None:
    parsed = await api.parsed(name)
    settings = parsed["settings"]
    assert settings["valve_settings"] == "opened"
    assert settings["dry_flag"] == settings["close_valve_flag"] == "off"
    assert {"alert", "dry_flag", "sensors_lost"} <= set(settings["status"])
    assert list(settings["lines_in"]) == list(parsed["lines_status"])
    counting = {counter.line for counter in api.device(name).counters}
    assert [line == "counter" for line in settings["lines_in"].values()] == [
        number in counting for number in range(1, 5)
    ]
    assert set(parsed["lines_status"].values()) == {"no"}


async def test_parsed_configuration_of_type_7(api: ApiClient) -> None:
    one, two = await api.parsed("Smart"), await api.parsed("Smart, two groups")
    assert one["module_settings"]["module_config"]["grouping"] == "one_group"
    assert two["module_settings"]["module_config"]["grouping"] == "two_groups"
    assert len(one["module_settings"]["module_status"]) == 8
    assert list(one["module_settings"]["wire_lines_status"].values()) == ["no"] * 4
    slots = one["slots_settings"]
    assert [slot["type"] for slot in slots] == ["empty", "radio", "counters", "empty"]
    assert [slot["number"] for slot in slots] == [1, 2, 3, 4]
    counters = await api.get(api.path("Smart") + "counters/")
    in_slot = slots[2]["config"]["counters"]
    assert [slot["value"] for slot in in_slot] == [counter["value"] for counter in counters]


async def test_third_meter_uses_another_slot(api: ApiClient) -> None:
    meters = api.device("Smart").counters
    meters.append(meters[0])
    slots = (await api.parsed("Smart"))["slots_settings"]
    assert [slot["type"] for slot in slots] == ["empty", "radio", "counters", "counters"]


async def test_thermostats_have_the_fields_of_their_types(api: ApiClient) -> None:
    parsed = {name: await api.parsed(name) for name in THERMOSTATS}
    for each in parsed.values():
        assert each["settings"]["status"] == "on"
        assert each["settings"]["mode"] in ("manual", "chart")
        assert each["settings"]["temperature_manual"] == 24
        assert each["relay_status"] in ("on", "off")
    assert isinstance(parsed["MCS300"]["current_temperature"], int)
    assert set(parsed["OKE-20"]["current_temperature"]) == {"temperature_floor"}
    both = {"temperature_air", "temperature_floor"}
    assert set(parsed["Equation"]["current_temperature"]) == both
    assert set(parsed["MCS350"]["current_temperature"]) == both | {"event", "day_of_week"}
    assert set(parsed["EcoSmart 25"]["current_temperature"]) == both
    assert len(parsed["MCS350"]["chart"]) == 28
    assert set(parsed["MCS350"]["settings"]["self_training"]) == {
        "air", "floor", "status", "open_window",
    }  # fmt: skip
    assert parsed["EcoSmart 25"]["settings"]["sensor_set"]["air"] == "selected"
    assert parsed["EcoSmart 25"]["settings"]["sensor_set"]["floor"] == "unselected"
    assert [entry[0] for entry in parsed["EcoSmart 25"]["chart"]] == [
        day * 1440 + minute for day in range(7) for minute in (540, 1380)
    ]


async def test_day_of_week_uses_the_time_zone_of_the_house(api: ApiClient) -> None:
    api.clock.advance(21.5 * 3600)  # 2 January 2026, 00:30 in Moscow: a Friday
    now = (await api.parsed("MCS350"))["current_temperature"]
    assert (now["day_of_week"], now["event"]) == (4, 0)


async def test_radio_sensors_of_types_2_and_4(api: ApiClient) -> None:
    toilet, boiler = await api.sensors("ProW+")
    assert toilet == {
        "line": 2,
        "battery": 49,
        "attention": False,
        "signal_level": 2,
        "name": "Toilet",
    }
    assert boiler["signal_level"] == 0
    assert (await api.parsed("ProW+"))["settings"]["status"]["sensors_lost"] == "on"


async def test_radio_sensors_of_type_7(api: ApiClient) -> None:
    washer, nameless = await api.sensors("Smart")
    assert list(washer) == [
        "name", "battery", "attention", "sensor_lost", "battery_discharge", "serial_number",
    ]  # fmt: skip
    assert washer["serial_number"] != nameless["serial_number"]
    assert nameless["name"] is None
    assert nameless["battery_discharge"] is True
    status = (await api.parsed("Smart"))["module_settings"]["module_status"]
    assert status["wireless_sensors_battery_discharge"] == "yes"
    two = (await api.parsed("Smart, two groups"))["module_settings"]["module_status"]
    assert two["wireless_sensors_lost"] == "yes"


@pytest.mark.parametrize("name", [*THERMOSTATS, "Equation ProW+", "Novelty"])
async def test_devices_without_radio_sensors_have_an_empty_list(api: ApiClient, name: str) -> None:
    assert await api.sensors(name) == []


async def test_frame_of_type_7_matches_the_parsed_configuration(api: ApiClient) -> None:
    device = api.device("Smart, two groups")
    device.module.close_on_lost = True
    device.module.wet_lines = {1}
    device.sensors[0].battery = 5
    await api.get(api.path(device.name))
    device.module.opened[1] = True
    payload = await api.get(api.path(device.name))
    frame = tags(payload["configuration"])
    assert list(frame) == ["I", "M", "A", "C", "W", "w", "R", "S", "D"]
    assert frame["I"] == json.loads(payload["parsed_configuration"])["device_id"].encode()
    assert frame["A"] == b"\0"
    settings, status, *lines, _ = frame["C"]
    assert settings == 0b1101  # group 1 open, group 2 closed, two groups, close when lost
    assert status == 0b1011010  # alarm 1, battery low, lost, closed by that in group 2
    assert lines == [1, 1, 2, 2]
    first, second = device.sensors
    assert frame["W"] == struct.pack(">BHBHB", 2, first.serial, 1, second.serial, 2)
    assert frame["w"] == bytes([2, 5, 0b011010, 100, 0b100])
    (counter,) = await api.get(api.path(device.name) + "counters/")
    assert (
        frame["S"]
        == b"\x05\0\x01\0\x04\x08\x01" + struct.pack(">I", counter["value"]) + b"\x0a\0\0\xff\0"
    )
    assert int(frame["D"]) == api.clock.now().timestamp()


async def test_frame_of_a_module_with_one_group(api: ApiClient) -> None:
    frame = tags((await api.get(api.path("Smart")))["configuration"])
    assert frame["C"] == bytes([0b11, 0b1000, 3, 3, 3, 3, 0])
    assert {frame["W"][3], frame["W"][6]} == {3}


@pytest.mark.parametrize(
    ("name", "temperatures", "entries"),
    [("MCS300", 1, 0), ("MCS350", 4, 28), ("OKE-20", 1, 0), ("EcoSmart 25", 2, 14)],
)
async def test_frame_of_a_thermostat_matches_the_parsed_configuration(
    api: ApiClient, name: str, temperatures: int, entries: int
) -> None:
    payload = await api.get(api.path(name))
    parsed = json.loads(payload["parsed_configuration"])
    frame = tags(payload["configuration"])
    assert list(frame) == ["I", "M", "A", "T", "S", "C", "D"]
    measured = parsed["current_temperature"]
    assert list(frame["T"]) == ([measured] if temperatures == 1 and isinstance(measured, int)
                                else list(measured.values()))  # fmt: skip
    assert [list(entry) for entry in struct.iter_unpack(">HB", frame["C"])] == parsed.get(
        "chart", []
    )
    assert len(frame["C"]) == 3 * entries


def test_state_matches_the_device_type() -> None:
    module, thermostat, new = FakeDevice(), FakeDevice(type=0), FakeDevice(type=42)
    assert isinstance(module.module, FakeModule)
    assert isinstance(thermostat.thermostat, FakeThermostat)
    with pytest.raises(TypeError, match="not a thermostat"):
        _ = module.thermostat
    with pytest.raises(TypeError, match="not a leak module"):
        _ = thermostat.module
    with pytest.raises(TypeError, match="not a leak module"):
        _ = new.module
    with pytest.raises(TypeError, match="type 2 cannot have a FakeThermostat"):
        FakeDevice(type=2, state=FakeThermostat())
    assert new.sensors == thermostat.sensors == []


async def test_device_may_be_added_later(fake: FakeCloud) -> None:
    late = FakeDevice(id=7, state=FakeModule(sensors=[FakeSensor(serial=1, leak=True)]))
    fake.houses[0].devices.append(late)
    house = fake.houses[0]
    payload: Any = late.payload(fake.clock.now(), house)
    status = json.loads(payload["parsed_configuration"])["module_settings"]["module_status"]
    assert status["first_group_alarm"] == "yes"

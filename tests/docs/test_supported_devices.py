"""The page of supported devices matches the code."""

import pytest

import supported_devices
from sst_cloud import DeviceType

pytestmark = pytest.mark.source


def test_supported_devices_page_is_up_to_date() -> None:
    written = supported_devices.PAGE.read_text(encoding="utf-8")
    assert written == supported_devices.page(), "run `make devices-page`"


def test_every_device_type_has_a_row_with_its_commands() -> None:
    rows = {
        cells[1]: cells
        for line in supported_devices.page().splitlines()
        if len(cells := [cell.strip() for cell in line.split("|")]) == 8
    }
    assert set(rows) == {"type", "---", "any other", *(str(type_.value) for type_ in DeviceType)}
    thermostat = "`set_power`, `set_mode`, `set_target_temperature`"
    module = "`set_valves`, `set_floor_washing`"
    assert {number: cells[5] for number, cells in rows.items() if number.isdecimal()} == {
        "0": thermostat,
        "1": thermostat,
        "2": module,
        "3": thermostat,
        "4": module,
        "5": thermostat,
        "6": f"{thermostat}, `set_brightness`",
        "7": module,
    }
    assert rows["any other"][5] == "—"

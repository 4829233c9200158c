"""The readings of every payload, compared with a readable list."""

from itertools import groupby
from pathlib import Path

import pytest

import payload_files as files
from sst_cloud import Reading, readings_from

EXPECTED = Path(__file__).with_name("expected_readings.txt")
WITH_READINGS = [
    name for name in files.ALL if files.endpoint(name) in ("device", "counters", "wireless_sensors")
]


def line(reading: Reading) -> str:
    """A reading in one line: quantity, point, value and everything unusual."""
    parts = [
        reading.quantity.value,
        f"{reading.point.value}/{reading.point_id}",
        f"{reading.value!r}{reading.unit}",
        reading.water.value if reading.water else "",
        f"line={reading.line}" if reading.line is not None else "",
        f"name={reading.name!r}" if reading.name is not None else "",
        "" if reading.quality == "good" else reading.quality.value,
    ]
    return "  " + " ".join(filter(None, parts))


def block(name: str) -> list[str]:
    """The readings that a payload adds to its snapshot."""
    readings = readings_from(files.snapshot(name))
    device = files.endpoint(name) == "device"
    return [line(r) for r in readings if device or r.point.value in files.endpoint(name)]


def expected() -> dict[str, list[str]]:
    lines = EXPECTED.read_text(encoding="utf-8").splitlines()
    blocks = [list(part) for filled, part in groupby(lines, key=bool) if filled]
    return {name: readings for name, *readings in blocks}


@pytest.mark.parametrize("name", WITH_READINGS)
def test_readings_of_each_payload_are_as_expected(name: str) -> None:
    assert block(name) == expected()[name]


def test_expected_readings_list_exactly_the_payloads_with_readings() -> None:
    assert list(expected()) == WITH_READINGS


@pytest.mark.parametrize("name", WITH_READINGS)
def test_readings_have_unique_keys_and_the_right_device(name: str) -> None:
    snapshot = files.snapshot(name)
    readings = readings_from(snapshot)
    assert readings == readings_from(snapshot)
    assert len({reading.key for reading in readings}) == len(readings)
    owners = {device.id: device for device in snapshot.devices}
    for reading in readings:
        assert (reading.time, reading.house, reading.house_id) == (files.NOW, "Flat", 1377)
        owner = owners[reading.device_id]
        assert (reading.device, reading.model) == (owner.name, owner.model)
        assert Reading.from_dict(reading.as_dict()) == reading
